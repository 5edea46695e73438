package e2e_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// installation is a folder with a configuration for `gatehouse serve`.
type installation struct {
	t      *testing.T
	config string
	kek    string
	issuer string
}

func newInstallation(t *testing.T) installation {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	i := installation{t: t, config: filepath.Join(dir, "gatehouse.yaml"), kek: filepath.Join(dir, "kek"), issuer: fmt.Sprintf("http://localhost:%d", port)}
	i.write(i.kek, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)))
	i.write(i.config, fmt.Sprintf("issuer: %s\nlisten: 127.0.0.1:%d\ndata: ./data\nkey_encryption_key: { file: ./kek }\n", i.issuer, port))
	return i
}

func (i installation) write(path, content string) {
	i.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func (i installation) serve() *exec.Cmd {
	i.t.Helper()
	cmd := exec.Command(binary, "serve", "--config", i.config)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(i.t, "serve is ready", func() bool {
		response, err := http.Get(i.issuer + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == 200
	})
	return cmd
}

// run runs an administration command, told by the environment where.
func (i installation) run(args ...string) []byte {
	i.t.Helper()
	out, err := i.try(args...)
	if err != nil {
		i.t.Fatalf("%v: %v %s", args, err, out)
	}
	return []byte(out)
}

// stdout is run without what is said on standard error.
func (i installation) stdout(args ...string) []byte {
	i.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "GATEHOUSE_CONFIG="+i.config)
	out, err := cmd.Output()
	if err != nil {
		i.t.Fatalf("%v: %v", args, err)
	}
	return out
}

// try is run for commands that may fail.
func (i installation) try(args ...string) (string, error) {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "GATEHOUSE_CONFIG="+i.config)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestServe(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	i.run("api", "create", "orders", "--audience", "https://orders.example.com", "--scope", "orders:read", "--algorithm", "RS256")
	i.run("role", "create", "viewer", "--scope", "orders:read")
	var robot struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(i.run("service-account", "create", "robot", "--role", "viewer", "--json"), &robot); err != nil {
		t.Fatal(err)
	}
	token := func() (int, string) {
		response, err := http.PostForm(i.issuer+"/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"robot"}, "client_secret": {robot.Secret}})
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var answer struct {
			Token string `json:"access_token"`
		}
		json.NewDecoder(response.Body).Decode(&answer)
		return response.StatusCode, answer.Token
	}
	status, raw := token()
	if status != 200 || kidOf(t, raw) == "" {
		t.Fatalf("client_credentials: %d", status)
	}
	before := kids(t, i.issuer)
	if len(before) != 4 {
		t.Errorf("%d keys: an active and a pending one for each of ES256 and RS256", len(before))
	}
	// Planned: published now, signs in 24 hours.
	i.run("key", "rotate", "--algorithm", "RS256")
	eventually(t, "the next key is published", func() bool { return len(kids(t, i.issuer)) == 5 })
	if _, again := token(); kidOf(t, again) != kidOf(t, raw) {
		t.Error("a planned key signs at once")
	}
	i.run("service-account", "disable", "robot")
	if status, _ := token(); status != 401 {
		t.Errorf("a disabled service account: %d", status)
	}
	server.Process.Signal(syscall.SIGTERM)
	if err := server.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}

	// Another key-encryption key: the start ends with what to do, and nothing changes.
	i.write(i.kek, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, 32)))
	out, err := exec.Command(binary, "serve", "--config", i.config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "never replaces keys") {
		t.Errorf("%v %s", err, out)
	}
	i.write(i.kek, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)))
	i.serve()
	if after := kids(t, i.issuer); len(after) != 5 {
		t.Errorf("%d keys after the wrong start", len(after))
	}

	// A blocklist that cannot be read ends the start; one that can counts for
	// administrators too.
	plain, err := os.ReadFile(i.config)
	if err != nil {
		t.Fatal(err)
	}
	i.write(i.config, string(plain)+"passwords: { blocklist: ./blocked }\n")
	out, err = exec.Command(binary, "serve", "--config", i.config).CombinedOutput()
	if code := err.(*exec.ExitError).ExitCode(); code != 2 || !strings.Contains(string(out), "passwords.blocklist") || !strings.Contains(string(out), "no such file") {
		t.Errorf("%d %s", code, out)
	}
	i.write(filepath.Join(filepath.Dir(i.config), "blocked"), "nine purple lamps in a well\n")
	create := exec.Command(binary, "user", "create", "ada", "--config", i.config, "--password-file", "-")
	create.Stdin = strings.NewReader("Nine purple lamps in a well!")
	if out, err = create.CombinedOutput(); err == nil || !strings.Contains(string(out), "this installation refuses") {
		t.Errorf("%v %s", err, out)
	}
	i.write(i.config, string(plain))

	// Another issuer on the same data (C2).
	content, err := os.ReadFile(i.config)
	if err != nil {
		t.Fatal(err)
	}
	i.write(i.config, strings.Replace(string(content), "issuer: http://localhost", "issuer: http://127.0.0.1", 1))
	out, err = exec.Command(binary, "serve", "--config", i.config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "One installation is one issuer") {
		t.Errorf("%v %s", err, out)
	}
}

func TestServeTLS(t *testing.T) {
	i := newInstallation(t)
	dir := filepath.Dir(i.config)
	generate := exec.Command("go", "run", filepath.Join(goroot(t), "src/crypto/tls/generate_cert.go"), "--host", "localhost")
	generate.Dir = dir
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	content, err := os.ReadFile(i.config)
	if err != nil {
		t.Fatal(err)
	}
	i.write(i.config, strings.Replace(string(content), "issuer: http:", "tls: { cert: ./cert.pem, key: ./key.pem }\nissuer: https:", 1))
	cmd := exec.Command(binary, "serve", "--config", i.config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	certificate, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	address := strings.Replace(i.issuer, "http:", "https:", 1) + "/.well-known/jwks.json"
	eventually(t, "serve answers over TLS", func() bool {
		response, err := client.Get(address)
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == 200 && response.Header.Get("Strict-Transport-Security") != ""
	})
	old := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MaxVersion: tls.VersionTLS11}}}
	if response, err := old.Get(address); err == nil {
		response.Body.Close()
		t.Error("TLS 1.1 is taken")
	}
}

func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// The unit of the guide is one that systemd takes, and as closed as it says.
func TestTheUnitOfTheGuide(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		notRun = append(notRun, "docs/start/gatehouse.service: no systemd-analyze")
		return
	}
	unit, err := os.ReadFile("../docs/start/gatehouse.service")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("/usr/local/bin/gatehouse", binary, "User=gatehouse", "User=daemon", "Group=gatehouse", "Group=daemon").Replace(string(unit))
	path := filepath.Join(t.TempDir(), "gatehouse.service")
	if err := os.WriteFile(path, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v %s", err, out)
	}
	if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=25", path).CombinedOutput(); err != nil {
		t.Errorf("security: %v %s", err, out)
	}
}
