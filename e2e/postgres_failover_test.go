package e2e_test

import (
	"fmt"
	"slices"
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
	t.Run("the standby goes and comes back", standbyAway)
}

// standbyAway lets the only synchronous standby be away for longer than the
// grace. Who refreshes meanwhile hears 503 again and again, and no login ends:
// a rotation that cannot be answered is not made.
func standbyAway(t *testing.T) {
	needPostgres(t)
	t.Parallel()
	primary := ownPostgres(t)
	dsn := primary.Database(t)
	link := pgtest.NewLink(t, primary.Address())
	primary.Standby(t, pgtest.Sync, link)
	h := newHouse(t, primary, dsn, 1)
	h.furnish()
	n := h.nodes[0]
	browser, client := h.session(n), n.client()
	tokens := make([]string, 6)
	for i := range tokens {
		tokens[i] = h.login(browser)
	}
	link.Still(true)
	// The first to ask finds out.
	if a, err := h.credentials(client); err != nil || a.status != 503 || a.retry == "" {
		t.Errorf("without a standby: %v %+v", err, a)
	}
	began := time.Now()
	refusals := make([]int, len(tokens))
	timer := time.AfterFunc(13*time.Second, func() { link.Still(false) })
	defer timer.Stop()
	together(len(tokens), func(i int) {
		for time.Since(began) < 40*time.Second {
			a, err := h.refresh(client, tokens[i])
			switch {
			case err == nil && a.status == 200:
				return
			case err == nil && a.status == 503 && a.retry != "":
				refusals[i]++
				time.Sleep(200 * time.Millisecond)
			default:
				t.Errorf("login %d, %v after: %v %+v", i, time.Since(began).Round(time.Millisecond), err, a)
				return
			}
		}
		t.Errorf("login %d never refreshes", i)
	})
	t.Logf("away for 13s: refusals %v, all refresh again after %v", refusals, time.Since(began).Round(time.Millisecond))
	if slices.Min(refusals) == 0 {
		t.Errorf("a login was refreshed without its standby: %v", refusals)
	}
	if got := h.query(`SELECT count(*) FROM grants WHERE user_id IS NOT NULL AND (revoked_at IS NOT NULL OR gen <> 2)`); got != "0" {
		t.Errorf("%s logins ended or moved twice", got)
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
