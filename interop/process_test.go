package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bounded runs a command to its end, or ends it and all its children after
// eight minutes.
func bounded(dir string, env []string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	group(cmd)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// group makes a command the head of a process group, which is ended as a whole.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
}

// process is a program that runs until the test ends.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // of standard output
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, dir string, env []string, command ...string) *process {
	t.Helper()
	// When go test ends itself it runs no cleanup: no process may live that long.
	last := time.Now().Add(8 * time.Minute)
	if end, ok := t.Deadline(); ok && end.Add(-10*time.Second).Before(last) {
		last = end.Add(-10 * time.Second)
	}
	ctx, cancel := context.WithDeadline(context.Background(), last)
	p := &process{t: t, cmd: exec.CommandContext(ctx, command[0], command[1:]...), lines: make(chan string, 1000), log: &lockedBuffer{}}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = dir, append(os.Environ(), env...), p.log
	group(p.cmd)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewReader(out); ; {
			line, err := scanner.ReadString('\n')
			if line != "" {
				p.lines <- strings.TrimSpace(line)
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		p.cmd.Wait()
	})
	return p
}

// line is the rest of the next line that begins with a word.
func (p *process) line(word string) string {
	p.t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case line, open := <-p.lines:
			if !open {
				p.t.Fatalf("it ended without %q:\n%s", word, p.log)
			}
			if rest, found := strings.CutPrefix(line, word+" "); found {
				return rest
			}
		case <-timeout:
			p.t.Fatalf("no %q within two minutes:\n%s", word, p.log)
		}
	}
}

// dev is a running gatehouse dev, and what its line says.
type dev struct {
	*process
	Data, Issuer, Audience string
	Users                  []struct{ Username, Password, Token string }
	Clients                []struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
		Token  string
	}
	Forged []struct{ Name, ID, Token string }
}

func startDev(t *testing.T) *dev {
	t.Helper()
	d := &dev{process: start(t, ".", nil, gatehouse(), "dev", "--json", "--listen", "localhost:0", "--api-listen", "localhost:0", "--data", t.TempDir())}
	select {
	case line := <-d.lines:
		if err := json.Unmarshal([]byte(line), d); err != nil || d.Issuer == "" {
			t.Fatalf("gatehouse dev said %q: %v\n%s", line, err, d.log)
		}
	case <-time.After(time.Minute):
		t.Fatalf("gatehouse dev is not ready after a minute:\n%s", d.log)
	}
	return d
}

// user is a user's valid token.
func (d *dev) user(name string) (password, token string) {
	for _, u := range d.Users {
		if u.Username == name {
			return u.Password, u.Token
		}
	}
	d.t.Fatalf("no user %s", name)
	return "", ""
}

func (d *dev) service() (id, secret, token string) {
	for _, c := range d.Clients {
		if c.ID == "demo-service" {
			return c.ID, c.Secret, c.Token
		}
	}
	d.t.Fatal("no service account")
	return "", "", ""
}

func (d *dev) forged(name string) string {
	for _, f := range d.Forged {
		if f.Name == name {
			return f.Token
		}
	}
	d.t.Fatalf("no forged token %s", name)
	return ""
}

// administer runs the command line beside the running server.
func (d *dev) administer(args ...string) string {
	d.t.Helper()
	out, err := bounded(".", nil, append([]string{gatehouse()}, append(args, "--data", d.Data)...)...)
	if err != nil {
		d.t.Fatalf("%q: %v %s", args, err, out)
	}
	return out
}

// app makes a public first-party client, as a native app would be.
func (d *dev) app(id string, flags ...string) {
	d.t.Helper()
	d.administer(append([]string{"client", "create", id, "--public", "--first-party", "--redirect-uri", "http://127.0.0.1/cb", "--id-token-alg", "ES256",
		"--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "offline_access", "--scope", "orders:read", "--scope", "orders:write"}, flags...)...)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

var client = &http.Client{Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// status is what an API answers to a token; 0 when it does not answer.
func status(method, url, token string) int {
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0
	}
	if token != "" {
		r.Header["Authorization"] = []string{"Bearer " + token}
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

func waitFor(limit time.Duration, ok func() bool) (time.Duration, bool) {
	began := time.Now()
	for {
		if ok() {
			return time.Since(began), true
		}
		if time.Since(began) > limit {
			return time.Since(began), false
		}
		time.Sleep(200 * time.Millisecond)
	}
}
