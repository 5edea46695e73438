package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
)

// segment is a network namespace with one link to ours, over which its
// processes reach our servers.
type segment struct {
	name, link  string
	ours, there string // addresses
}

// newSegment makes a namespace, or says why this machine has none.
func newSegment(t *testing.T) (segment, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		return segment{}, fmt.Errorf("network namespaces need root")
	}
	id := rand.IntN(1 << 14)
	w := segment{name: fmt.Sprintf("gh%d", id), link: fmt.Sprintf("gh%da", id), ours: fmt.Sprintf("10.213.%d.%d", id>>6, id&63<<2+1), there: fmt.Sprintf("10.213.%d.%d", id>>6, id&63<<2+2)}
	if out, err := exec.Command("ip", "netns", "add", w.name).CombinedOutput(); err != nil {
		return segment{}, fmt.Errorf("ip netns add: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", w.name).Run() })
	inner := w.link + "b"
	for _, line := range []string{
		"link add " + w.link + " type veth peer name " + inner,
		"link set " + inner + " netns " + w.name,
		"addr add " + w.ours + "/30 dev " + w.link,
		"link set " + w.link + " up",
		"-n " + w.name + " addr add " + w.there + "/30 dev " + inner,
		"-n " + w.name + " link set " + inner + " up",
		"-n " + w.name + " link set lo up",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return segment{}, fmt.Errorf("ip %s: %v %s", line, err, out)
		}
	}
	t.Cleanup(func() { exec.Command("ip", "link", "del", w.link).Run() })
	return w, nil
}

// up and down switch the link.
func (w segment) set(t *testing.T, state string) {
	t.Helper()
	if out, err := exec.Command("ip", "link", "set", w.link, state).CombinedOutput(); err != nil {
		t.Fatalf("ip link set %s: %v %s", state, err, out)
	}
}

// dial connects inside the namespace: the link is not for clients.
func (w segment) dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		ns, err := os.Open("/run/netns/" + w.name)
		if err == nil {
			defer ns.Close()
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- result{err: err}
			return
		}
		conn, err := new(net.Dialer).DialContext(ctx, protocol, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// TestPartition cuts one of two nodes off from the database, without a sign: no
// packet comes back. It refuses to issue, serves its keys, and recovers alone;
// the other node does not notice.
func TestPartition(t *testing.T) {
	needPostgres(t)
	w, err := newSegment(t)
	if err != nil {
		notRun = append(notRun, t.Name()+": "+err.Error())
		t.SkipNow()
	}
	server := pgtest.StartOwn(t, pgtest.Config{Address: w.ours})
	dsn := server.Database(t)
	h := &house{installation: newInstallation(t), server: server, database: databaseOf(dsn)}
	h.configure(dsn, 2)
	away := h.nodes[1]
	away.wrap, away.dialer = []string{"ip", "netns", "exec", w.name}, w.dial
	for _, n := range h.nodes {
		n.start()
	}
	h.furnish()
	p := h.press(4)
	time.Sleep(700 * time.Millisecond)

	lasts := max(9*time.Second, min(time.Minute, faultTime(t)/10))
	p.settle()
	p.enter("partition")
	began := time.Now()
	w.set(t, "down")
	eventually(t, "the node says that the database is away", func() bool { status, _ := away.get("/readyz"); return status == 503 })
	t.Logf("readyz says so after %v", time.Since(began).Round(time.Millisecond))
	client := away.client()
	for time.Since(began) < lasts {
		if a, err := h.credentials(client); err != nil || a.status != 503 || a.retry == "" {
			t.Errorf("%v after the cut: %v %+v", time.Since(began), err, a)
		}
		if status, body := away.get("/.well-known/jwks.json"); status != 200 || !strings.Contains(body, `"kid"`) {
			t.Errorf("keys: %d %s", status, body)
		}
	}
	if a, err := h.credentials(h.nodes[0].client()); err != nil || a.status != 200 {
		t.Errorf("the other node: %v %+v", err, a)
	}
	p.enter("healing")
	w.set(t, "up")
	took := h.recovers(away, 20*time.Second)
	t.Logf("cut off for %v, it issues again %v after the link is back", lasts, took.Round(time.Millisecond))
	p.enter("healed")
	time.Sleep(700 * time.Millisecond)
	p.end()
	p.holds(t)
	if after := p.of("healed", false); after.count[503] > 2 || after.count[200] == 0 {
		t.Errorf("healed: %v", after.count)
	}
	if lost := p.kept(t); lost != 0 {
		t.Errorf("%d answers are lost", lost)
	}
}
