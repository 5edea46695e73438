package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// initialized is what `gatehouse init --json` says.
type initialized struct {
	Config    string `json:"config"`
	Data      string `json:"data"`
	KeyFile   string `json:"key_encryption_key"`
	SetupURL  string `json:"setup_url"`
	SetupCode string `json:"setup_code"`
}

func initialize(t *testing.T, flags ...string) (initialized, installation) {
	t.Helper()
	dir := t.TempDir()
	issuer := fmt.Sprintf("http://localhost:%d", freePorts(t, 1)[0])
	out, err := exec.Command(binary, append([]string{"init", dir, "--issuer", issuer, "--json"}, flags...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	var made initialized
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	return made, installation{t: t, config: made.Config, kek: made.KeyFile, issuer: issuer}
}

func TestInitServeAndTheFirstAdministrator(t *testing.T) {
	made, i := initialize(t)
	for path, mode := range map[string]os.FileMode{made.Config: 0o600, made.KeyFile: 0o600, made.Data: 0o700} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v %v, want %o", path, info.Mode().Perm(), err, mode)
		}
	}
	if relative, _ := filepath.Rel(made.Data, made.KeyFile); filepath.IsLocal(relative) {
		t.Errorf("the key %s lies in the data folder %s", made.KeyFile, made.Data)
	}
	i.serve()
	claim := func(code, username, password string) (int, string) {
		response, err := http.PostForm(made.SetupURL, url.Values{"code": {code}, "username": {username}, "password": {password}})
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	show := func() int {
		response, err := http.Get(made.SetupURL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	const password = "seven green doors ajar"
	if show() != 200 {
		t.Error("the page is not there")
	}
	if status, body := claim("WRONG-CODE", "ada", password); status != 400 || !strings.Contains(body, "not valid") {
		t.Errorf("a wrong code: %d %s", status, body)
	}
	if status, body := claim(made.SetupCode, "ada", "short"); status != 400 || !strings.Contains(body, "at least 15") || strings.Contains(body, "short") {
		t.Errorf("a short password: %d %s", status, body)
	}
	older := made.SetupCode
	newer := strings.Fields(string(i.run("setup")))
	if status, _ := claim(older, "ada", password); status != 400 {
		t.Errorf("the older code still works: %d", status)
	}
	if status, body := claim(strings.ToLower(newer[len(newer)-1]), "Ada", password); status != 200 || !strings.Contains(body, "first administrator") {
		t.Errorf("the claim: %d %s", status, body)
	}
	if status, _ := claim(newer[len(newer)-1], "eve", password); status != 400 || show() != 404 {
		t.Errorf("the code works twice: %d", status)
	}
	var users []struct {
		Username string
		Roles    []string
	}
	if err := json.Unmarshal(i.run("user", "list", "--json"), &users); err != nil || len(users) != 1 || users[0].Username != "ada" || users[0].Roles[0] != "administrator" {
		t.Errorf("users %+v %v", users, err)
	}

	// Nothing that exists is overwritten.
	before, _ := os.ReadFile(made.KeyFile)
	out, err := exec.Command(binary, "init", filepath.Dir(made.Config), "--issuer", i.issuer).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "exists already") {
		t.Errorf("init again: %v %s", err, out)
	}
	if err := os.Remove(made.Config); err != nil {
		t.Fatal(err)
	}
	out, err = exec.Command(binary, "init", filepath.Dir(made.Config), "--issuer", i.issuer).CombinedOutput()
	if after, _ := os.ReadFile(made.KeyFile); err == nil || !bytes.Equal(before, after) {
		t.Errorf("init over data: %v %s", err, out)
	}
}

func TestInitRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		flags []string
		want  string
	}{
		"no issuer":                   {nil, "issuer"},
		"plain http":                  {[]string{"--issuer", "http://auth.example.com"}, "must be https"},
		"a key in the data folder":    {[]string{"--issuer", "http://localhost:8080", "--key-encryption-key", "./data/kek"}, "inside the data folder"},
		"no TLS for other machines":   {[]string{"--issuer", "https://auth.example.com"}, "can be reached by other machines"},
		"two sources of certificates": {[]string{"--issuer", "https://auth.example.com", "--acme", "--proxy", "10.0.0.5"}, "acme"},
		"a proxy by name":             {[]string{"--issuer", "https://auth.example.com", "--proxy", "proxy"}, "not an IP address"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new")
			cmd := exec.Command(binary, append([]string{"init", dir}, tc.flags...)...)
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), tc.want) {
				t.Errorf("%v %s", err, out)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("something was made all the same")
			}
		})
	}
}

func TestAnotherKeyEncryptionKey(t *testing.T) {
	made, i := initialize(t)
	server := i.serve()
	before := kids(t, i.issuer)
	stop := func() {
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
	}
	next := filepath.Join(filepath.Dir(made.KeyFile), "kek-2")
	i.run("kek", "new", next)
	if out, err := exec.Command(binary, "kek", "new", next).CombinedOutput(); err == nil {
		t.Errorf("a key is overwritten: %s", out)
	}
	text, err := os.ReadFile(i.config)
	if err != nil {
		t.Fatal(err)
	}
	both := strings.Replace(string(text), "key_encryption_key: { file: ./gatehouse.kek }", "key_encryption_key: { file: ./kek-2 }\nold_key_encryption_keys: [{ file: ./gatehouse.kek }]", 1)
	i.write(i.config, both)
	stop()
	server = i.serve()
	if out := string(i.run("kek", "rotate")); !strings.HasPrefix(out, "12 of 12 secrets") {
		t.Errorf("kek rotate: %s", out)
	}
	stop()
	i.write(i.config, strings.Replace(both, "old_key_encryption_keys: [{ file: ./gatehouse.kek }]", "", 1))
	if err := os.Remove(made.KeyFile); err != nil {
		t.Fatal(err)
	}
	server = i.serve()
	if after := kids(t, i.issuer); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("keys %v before, %v after", before, after)
	}
	if out := string(i.run("kek", "status")); !strings.Contains(out, "seals and opens  12") {
		t.Errorf("kek status: %s", out)
	}
	stop()
	// The new one is gone: the start says which key is missing, and makes none.
	if err := os.Remove(next); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "serve", "--config", i.config).CombinedOutput(); err == nil || !strings.Contains(string(out), "kek-2") {
		t.Errorf("without its key: %v %s", err, out)
	}
}

func TestServeBehindAProxy(t *testing.T) {
	_, i := initialize(t)
	port := i.issuer[strings.LastIndex(i.issuer, ":")+1:]
	serve := func(proxy string) func(headers map[string]string) int {
		dir := t.TempDir()
		if out, err := exec.Command(binary, "init", dir, "--issuer", "https://auth.example.com", "--proxy", proxy, "--listen", "127.0.0.1:"+port).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		cmd := exec.Command(binary, "serve", "--config", filepath.Join(dir, "gatehouse.yaml"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		eventually(t, "serve is ready", func() bool {
			response, err := http.Get(i.issuer + "/readyz") // health checks may come from anywhere
			if err != nil {
				return false
			}
			response.Body.Close()
			return response.StatusCode == 200
		})
		return func(headers map[string]string) int {
			request, _ := http.NewRequest("GET", i.issuer+"/.well-known/jwks.json", nil)
			request.Host = "auth.example.com"
			for name, value := range headers {
				request.Header.Set(name, value)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if status := response.StatusCode; status != 200 {
				return status
			}
			if response.Header.Get("Strict-Transport-Security") == "" {
				t.Error("no Strict-Transport-Security behind a proxy")
			}
			return 200
		}
	}
	t.Run("the proxy", func(t *testing.T) {
		get := serve("127.0.0.1")
		if status := get(map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}); status != 200 {
			t.Errorf("status %d", status)
		}
		if status := get(map[string]string{"X-Forwarded-Proto": "http"}); status != 403 {
			t.Errorf("a client that came to the proxy in the clear: %d", status)
		}
	})
	port = fmt.Sprint(freePorts(t, 1)[0])
	i.issuer = "http://localhost:" + port
	t.Run("anybody else", func(t *testing.T) {
		get := serve("10.0.0.5")
		if status := get(map[string]string{"X-Forwarded-For": "10.0.0.5"}); status != 403 {
			t.Errorf("status %d", status)
		}
	})
}

// An init that fails in the middle leaves nothing, so that it can be run again.
func TestInitOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=128k,mode=0700"); err != nil {
		notRun = append(notRun, "TestInitOnAFullDisk: cannot mount a small disk: "+err.Error())
		return
	}
	defer syscall.Unmount(data, syscall.MNT_DETACH)
	initialize := func() (string, error) {
		out, err := exec.Command(binary, "init", dir, "--issuer", "http://localhost:8080").CombinedOutput()
		return string(out), err
	}
	if out, err := initialize(); err == nil || !strings.Contains(out, "Make room") {
		t.Errorf("on a full disk: %v %s", err, out)
	}
	for _, folder := range []string{dir, data} {
		entries, err := os.ReadDir(folder)
		if err != nil || folder == data && len(entries) != 0 || len(entries) > 1 {
			t.Errorf("left in %s: %v %v", folder, entries, err)
		}
	}
	syscall.Unmount(data, syscall.MNT_DETACH)
	if out, err := initialize(); err != nil {
		t.Errorf("again, with room: %v %s", err, out)
	}
}
