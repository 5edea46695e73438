package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ready is the line that `gatehouse dev --json` prints.
type ready struct {
	Ready                                               bool
	Data, Issuer, API, Audience, Service, Gateway, Desk string
	Apps                                                []struct {
		Name, URL string
		ID        string `json:"client_id"`
	}
	Users []struct {
		Username, Password, Token string
		Roles                     []string
	}
	Clients []struct {
		ID         string `json:"client_id"`
		Type       string
		FirstParty bool   `json:"first_party"`
		Secret     string `json:"client_secret"`
		Token      string
	}
	Forged []struct{ Name, Token string }
}

// dev is a running `gatehouse dev`.
type dev struct {
	ready
	t    *testing.T
	cmd  *exec.Cmd
	log  *syncBuffer
	line string
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func startDev(t *testing.T, args ...string) *dev {
	t.Helper()
	d := &dev{t: t, log: &syncBuffer{}}
	d.cmd = exec.Command(binary, append([]string{"dev", "--json", "--listen", "localhost:0", "--api-listen", "localhost:0", "--shop-listen", "localhost:0", "--parcels-listen", "127.0.0.1:0"}, args...)...)
	d.cmd.Stderr = d.log
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.cmd.Process.Kill(); d.cmd.Wait() })
	timer := time.AfterFunc(time.Minute, func() { d.cmd.Process.Kill() })
	d.line, err = bufio.NewReader(out).ReadString('\n')
	timer.Stop()
	if err != nil {
		t.Fatalf("dev did not become ready: %v\n%s", err, d.log)
	}
	if err := json.Unmarshal([]byte(d.line), &d.ready); err != nil || !d.Ready {
		t.Fatalf("the line is not as promised: %v\n%s", err, d.line)
	}
	return d
}

// stop sends a signal and checks the clean end.
func (d *dev) stop(signal os.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(signal); err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("after %s: %v, want exit code 0\n%s", signal, err, d.log)
	}
}

func call(t *testing.T, method, url, token string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header["Authorization"] = []string{"Bearer " + token}
	}
	client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body), response.Header
}

// tokenOf reads a header file as curl -H @FILE does.
func tokenOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	token, found := strings.CutPrefix(strings.TrimSuffix(string(content), "\n"), "Authorization: Bearer ")
	if !found || strings.Contains(token, "\n") {
		t.Fatalf("%s is not one header", path)
	}
	return token
}

func TestDevAsANewcomerUsesIt(t *testing.T) {
	d := startDev(t)
	if d.Audience != d.API || !strings.HasPrefix(d.Issuer, "http://localhost:") || len(d.Users) != 2 || len(d.Clients) != 5 || len(d.Apps) != 2 || len(d.Forged) < 100 {
		t.Fatalf("got %+v", d.ready)
	}
	for _, tc := range []struct {
		method, path, token string
		status              int
	}{
		{"GET", "/healthz", "", 200}, {"GET", "/orders", "", 401}, {"GET", "/whoami", "", 401},
		{"GET", "/orders", d.Users[0].Token, 200}, {"POST", "/orders", d.Users[0].Token, 201}, {"GET", "/whoami", d.Users[0].Token, 200},
		{"GET", "/orders", d.Users[1].Token, 200}, {"POST", "/orders", d.Users[1].Token, 403},
		{"GET", "/orders", d.Clients[1].Token, 200}, {"POST", "/orders", d.Clients[1].Token, 403},
		{"GET", "/orders", tokenOf(t, filepath.Join(d.Data, "ada")), 200}, {"POST", "/orders", tokenOf(t, filepath.Join(d.Data, "bob")), 403},
		{"GET", "/orders", tokenOf(t, filepath.Join(d.Data, "demo-service")), 200},
	} {
		if status, body, _ := call(t, tc.method, d.API+tc.path, tc.token); status != tc.status {
			t.Errorf("%s %s: %d %s, want %d", tc.method, tc.path, status, body, tc.status)
		}
	}
	_, body, _ := call(t, "GET", d.API+"/whoami", d.Users[0].Token)
	var who struct {
		Subject, Client string
		Roles, Scopes   []string
	}
	if err := json.Unmarshal([]byte(body), &who); err != nil || !strings.HasPrefix(who.Subject, "usr_") || who.Client != "demo-app" || fmt.Sprint(who.Roles, who.Scopes) != "[editor] [orders:read orders:write]" {
		t.Errorf("whoami: %s", body)
	}
	if status, body, _ := call(t, "GET", d.Service+"/report", ""); status != 200 || !strings.Contains(body, `"demo-service"`) {
		t.Errorf("the demo service: %d %s", status, body)
	}
	d.stop(syscall.SIGINT)
	if _, err := os.Stat(d.Data); !os.IsNotExist(err) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
}

// Every forged token is refused with a status, a challenge and a sentence.
// A client that knows the API alone finds the issuer from its refusal, whatever
// it says about where it came from (RFC 9728).
func TestPRMFromARefusalToTheIssuer(t *testing.T) {
	d := startDev(t, "--data", t.TempDir())
	defer d.stop(syscall.SIGINT)
	_, _, header := call(t, "GET", d.API+"/orders", "")
	_, link, found := strings.Cut(header.Get("WWW-Authenticate"), `resource_metadata="`)
	link, _, _ = strings.Cut(link, `"`)
	if !found {
		t.Fatalf("challenge %s", header.Get("WWW-Authenticate"))
	}
	request, err := http.NewRequest("GET", link, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-Host", "evil.example")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var document struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil || document.Resource != d.Audience || len(document.Servers) != 1 || document.Servers[0] != d.Issuer {
		t.Errorf("got %+v %v, want the audience %s and the issuer %s", document, err, d.Audience, d.Issuer)
	}
}

func TestDevRefusesEveryForgedToken(t *testing.T) {
	d := startDev(t)
	names := map[string]bool{}
	for _, f := range d.Forged {
		names[f.Name] = true
		if strings.ContainsAny(f.Token, "\r\n\x00") {
			continue // no header can carry it
		}
		if len(f.Token) > 30<<10 {
			continue // the server refuses the header itself
		}
		status, body, header := call(t, "GET", d.API+"/orders", f.Token)
		var answer struct {
			Error       string
			Description string `json:"error_description"`
			RequestID   string `json:"request_id"`
		}
		json.Unmarshal([]byte(body), &answer)
		if (status != 401 && status != 400) || answer.Error == "" || answer.Description == "" || answer.RequestID == "" || !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: %d %s", f.Name, status, body)
		}
	}
	for file, sentence := range map[string]string{"alg-none": "algorithm", "hs256-public-key": "algorithm", "wrong-audience": "audience", "expired": "expired"} {
		if !names[file] {
			t.Errorf("%s is missing", file)
		}
		status, body, _ := call(t, "GET", d.API+"/orders", tokenOf(t, filepath.Join(d.Data, "forged", file)))
		if status != 401 || !strings.Contains(body, sentence) {
			t.Errorf("forged/%s: %d %s", file, status, body)
		}
	}
	t.Logf("%d forged tokens", len(d.Forged))
	d.stop(syscall.SIGTERM)
	for _, secret := range []string{d.Users[0].Password, d.Users[1].Password, d.Clients[1].Secret, d.Users[0].Token[40:90]} {
		if strings.Contains(d.log.String(), secret) {
			t.Error("the log holds a secret")
		}
	}
}

func TestC22DevHostAndPage(t *testing.T) {
	d := startDev(t)
	port := d.Issuer[strings.LastIndex(d.Issuer, ":"):]
	status, body, header := call(t, "GET", d.Issuer+"/", "")
	if status != 200 || !strings.Contains(body, d.Users[0].Password) || !strings.Contains(body, "curl") || header.Get("Content-Security-Policy") == "" {
		t.Errorf("the page: %d %s", status, body)
	}
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		if host == "[::1]" && !haveIPv6() {
			notRun = append(notRun, "TestC22DevHostAndPage by [::1]: no IPv6 loopback")
			continue
		}
		status, _, header := call(t, "GET", "http://"+host+port+"/x?y=1", "")
		if status != 308 || header.Get("Location") != d.Issuer+"/x?y=1" {
			t.Errorf("%s: %d %s", host, status, header.Get("Location"))
		}
	}
	// A page that rebinds its name to this machine reads none of them.
	for _, url := range []string{d.Issuer + "/", d.API + "/orders", d.Service + "/report", d.Apps[0].URL + "/", d.Apps[1].URL + "/"} {
		r, _ := http.NewRequest("GET", url, nil)
		r.Host = "rebind.example.com" + port
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 421 {
			t.Errorf("%s under another Host: %d, want 421", url, response.StatusCode)
		}
	}
	d.stop(syscall.SIGINT)
}

func haveIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

func TestC28DevFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := startDev(t, "--data", dir)
	issuer, secret, adaOld := d.Issuer, d.Clients[1].Secret, d.Users[0].Token
	d.stop(syscall.SIGINT)
	again := startDev(t, "--data", dir)
	if again.Issuer != issuer {
		t.Errorf("a restart with port 0 answers as %s, not %s", again.Issuer, issuer)
	}
	if again.Clients[1].Secret == secret || again.Users[0].Password == d.Users[0].Password {
		t.Error("each start sets new demo secrets")
	}
	// Keys stay with the folder, so the signature of an old token is good; but a new
	// password ends what was issued before it (C14).
	if status, body, _ := call(t, "GET", again.API+"/orders", adaOld); status != 401 || !strings.Contains(body, "The token was revoked.") {
		t.Errorf("a token of before the restart: %d %s", status, body)
	}
	again.stop(syscall.SIGINT)
	if fmt.Sprint(again.Apps) != fmt.Sprint(d.Apps) {
		t.Errorf("a restart with port 0 has the apps %v, not %v", again.Apps, d.Apps)
	}
	for i := 2; i < 5; i++ {
		if again.Clients[i].Secret == "" || again.Clients[i].Secret == d.Clients[i].Secret {
			t.Errorf("%s has no new secret", again.Clients[i].ID)
		}
	}
	// A kept folder keeps what was changed in it, also when that is in our way.
	if out, err := exec.Command(binary, "user", "disable", "ada", "--data", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	forgetApps(t, dir, d)
	third := startDev(t, "--data", dir)
	if len(third.Apps) != 2 || third.Clients[3].Secret == "" {
		t.Errorf("the apps of a folder that had none: %+v", third.Apps)
	}
	if third.Users[0].Token != "" || third.Users[1].Token == "" || len(third.Forged) < 100 {
		t.Errorf("with ada disabled: %.300s", third.line)
	}
	third.stop(syscall.SIGTERM)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder's mode is %v %v", info.Mode(), err)
	}
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"a folder of something else":  {[]string{"--data", t.TempDir() + "/.."}, "not from an earlier"},
		"another port for the folder": {[]string{"--data", dir, "--listen", "localhost:1"}, "--listen"},
		"another port for the shop":   {[]string{"--data", dir, "--shop-listen", "localhost:1"}, "--shop-listen"},
		"a shop for others":           {[]string{"--shop-listen", "0.0.0.0:0"}, "gatehouse serve"},
		"parcels for others":          {[]string{"--parcels-listen", "192.0.2.1:0"}, "gatehouse serve"},
		"not loopback":                {[]string{"--listen", "0.0.0.0:0"}, "gatehouse serve"},
		"a name that is not loopback": {[]string{"--api-listen", "example.com:0"}, "loopback"},
		"no port":                     {[]string{"--listen", "localhost"}, "HOST:PORT"},
		"an unknown flag":             {[]string{"--lisen", "x"}, "--lisen"},
	} {
		out, err := exec.Command(binary, append([]string{"dev"}, tc.args...)...).CombinedOutput()
		exit, _ := err.(*exec.ExitError)
		if exit == nil || exit.ExitCode() != 2 || !strings.Contains(string(out), tc.want) {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

func TestDevPortInUse(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for _, flag := range []string{"--listen", "--api-listen", "--shop-listen", "--parcels-listen"} {
		args := []string{"dev", "--listen", "localhost:0", "--api-listen", "localhost:0", flag, fmt.Sprintf("localhost:%d", port)}
		out, err := exec.Command(binary, args...).CombinedOutput()
		exit, _ := err.(*exec.ExitError)
		if exit == nil || exit.ExitCode() != 1 || !strings.Contains(string(out), fmt.Sprint(port)) || !strings.Contains(string(out), flag) {
			t.Errorf("%s: %v %s", flag, err, out)
		}
	}
}

// The apps are nobody's address: without a flag they take a free port when the
// usual one is taken.
func TestDevAppsFindAPort(t *testing.T) {
	for _, port := range []string{"8082", "8083"} {
		l, err := net.Listen("tcp4", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	d := startDev(t, "--shop-listen", "", "--parcels-listen", "")
	for i, host := range []string{"http://localhost:", "http://127.0.0.1:"} {
		if !strings.HasPrefix(d.Apps[i].URL, host) || strings.HasSuffix(d.Apps[i].URL, ":8082") || strings.HasSuffix(d.Apps[i].URL, ":8083") {
			t.Errorf("got %s", d.Apps[i].URL)
		}
		if status, _, header := call(t, "GET", d.Apps[i].URL+"/", ""); status != 303 || !strings.HasPrefix(header.Get("Location"), d.Issuer+"/oauth/authorize?") {
			t.Errorf("%s: %d %v", d.Apps[i].URL, status, header)
		}
	}
	d.stop(syscall.SIGINT)
}

// forgetApps makes a folder one of a version that had no web apps.
func forgetApps(t *testing.T, dir string, d *dev) {
	t.Helper()
	path := filepath.Join(dir, "gatehouse-dev.json")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var marker map[string]any
	if err := json.Unmarshal(content, &marker); err != nil || marker["shop_port"] == nil || marker["parcels_port"] == nil {
		t.Fatalf("%v %s", err, content)
	}
	delete(marker, "shop_port")
	delete(marker, "parcels_port")
	if content, err = json.Marshal(marker); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, app := range d.Apps {
		if out, err := exec.Command(binary, "client", "delete", app.ID, "--yes", "--data", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
}

// A dev folder whose key-encryption key is gone or another one: the keys are
// never replaced.
func TestDevNeverReplacesKeysItCannotOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := startDev(t, "--data", dir)
	d.stop(syscall.SIGINT)
	kek := filepath.Join(dir, "dev.kek")
	good, err := os.ReadFile(kek)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := exec.Command(binary, "key", "list", "--data", dir, "--json").Output()
	for name, change := range map[string]func() error{
		"another key": func() error { return os.WriteFile(kek, bytes.Repeat([]byte{7}, 32), 0o600) },
		"half a key":  func() error { return os.WriteFile(kek, good[:16], 0o600) },
		"no key":      func() error { return os.Remove(kek) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(binary, "dev", "--data", dir).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "key-encryption key") {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
	after, _ := exec.Command(binary, "key", "list", "--data", dir, "--json").Output()
	if len(before) == 0 || !bytes.Equal(before, after) {
		t.Error("the keys changed")
	}
	if err := os.WriteFile(kek, good, 0o600); err != nil {
		t.Fatal(err)
	}
	startDev(t, "--data", dir).stop(syscall.SIGINT)
}

// What a command changes takes effect in the running server within a second.
func TestC28CommandsBesideARunningServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := startDev(t, "--data", dir)
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(binary, append(args, "--data", dir)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
		return string(out)
	}
	first := kids(t, d.Issuer)
	run("key", "rotate")
	eventually(t, "the new keys are published", func() bool { return len(kids(t, d.Issuer)) == len(first)+1 })
	if status, _, _ := call(t, "GET", d.API+"/orders", d.Users[0].Token); status != 200 {
		t.Errorf("a token of the retiring key: %d", status)
	}
	run("key", "retire", kidOf(t, d.Users[0].Token))
	eventually(t, "the header files follow the keys", func() bool {
		status, _, _ := call(t, "GET", d.API+"/orders", tokenOf(t, filepath.Join(dir, "ada")))
		return status == 200 && tokenOf(t, filepath.Join(dir, "ada")) != d.Users[0].Token
	})
	run("user", "disable", "bob")
	form := strings.NewReader("client_id=demo-app&username=bob&password=" + d.Users[1].Password + "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256")
	response, err := http.Post(d.Issuer+"/oauth/authorize-challenge", "application/x-www-form-urlencoded", form)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 400 {
		t.Errorf("a disabled user logs in: %d", response.StatusCode)
	}
	d.stop(syscall.SIGINT)
}

func kids(t *testing.T, issuer string) []string {
	t.Helper()
	_, body, _ := call(t, "GET", issuer+"/.well-known/jwks.json", "")
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

func kidOf(t *testing.T, token string) string {
	t.Helper()
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var fields struct{ Kid string }
	if err := json.Unmarshal(header, &fields); err != nil {
		t.Fatal(err)
	}
	return fields.Kid
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Errorf("%s: not within ten seconds", what)
}

// A signal in the middle of the start ends it as cleanly as one later.
func TestDevInterruptedAtItsStart(t *testing.T) {
	for _, after := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond} {
		dir := t.TempDir()
		cmd := exec.Command(binary, "dev", "--listen", "localhost:0", "--api-listen", "localhost:0")
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it began", func() bool { entries, _ := os.ReadDir(dir); return len(entries) > 0 })
		time.Sleep(after)
		cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		entries, _ := os.ReadDir(dir)
		if err != nil || len(entries) > 0 {
			t.Errorf("after %s: %v, left behind %v", after, err, entries)
		}
	}
}

// The screen fits a terminal of 80 columns and 24 rows.
func TestDevScreenFits(t *testing.T) {
	cmd := exec.Command(binary, "dev", "--listen", "localhost:0", "--api-listen", "localhost:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	var lines []string
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
		if strings.HasPrefix(scanner.Text(), "Ctrl-C") {
			break
		}
	}
	if last := lines[len(lines)-1]; last != "Ctrl-C deletes everything. Keep it with --data ./gatehouse-data." {
		t.Errorf("the last line is %q", last)
	}
	if len(lines) > 24 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}
