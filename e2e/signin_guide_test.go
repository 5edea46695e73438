package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestGuideSignIn registers the app of the guide as it says, runs its two
// programs, and signs in to one and then to the other; and pastes the rest.
func TestGuideSignIn(t *testing.T) {
	var shell []string
	for _, b := range blocksOf(t, "../docs/guides/sign-in.md") {
		if b.language == "" {
			shell = append(shell, b.text)
			continue
		}
		file := map[string]string{"go": "openid/main.go", "js": "openid/app.mjs"}[b.language]
		if program, err := os.ReadFile(file); err != nil || string(program) != b.text {
			t.Errorf("the guide's %s block is not %s: %v", b.language, file, err)
		}
	}
	if len(shell) != 5 {
		t.Fatalf("the guide has %d blocks for the shell; this test knows 5", len(shell))
	}
	d := startDev(t, "--data", t.TempDir())
	defer d.stop(syscall.SIGINT)
	paste := func(n int, more ...string) string {
		t.Helper()
		script := regexp.MustCompile(`gatehouse (client create)`).ReplaceAllString(shell[n], binary+" $1 --json --data "+d.Data)
		script = strings.NewReplacer("http://localhost:8080", d.Issuer, "curl ", "curl -sS ").Replace(script)
		cmd := exec.Command("bash", "-ec", script)
		cmd.Env = append(os.Environ(), more...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("block %d: %v %s", n+1, err, out)
		}
		return string(out)
	}
	var client struct {
		Secret string `json:"client_secret"`
	}
	if out := paste(0); json.Unmarshal([]byte(out), &client) != nil || client.Secret == "" {
		t.Fatalf("no secret: %s", out)
	}
	paste(1)
	paste(2)

	build := exec.Command("go", "build", "-o", filepath.Join(t.TempDir(), "app"), ".")
	build.Dir = "openid"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the guide's Go program: %v\n%s", err, out)
	}
	type program struct {
		url     string
		command []string
	}
	programs := []program{{"http://localhost:9000/", []string{build.Args[3]}}}
	if fetched("openid", "docs/guides/sign-in.md, Node") {
		programs = append(programs, program{"http://localhost:9001/", []string{"node", "app.mjs"}})
	}
	p := newPerson(t, d.Issuer, "ada", d.Users[0].Password)
	for i, app := range programs {
		cmd := exec.Command(app.command[0], app.command[1:]...)
		cmd.Dir = "openid"
		cmd.Env = append(os.Environ(), "ISSUER="+d.Issuer, "CLIENT_ID=myapp", "CLIENT_SECRET="+client.Secret)
		trouble := &syncBuffer{}
		cmd.Stdout, cmd.Stderr = trouble, trouble
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		eventually(t, app.url+" answers "+trouble.String(), func() bool {
			response, err := (&http.Client{Timeout: time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Get(app.url)
			if err != nil {
				return false
			}
			response.Body.Close()
			return response.StatusCode == http.StatusSeeOther
		})
		p.ends(app.url)
		if p.body != "hello, Ada Lovelace\n" {
			t.Errorf("%s says %q after %q\n%s", app.url, p.body, p.seen, trouble)
		}
		if want := []int{2, 0}[i]; len(p.seen) != want {
			t.Errorf("%s: the pages on the way are %q, want %d", app.url, p.seen, want)
		}
		p.seen = nil
		// An answer that nobody here asked for.
		if response, err := p.client.Get(app.url + "callback?code=c&state=s"); err != nil || response.StatusCode < 400 {
			t.Errorf("%s takes a stranger's answer: %v %v", app.url, response, err)
		}
	}
	last := programs[len(programs)-1].url
	response, err := p.client.PostForm(last+"sign-out", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if back := p.opens(response.Header.Get("Location")); back != last {
		t.Errorf("after the logout: %q %q", back, p.seen)
	}
	p.ends(last)
	if len(p.seen) == 0 || !strings.HasPrefix(p.seen[0], "Sign in to") {
		t.Errorf("after the logout nobody asks for a password: %q", p.seen)
	}

	if _, err := exec.LookPath("curl"); err != nil {
		notRun = append(notRun, "docs/guides/sign-in.md, device: no curl")
		return
	}
	var device, tokens map[string]any
	if out := paste(3); json.Unmarshal([]byte(out), &device) != nil || device["device_code"] == nil {
		t.Fatalf("got %s", out)
	}
	code, _ := device["device_code"].(string)
	if out := paste(4, "DEVICE_CODE="+code); !strings.Contains(out, "authorization_pending") {
		t.Errorf("before the decision: %s", out)
	}
	complete, _ := device["verification_uri_complete"].(string)
	p.opens(complete)
	time.Sleep(5 * time.Second) // the pause that the guide says
	if out := paste(4, "DEVICE_CODE="+code); json.Unmarshal([]byte(out), &tokens) != nil || tokens["id_token"] == nil {
		t.Errorf("after the decision: %s", out)
	}
}
