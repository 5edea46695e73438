package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestC10C13AcrossProcesses redeems one code and one refresh token 200 times at
// once at two processes on one database.
func TestC10C13AcrossProcesses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		bouncer string
	}{{"directly", ""}, {"through PgBouncer in transaction mode", "transaction"}} {
		t.Run(tc.name, func(t *testing.T) {
			server := postgres(t)
			if tc.bouncer != "" {
				needPgBouncer(t)
			}
			t.Parallel() // most of it is waiting for the grace to end
			dsn := server.Database(t)
			if tc.bouncer != "" {
				dsn = server.PgBouncer(t, tc.bouncer).DSN(dsn)
			}
			onceAcrossProcesses(t, newHouse(t, server, dsn, 2))
		})
	}
}

const parallel = 200

func onceAcrossProcesses(t *testing.T, h *house) {
	h.furnish()
	browser := h.session(h.nodes[0])
	clients := []*http.Client{h.nodes[0].client(), h.nodes[1].client()}
	ask := func(what func(*http.Client) (answer, error)) []answer {
		answers := make([]answer, parallel)
		began := time.Now()
		together(parallel, func(i int) {
			a, err := what(clients[i%2])
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
			answers[i] = a
		})
		t.Logf("%d answers of two processes in %v: %s", parallel, time.Since(began).Round(time.Millisecond), tally(answers))
		return answers
	}

	// C13: all get the identical successor, and the counter moves once.
	first := h.login(browser)
	grant := grantOf(first)
	answers := ask(func(c *http.Client) (answer, error) { return h.refresh(c, first) })
	rotated := time.Now()
	for _, a := range answers {
		if a.status != 200 || a.Refresh != answers[0].Refresh || genOf(a.Refresh) != 2 {
			t.Fatalf("C13: %+v, the first is %+v", a, answers[0])
		}
	}
	if got := h.query(`SELECT gen, revoked_at IS NULL FROM grants WHERE id = '` + grant + `'`); got != "2|t" {
		t.Errorf("C13: the row is %s, want generation 2 and not revoked", got)
	}
	if got := h.query(`SELECT kind, count(*) FROM events WHERE grant_id = '` + grant + `' AND kind LIKE 'refresh.%' GROUP BY kind ORDER BY kind`); got != fmt.Sprintf("refresh.repeated|%d\nrefresh.rotated|1", parallel-1) {
		t.Errorf("C13: the journal has %q", got)
	}

	// C10: one redemption, everybody else is refused, and its grant ends.
	code, err := h.code(browser)
	if err != nil {
		t.Fatal(err)
	}
	answers = ask(func(c *http.Client) (answer, error) { return h.redeem(c, code) })
	var won []answer
	for _, a := range answers {
		switch {
		case a.status == 200:
			won = append(won, a)
		case a.status != 400 || a.Error != "invalid_grant":
			t.Errorf("C10: %+v", a)
		}
	}
	if len(won) != 1 {
		t.Fatalf("C10: %d redemptions succeed", len(won))
	}
	for i, c := range clients {
		if a, err := h.refresh(c, won[0].Refresh); err != nil || a.Error != "invalid_grant" {
			t.Errorf("C10: the grant of a replayed code lives on node %d: %v %+v", i, err, a)
		}
	}
	if got := h.query(`SELECT count(*) FROM grants WHERE id = '` + grantOf(won[0].Refresh) + `' AND revoked_at IS NOT NULL`); got != "1" {
		t.Errorf("C10: the grant is not revoked in the database")
	}

	// Reuse after the grace, at the process that did not rotate last, ends the
	// grant on both.
	used, err := h.refresh(clients[0], answersOK(t, h, clients[1], first, rotated).Refresh)
	if err != nil || used.status != 200 {
		t.Fatalf("%v %+v", err, used)
	}
	time.Sleep(time.Until(rotated.Add(10500 * time.Millisecond)))
	if a, err := h.refresh(clients[1], first); err != nil || a.Error != "invalid_grant" {
		t.Errorf("reuse after the grace: %v %+v", err, a)
	}
	for i, c := range clients {
		if a, err := h.refresh(c, used.Refresh); err != nil || a.Error != "invalid_grant" {
			t.Errorf("after reuse, node %d still rotates: %v %+v", i, err, a)
		}
	}
	if got := h.query(`SELECT count(*) FROM events WHERE grant_id = '` + grant + `' AND kind = 'refresh.reused'`); got == "0" {
		t.Error("reuse is not in the journal")
	}
	if dead := strings.Count(h.server.Log(), "deadlock detected"); dead != 0 {
		t.Errorf("%d deadlocks", dead)
	}
}

// answersOK repeats within the grace, at another process.
func answersOK(t *testing.T, h *house, c *http.Client, token string, rotated time.Time) answer {
	t.Helper()
	a, err := h.refresh(c, token)
	if err != nil || a.status != 200 {
		t.Fatalf("repeat %v after the rotation: %v %+v", time.Since(rotated), err, a)
	}
	return a
}

// tally counts answers by what they say.
func tally(answers []answer) string {
	counts := map[string]int{}
	var order []string
	for _, a := range answers {
		key := strings.TrimSpace(fmt.Sprint(a.status, " ", a.Error))
		if counts[key] == 0 {
			order = append(order, key)
		}
		counts[key]++
	}
	var text []string
	for _, key := range order {
		text = append(text, fmt.Sprintf("%d × %s", counts[key], key))
	}
	return strings.Join(text, ", ")
}
