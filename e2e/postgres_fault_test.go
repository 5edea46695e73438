package e2e_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
)

// TestFaultPostgres makes PostgreSQL slow, lets it hang, kills it and restarts
// it, under load.
func TestFaultPostgres(t *testing.T) {
	server := ownPostgres(t)
	dsn := server.Database(t)
	link := pgtest.NewLink(t, server.Address())
	h := newHouse(t, server, strings.Replace(dsn, server.Address(), link.Address(), 1), 1)
	h.furnish()
	n := h.nodes[0]
	p := h.press(6)
	time.Sleep(time.Second)
	connections := func() int {
		count, _ := strconv.Atoi(h.query(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'gatehouse'`))
		return count
	}
	files, open := openFiles(t, n.cmd.Process.Pid), connections()

	long := max(time.Second, faultTime(t)/60)
	faults := []struct {
		name       string
		begin, end func()
		lasts      time.Duration
		away       bool // nothing can be issued
	}{
		{"slow", func() { link.Delay(150 * time.Millisecond) }, func() { link.Delay(0) }, 2 * time.Second, false},
		{"hanging", func() { server.Pause() }, func() { server.Resume() }, 8 * time.Second, true},
		{"killed", func() { h.must(server.Kill()) }, func() { h.must(server.Start()) }, 2 * long, true},
		{"restarted", func() { h.must(server.Stop()) }, func() { h.must(server.Start()) }, long, true},
		{"cut", func() { link.Cut() }, func() {}, 0, false},
	}
	for _, f := range faults {
		p.settle()
		p.enter(f.name)
		began := time.Now()
		f.begin()
		if f.away {
			eventually(t, "readyz says that the database is away", func() bool {
				status, body := n.get("/readyz")
				return status == 503 && strings.Contains(body, "database")
			})
			t.Logf("%s: readyz says so after %v", f.name, time.Since(began).Round(time.Millisecond))
		}
		if status, _ := n.get("/healthz"); status != 200 {
			t.Errorf("%s: healthz %d; a restart would not help", f.name, status)
		}
		time.Sleep(time.Until(began.Add(f.lasts)))
		f.end()
		if took := h.recovers(n, 15*time.Second); took > 7*time.Second {
			t.Errorf("%s: it issues again %v after the end", f.name, took)
		}
		n.ready()
		p.settle()
		p.enter("after-" + f.name)
		time.Sleep(700 * time.Millisecond)
	}
	p.end()
	p.holds(t)
	for _, f := range faults {
		if f.away && p.of(f.name, false).count[503] == 0 {
			t.Errorf("%s: no request was refused: did it happen?", f.name)
		}
		after := p.of("after-"+f.name, false)
		if after.count[200] == 0 || after.count[503] > 2 {
			t.Errorf("after-%s: %v", f.name, after.count)
		}
	}
	if lost := p.kept(t); lost != 0 {
		t.Errorf("%d answers are lost", lost)
	}
	after, held := connections(), openFiles(t, n.cmd.Process.Pid)
	left := n.goroutines()
	t.Logf("connections to the database %d, %d before; open files %d, %d before; %d goroutines", after, open, held, files, left)
	if after > poolSize || held > files+poolSize || left > 100 {
		t.Error("something leaks")
	}
}

// poolSize is how many connections to PostgreSQL a node opens at most.
const poolSize = 24
