package e2e_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// faultTime is how long each test of faults goes on: longer by FAULT_TIME=10m.
func faultTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("FAULT_TIME")
	if text == "" {
		return 15 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFaultKill kills the server under load at random moments. Everything that
// was answered is in the database, every login goes on with the refresh token
// that its client holds, and nothing has to be repaired.
func TestFaultKill(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	tr := newTraffic(t, i)
	families := []*family{tr.login("ada"), tr.login("bob"), tr.login("eve")}
	kills, slowest := 0, time.Duration(0)
	for end := time.Now().Add(faultTime(t)); time.Now().Before(end); kills++ {
		tr.start(families, true)
		time.Sleep(time.Duration(rand.Int64N(int64(1200 * time.Millisecond))))
		server.Process.Kill()
		server.Wait()
		tr.end()
		began := time.Now()
		server = i.serve()
		slowest = max(slowest, time.Since(began))
		for n, f := range families {
			if a, err := tr.turn(f); err != nil || a.status != 200 {
				t.Fatalf("login %d, whose last answer may be lost, does not go on: %v %+v", n, err, a)
			}
		}
	}
	server.Process.Signal(syscall.SIGTERM)
	server.Wait()
	tokens, roles := tr.ledger()
	t.Logf("%d kills, %d tokens and %d roles acknowledged, slowest restart %v", kills, len(tokens), len(roles), slowest)
	if slowest > 5*time.Second || len(tokens) < 100*min(kills, 5) {
		t.Errorf("slowest restart %v, %d tokens", slowest, len(tokens))
	}
	holds(t, i.data(), tokens, roles)
	if len(tr.other) != 0 {
		t.Errorf("refusals: %v", tr.other)
	}
}

// TestFaultTornLog copies the database of a server that stands still in the
// middle of its work, as a power cut leaves it, and damages the end of the
// log. The copy opens by itself and has what was answered before.
func TestFaultTornLog(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	tr := newTraffic(t, i)
	families := []*family{tr.login("ada"), tr.login("bob")}
	type state struct {
		dir           string
		tokens, roles []string
		whole         bool // nothing that was synced is missing
	}
	var states []state
	tr.start(families, true)
	for n := range 8 {
		time.Sleep(200*time.Millisecond + time.Duration(rand.Int64N(int64(300*time.Millisecond))))
		tokens, roles := tr.ledger()
		server.Process.Signal(syscall.SIGSTOP)
		dir := filepath.Join(t.TempDir(), "data")
		copyFolder(t, i.data(), dir)
		server.Process.Signal(syscall.SIGCONT)
		log := filepath.Join(dir, "gatehouse.db-wal")
		switch n % 4 {
		case 0: // as it was
		case 1: // half of a write that was under way
			tear(t, log, func(b []byte) []byte { return append(b, b[32:32+2000]...) })
		case 2: // the disk wrote the size and not the content
			tear(t, log, func(b []byte) []byte { return append(b, make([]byte, 4096+24)...) })
		case 3: // a block of it never reached the disk
			tear(t, log, func(b []byte) []byte {
				at := 32 + rand.IntN(len(b)-32)
				clear(b[at:min(at+512, len(b))])
				return b
			})
		}
		states = append(states, state{dir, tokens, roles, n%4 != 3})
	}
	tr.end()
	server.Process.Kill()
	server.Wait()
	for n, s := range states {
		if err := os.RemoveAll(i.data()); err != nil {
			t.Fatal(err)
		}
		copyFolder(t, s.dir, i.data())
		server := i.serve()
		if a, err := tr.credentials(newClient("127.0.0.1")); err != nil || a.status != 200 {
			t.Errorf("copy %d does not issue: %v %+v", n, err, a)
		}
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
		if !s.whole {
			s.tokens, s.roles = nil, nil
		}
		holds(t, i.data(), s.tokens, s.roles)
	}
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gatehouse.db", "gatehouse.db-wal"} {
		content, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func tear(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil || len(content) < 8192 {
		t.Fatalf("the log has %d bytes: %v", len(content), err)
	}
	if err := os.WriteFile(path, change(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFaultDiskFull fills the disk of the data folder. The server says so and
// goes on with what needs no writing; nothing is half done; with room again it
// recovers by itself.
func TestFaultDiskFull(t *testing.T) {
	i := newInstallation(t)
	if err := os.Mkdir(i.data(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", i.data(), "tmpfs", 0, "size=8m,mode=0700"); err != nil {
		notRun = append(notRun, "TestFaultDiskFull: cannot mount a small disk: "+err.Error())
		return
	}
	defer syscall.Unmount(i.data(), syscall.MNT_DETACH)
	server := i.serve()
	tr := newTraffic(t, i)
	families := []*family{tr.login("ada")}
	client := newClient("127.0.0.1")
	for round := range 2 {
		filler := filepath.Join(i.data(), "filler")
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(f, io.LimitReader(zeros{}, 1<<30)); err == nil {
			t.Fatalf("the disk takes %d bytes", n)
		}
		f.Close()
		var full answer
		eventually(t, "tokens are refused", func() bool {
			a, err := tr.credentials(client)
			if err != nil {
				t.Fatal(err)
			}
			full = a
			return a.status != 200
		})
		if full.status != 503 || full.Error != "temporarily_unavailable" || full.retry == "" {
			t.Errorf("round %d: with a full disk: %+v", round, full)
		}
		before := kids(t, i.issuer) // the key set is served all the same
		if len(before) == 0 {
			t.Error("no keys are served")
		}
		if status, body, _ := call(t, "GET", i.issuer+"/readyz", ""); status != 503 {
			t.Errorf("readyz: %d %s", status, body)
		}
		if status, _, _ := call(t, "GET", i.issuer+"/healthz", ""); status != 200 {
			t.Errorf("healthz: %d; a restart would not help", status)
		}
		for range 200 { // each abandons a transaction; none may leave a file open
			tr.credentials(client)
		}
		if out, err := i.try("key", "rotate", "--now"); err == nil || !strings.Contains(out, "Make room") {
			t.Errorf("key rotate: %v %s", err, out)
		}
		time.Sleep(300 * time.Millisecond) // longer than the server needs to hear of it
		if after := kids(t, i.issuer); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("half a rotation: %v, %v", before, after)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it recovers by itself", func() bool {
			a, err := tr.credentials(client)
			status, _, _ := call(t, "GET", i.issuer+"/readyz", "")
			return err == nil && a.status == 200 && status == 200
		})
		if a, err := tr.turn(families[0]); err != nil || a.status != 200 {
			t.Errorf("refresh: %v %+v", err, a)
		}
		i.run("key", "rotate", "--now")
		eventually(t, "the next key is published", func() bool { return len(kids(t, i.issuer)) == len(before)+1 })
	}
	if n := openFiles(t, server.Process.Pid); n > 60 {
		t.Errorf("the server has %d files open", n)
	}
	server.Process.Signal(syscall.SIGTERM)
	server.Wait()
	tokens, roles := tr.ledger()
	holds(t, i.data(), tokens, roles)
}

func openFiles(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestFaultTerminate ends the server by SIGTERM in the middle of its work,
// again and again. No request that was sent is lost: each is answered, or its
// connection is refused before it is sent.
func TestFaultTerminate(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	tr := newTraffic(t, i)
	families := []*family{tr.login("ada"), tr.login("bob")}
	for range 5 {
		lost := make(chan error, 100)
		stop := make(chan struct{})
		for n := range 8 {
			client := newClient("127.0.0.1")
			client.Transport = &sent{next: client.Transport}
			tr.all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					var err error
					if n < len(families) {
						families[n].client = client
						_, err = tr.turn(families[n])
					} else {
						_, err = tr.credentials(client)
					}
					if err != nil && strings.Contains(err.Error(), "connection refused") {
						time.Sleep(20 * time.Millisecond)
					} else if err != nil {
						lost <- err
					}
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		server.Process.Signal(syscall.SIGTERM)
		began := time.Now()
		if err := server.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("the end took %v", took)
		}
		server = i.serve()
		close(stop)
		tr.all.Wait()
		close(lost)
		for err := range lost {
			t.Errorf("a request was lost: %v", err)
		}
	}
	server.Process.Signal(syscall.SIGTERM)
	server.Wait()
	tokens, roles := tr.ledger()
	t.Logf("%d tokens", len(tokens))
	holds(t, i.data(), tokens, roles)
	if len(tr.other) != 0 {
		t.Errorf("refusals: %v", tr.other)
	}
}

// sent is a transport; it is here to keep the standard one from sending a
// request a second time.
type sent struct{ next http.RoundTripper }

func (s *sent) RoundTrip(r *http.Request) (*http.Response, error) {
	r.GetBody = nil
	return s.next.RoundTrip(r)
}
