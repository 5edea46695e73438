package e2e_test

import (
	"bytes"
	"encoding/base64"
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

// TestFaultSlowClients opens connections that send as little as they can, from
// two addresses. Others are served meanwhile, and the slow ones are cut off.
func TestFaultSlowClients(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	tr := newTraffic(t, i)
	address := strings.TrimPrefix(i.issuer, "http://localhost")
	begin := map[string]string{
		"nothing at all":  "",
		"half a header":   "GET /healthz HTTP/1.1\r\nHost: localhost" + address + "\r\nX-A: b",
		"half a body":     "POST /oauth/token HTTP/1.1\r\nHost: localhost" + address + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\ngrant_type=",
		"a pipeline":      strings.Repeat("GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost"+address+"\r\n\r\n", 5),
		"not HTTP at all": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	}
	var open []net.Conn
	cut := map[string]time.Duration{}
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		for n := range 300 { // more than one address may hold
			conn, err := dialer.Dial("tcp4", "127.0.0.1"+address)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, conn)
			names := []string{"nothing at all", "half a header", "half a body", "a pipeline", "not HTTP at all"}
			name := names[n%len(names)]
			io.WriteString(conn, begin[name])
			if name == "a pipeline" {
				continue // an idle connection may stay for two minutes
			}
			all.Go(func() {
				for end := time.Now().Add(25 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
					if _, err := conn.Write([]byte("a")); err != nil { // a letter now and then
						mu.Lock()
						cut[name] = max(cut[name], time.Since(began))
						mu.Unlock()
						return
					}
				}
				t.Errorf("%s: still open after 25 seconds", name)
			})
		}
	}
	// Meanwhile another client works.
	client, slowest := newClient("127.0.0.1"), time.Duration(0)
	for range 50 {
		asked := time.Now()
		if a, err := tr.credentials(client); err != nil || a.status != 200 {
			t.Fatalf("another client: %v %+v", err, a)
		}
		slowest = max(slowest, time.Since(asked))
	}
	if slowest > time.Second {
		t.Errorf("another client waited %v", slowest)
	}
	if n := openFiles(t, server.Process.Pid); n > 2*256+60 {
		t.Errorf("%d files are open: more than two addresses may hold", n)
	}
	all.Wait()
	t.Logf("others waited %v at most; cut off after %v", slowest, cut)
	for _, name := range []string{"nothing at all", "half a header", "not HTTP at all"} {
		if cut[name] > 12*time.Second {
			t.Errorf("%s: cut off after %v; a header may take 5 seconds", name, cut[name])
		}
	}
	for _, conn := range open {
		conn.Close()
	}
	eventually(t, "all files are closed", func() bool { return openFiles(t, server.Process.Pid) < 60 })
}

// TestFaultGiants sends what is too large to be meant well. Each is refused, in
// little time and memory.
func TestFaultGiants(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	tr := newTraffic(t, i)
	host := strings.TrimPrefix(i.issuer, "http://")
	form := func(body string) *http.Request {
		r, err := http.NewRequest("POST", i.issuer+"/oauth/token", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	with := func(change func(*http.Request)) *http.Request {
		r, err := http.NewRequest("GET", i.issuer+"/.well-known/jwks.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		return r
	}
	assertion := "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&grant_type=client_credentials&client_assertion="
	deep := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(`{"a":`, 4000) + "1" + strings.Repeat("}", 4000)))
	peak := memory(t, server.Process.Pid)
	for name, tc := range map[string]struct {
		request *http.Request
		want    int
	}{
		"a body of 32 MiB": {form("a=" + strings.Repeat("x", 32<<20)), 400},
		"a body without an end": {func() *http.Request {
			r := form("x")
			r.Body = io.NopCloser(io.LimitReader(zeros{}, 64<<20))
			r.ContentLength = -1
			return r
		}(), 400},
		"100,000 parameters":       {form(strings.Repeat("a=b&", 100_000)), 400},
		"one parameter many times": {form("grant_type=client_credentials" + strings.Repeat("&scope=a", 5000)), 400},
		"a token of 60 KiB":        {form("grant_type=refresh_token&client_id=app&refresh_token=" + strings.Repeat("x", 60<<10)), 400},
		"a deep assertion":         {form(assertion + deep + "." + deep + ".AAAA"), 400},
		"1 MiB of header":          {with(func(r *http.Request) { r.Header.Set("X-A", strings.Repeat("a", 1<<20)) }), 431},
		"10,000 headers": {with(func(r *http.Request) {
			for n := range 10_000 {
				r.Header.Set(fmt.Sprint("X-", n), "a")
			}
		}), 431},
		"a path of 1 MiB": {with(func(r *http.Request) { r.URL.Path = "/" + strings.Repeat("a", 1<<20) }), 431},
		"another host":    {with(func(r *http.Request) { r.Host = "evil.example.com" }), 421},
		"no such host":    {with(func(r *http.Request) { r.Host = host + ".evil.example.com" }), 421},
		"gzip, unpacked by nobody": {func() *http.Request {
			r := form("grant_type=client_credentials")
			r.Header.Set("Content-Encoding", "gzip")
			return r
		}(), 401},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			status := 0
			response, err := newClient("127.0.0.1").Do(tc.request)
			if err == nil {
				status = response.StatusCode
				response.Body.Close()
			}
			// The server may answer and close before all is sent, which the
			// client may see as a broken connection.
			if err != nil && !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "reset by peer") || err == nil && status != tc.want {
				t.Errorf("got %d %v, want %d", status, err, tc.want)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			if a, err := tr.credentials(newClient("127.0.0.1")); err != nil || a.status != 200 {
				t.Errorf("afterwards: %v %+v", err, a)
			}
		})
	}
	if grown := memory(t, server.Process.Pid) - peak; grown > 96<<10 {
		t.Errorf("the peak of memory grew by %d KiB", grown)
	}
}

// memory is the peak of a process in KiB.
func memory(t *testing.T, pid int) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// TestFaultPermissions takes the permissions of files away between two starts.
// Each start ends with what to do, and no key is ever replaced.
func TestFaultPermissions(t *testing.T) {
	i := newInstallation(t)
	dir := filepath.Dir(i.config)
	for parent := dir; parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "gatehouse")
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, content, 0o755); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	run := func(seconds time.Duration, args ...string) (string, int) {
		cmd := exec.Command(program, args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if os.Geteuid() == 0 { // root may read everything, so somebody else starts it
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(seconds, func() { cmd.Process.Signal(syscall.SIGTERM) })
		defer timer.Stop()
		cmd.Wait()
		return out.String(), cmd.ProcessState.ExitCode()
	}
	if os.Geteuid() == 0 {
		for _, path := range []string{dir, i.config, i.kek} {
			if err := os.Chown(path, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	keysOf := func() string {
		out, code := run(10*time.Second, "key", "list", "--json", "--config", i.config)
		if code != 0 {
			t.Fatalf("key list: %d %s", code, out)
		}
		return out
	}
	if out, code := run(time.Second, "serve", "--config", i.config); code != 0 || !strings.Contains(out, "ready") {
		t.Fatalf("the first start: %d %s", code, out)
	}
	before := keysOf()
	for name, tc := range map[string]struct {
		path string
		mode os.FileMode
		code int
		want string
	}{
		"the key-encryption key cannot be read":  {i.kek, 0, 4, "Put back"},
		"the key-encryption key is open to all":  {i.kek, 0o644, 1, "chmod 600"},
		"the configuration cannot be read":       {i.config, 0, 2, "permission denied"},
		"the data folder cannot be entered":      {i.data(), 0, 4, "permission denied"},
		"the data folder is open to all":         {i.data(), 0o777, 1, "chmod o-w"},
		"nothing can be made in the data folder": {i.data(), 0o500, 1, "permissions of the data folder"},
		"the database cannot be written":         {filepath.Join(i.data(), "gatehouse.db"), 0o400, 4, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			info, err := os.Stat(tc.path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(tc.path, tc.mode); err != nil {
				t.Fatal(err)
			}
			out, code := run(2*time.Second, "serve", "--config", i.config)
			if code != tc.code || !strings.Contains(out, tc.want) {
				t.Errorf("exit code %d, want %d\n%s", code, tc.code, out)
			}
			if err := os.Chmod(tc.path, info.Mode().Perm()); err != nil {
				t.Fatal(err)
			}
			if after := keysOf(); after != before {
				t.Errorf("other keys:\n%s\n%s", before, after)
			}
		})
	}
	// As another user, the owner is named.
	if os.Geteuid() != 0 {
		notRun = append(notRun, "TestFaultPermissions as another user: not root")
		return
	}
	if out, err := i.try("key", "list"); err == nil || !strings.Contains(out, "sudo -u") {
		t.Errorf("root on another's folder: %v %s", err, out)
	}
}
