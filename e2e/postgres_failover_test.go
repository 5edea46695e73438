package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
)

// TestFailover loses the primary under load, together with what it had not yet
// sent to its stand-by, and promotes the stand-by. With synchronous replication
// nothing that was answered is gone. With asynchronous replication the nodes
// say beforehand that this can be, and what was spent is not spent again.
func TestFailover(t *testing.T) {
	for _, tc := range []struct {
		name       string
		mode       pgtest.Mode
		durability string
	}{{"synchronous", pgtest.Sync, "quorum"}, {"asynchronous", pgtest.Async, "async"}} {
		t.Run(tc.name, func(t *testing.T) { failover(t, tc.mode, tc.durability) })
	}
}

func failover(t *testing.T, mode pgtest.Mode, durability string) {
	needPostgres(t)
	t.Parallel() // most of it is waiting for deadlines
	primary := ownPostgres(t)
	dsn := primary.Database(t)
	link := pgtest.NewLink(t, primary.Address())
	standby := primary.Standby(t, mode, link)
	h := newHouse(t, primary, pgtest.DSN(databaseOf(dsn), primary, standby), 2)
	h.furnish()
	for i, n := range h.nodes {
		text := n.log.String()
		if !strings.Contains(text, "durability="+durability) || strings.Contains(text, "a failover of the database can forget") != (mode == pgtest.Async) {
			t.Errorf("node %d does not say how durable it is, want %s:\n%s", i, durability, text)
		}
	}
	p := h.press(8)
	time.Sleep(time.Second)

	// A code is redeemed when the stand-by no longer hears of it.
	browser := h.session(h.nodes[0])
	code, err := h.code(browser)
	if err != nil {
		t.Fatal(err)
	}
	p.settle()
	p.enter("cut-off")
	link.Still(true)
	client := h.nodes[0].client()

	first, err := h.redeem(client, code)
	if err != nil {
		t.Fatal(err)
	}
	if mode == pgtest.Sync && first.status == 200 {
		t.Error("a redemption was answered that the stand-by does not have")
	}
	if mode == pgtest.Async && first.status != 200 {
		t.Fatalf("redeem: %+v", first)
	}
	time.Sleep(time.Second)
	h.must(primary.Kill())
	link.Cut()
	link.Still(false)
	p.enter("failed-over")
	began := time.Now()
	h.must(standby.Promote())
	h.server = standby
	for _, n := range h.nodes {
		t.Logf("the node on %s issues again %v after the promotion", n.address, h.recovers(n, 20*time.Second).Round(time.Millisecond))
	}
	t.Logf("%v from the kill on", time.Since(began).Round(time.Millisecond))
	second, err := h.redeem(h.nodes[1].client(), code)
	if err != nil {
		t.Fatal(err)
	}
	p.enter("after")
	time.Sleep(time.Second)
	p.end()

	if mode == pgtest.Sync {
		p.holds(t)
		if lost := p.kept(t); lost != 0 {
			t.Errorf("%d answers are lost", lost)
		}
		return
	}
	// What was answered and not replicated is gone, and its clients hear so:
	// never a second token from one code.
	if second.status == 200 {
		t.Error("a code was redeemed twice")
	}
	lost := 0
	for _, line := range strings.Fields(h.query(`SELECT id || '=' || gen FROM grants WHERE user_id IS NOT NULL`)) {
		grant, text, _ := strings.Cut(line, "=")
		var gen int
		fmt.Sscan(text, &gen)
		if acked := p.acked[grant]; acked > gen {
			lost += acked - gen
		}
	}
	ended := h.query(`SELECT count(*) FROM grants WHERE revoked_at IS NOT NULL`)
	t.Logf("asynchronous: at least %d answered rotations are gone, %s logins were ended for it", lost, ended)
	if lost == 0 && ended == "0" {
		t.Error("nothing was lost: the injection does not work")
	}
	if said := h.nodes[0].log.String() + h.nodes[1].log.String(); !strings.Contains(said, "the database began a new timeline") {
		t.Error("no node says that changes may be lost")
	}
	if got := h.query(`SELECT count(*) FROM events WHERE kind = 'database.timeline_began'`); got != "1" {
		t.Errorf("the journal has %s failovers", got)
	}
}
