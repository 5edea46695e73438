package e2e_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guardtest"
)

// One line protects an API; the policy that it prints is equal to it, can be
// changed and is read again at SIGHUP.
func TestGatewayInOneLine(t *testing.T) {
	issuer := guardtest.NewIssuer(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-User-Id")) }))
	defer upstream.Close()
	const audience = "https://api.example.com"
	url, policy, stop, _ := startGateway(t, "--to", upstream.URL, "--issuer", issuer.URL(), "--audience", audience)
	ask := func(url, token string) (int, string) {
		t.Helper()
		r, _ := http.NewRequest("GET", url+"/orders", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(body)
	}
	token := issuer.Token(guardtest.Token{Subject: "usr_amy", Audience: audience})
	if status, _ := ask(url, ""); status != 401 {
		t.Errorf("without a token: %d", status)
	}
	if status, body := ask(url, token); status != 200 || body != "usr_amy" {
		t.Errorf("with a token: %d %s", status, body)
	}
	stop()

	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	url, _, stop, process := startGateway(t, "--policy", file)
	if status, body := ask(url, token); status != 200 || body != "usr_amy" {
		t.Errorf("by the policy that was printed: %d %s", status, body)
	}
	changed := strings.Replace(policy, "/**: {}", "/**: { scope: never:granted }", 1)
	if changed == policy {
		t.Fatalf("the policy has no such line:\n%s", policy)
	}
	os.WriteFile(file, []byte(changed), 0o600)
	process.Signal(syscall.SIGHUP)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if status, _ := ask(url, token); status == 403 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the changed policy is not taken up")
		}
	}
	stop()
}

// startGateway runs the binary; stop ends it and checks that it ended well.
func startGateway(t *testing.T, args ...string) (url, policy string, stop func(), process *os.Process) {
	t.Helper()
	c := exec.Command(binary, append([]string{"gateway", "--listen", "127.0.0.1:0", "--json"}, args...)...)
	var log strings.Builder
	c.Stderr = &log
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var ready struct{ Gateway, Policy string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		c.Process.Kill()
		c.Wait()
		t.Fatalf("gateway: %v\n%s", err, log.String())
	}
	return ready.Gateway, ready.Policy, func() {
		t.Helper()
		c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("gateway: %v\n%s", err, log.String())
		}
	}, c.Process
}

// dev has a gateway before an API that knows nothing of tokens.
func TestDevGateway(t *testing.T) {
	d := startDev(t)
	defer d.stop(syscall.SIGTERM)
	users := map[string]string{"nobody": ""}
	for _, u := range d.Users {
		users[u.Username] = u.Token
	}
	for _, tc := range []struct {
		user, method string
		want         int
	}{{"ada", "GET", 200}, {"ada", "POST", 200}, {"bob", "GET", 200}, {"bob", "POST", 403}, {"nobody", "GET", 401}} {
		if status, body, _ := call(t, tc.method, d.Gateway+"/orders", users[tc.user]); status != tc.want || status == 200 && (!strings.Contains(body, `"X-User-Id"`) || strings.Contains(body, "Authorization")) {
			t.Errorf("%s %s: %d, want %d\n%s", tc.user, tc.method, status, tc.want, body)
		}
	}
	if len(d.Forged) < 100 {
		t.Fatalf("%d forged tokens", len(d.Forged))
	}
	for _, f := range d.Forged {
		if strings.ContainsAny(f.Token, "\r\n\x00") {
			continue // no client can send it
		}
		if status, _, _ := call(t, "GET", d.Gateway+"/orders", f.Token); status != 401 && status != 400 && status != 431 {
			t.Errorf("forged token %s: %d", f.Name, status)
		}
	}
}
