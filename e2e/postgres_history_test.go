package e2e_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A rotation as a client sees it: the generation that it presented, and the one
// that it got. Of each grant the rotations make a history, which must be one
// that a single server could have given, whatever happened to the database.
type (
	presented struct {
		grant string
		gen   int
	}
	outcome struct {
		kind int
		gen  int // with rotated
	}
)

const (
	rotated = iota
	refused // invalid_grant
	unknown // no answer, or 503: it may have happened
)

type grantState struct {
	gen     int
	revoked bool
}

// rotation is the model of C13. grace says whether the generation before the
// current one may get the same successor again; a model without it is wrong,
// which proves that the check can fail.
func rotation(grace bool) porcupine.Model {
	step := func(s grantState, in presented, out outcome) []grantState {
		var next []grantState
		may := func(o outcome, after grantState) {
			if out.kind == unknown || out == o {
				next = append(next, after)
			}
		}
		revoked := grantState{s.gen, true}
		switch {
		case s.revoked:
			may(outcome{kind: refused}, s)
		case in.gen == s.gen:
			may(outcome{rotated, s.gen + 1}, grantState{gen: s.gen + 1})
		case in.gen == s.gen-1 && grace:
			may(outcome{rotated, s.gen}, s)
			may(outcome{kind: refused}, revoked) // after the grace
		case in.gen < s.gen:
			may(outcome{kind: refused}, revoked)
		}
		if out.kind == unknown { // it may not have happened at all
			next = append(next, s)
		}
		return next
	}
	model := porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			parts := map[string][]porcupine.Operation{}
			for _, o := range history {
				grant := o.Input.(presented).grant
				parts[grant] = append(parts[grant], o)
			}
			var all [][]porcupine.Operation
			for _, part := range parts {
				all = append(all, part)
			}
			return all
		},
		Init: func() []any { return []any{grantState{gen: 1}} },
		Step: func(state, input, output any) []any {
			var all []any
			for _, s := range step(state.(grantState), input.(presented), output.(outcome)) {
				all = append(all, s)
			}
			return all
		},
	}
	return model.ToModel()
}

// recorder keeps a history.
type recorder struct {
	began time.Time
	mu    sync.Mutex
	list  []porcupine.Operation
	count [3]int
}

func (r *recorder) now() int64 { return int64(time.Since(r.began)) }

func (r *recorder) add(client int, in presented, out outcome, call int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count[out.kind]++
	back := r.now()
	if out.kind == unknown {
		back = int64(time.Hour) // it may still happen
	}
	r.list = append(r.list, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: back})
}

// TestC13History rotates many refresh tokens at three processes while
// PostgreSQL is killed and started again, and checks the history of each.
func TestC13History(t *testing.T) {
	server := ownPostgres(t)
	h := newHouse(t, server, server.Database(t), 3)
	h.furnish()
	browser := h.session(h.nodes[0])
	record := &recorder{began: time.Now()}
	rounds, unknowns := 0, 0
	for end := time.Now().Add(faultTime(t) / 3); rounds == 0 || time.Now().Before(end); rounds++ {
		unknowns = max(unknowns, h.rotateThroughAKill(browser, record))
	}
	t.Logf("%d kills, %d rotations and repeats, %d refusals, %d unknown, at most %d of one grant", rounds, record.count[rotated], record.count[refused], record.count[unknown], unknowns)
	if unknowns >= 10 {
		t.Errorf("%d unknown outcomes of one grant: the check would not end", unknowns)
	}
	if record.count[rotated] < 100 || record.count[unknown] == 0 {
		t.Errorf("too little happened for a check: %v", record.count)
	}
	began := time.Now()
	if got := porcupine.CheckOperationsTimeout(rotation(true), record.list, time.Minute); got != porcupine.Ok {
		t.Errorf("the history is %s", got)
	}
	t.Logf("%d operations checked in %v", len(record.list), time.Since(began).Round(time.Millisecond))
	if got := porcupine.CheckOperationsTimeout(rotation(false), record.list, time.Minute); got != porcupine.Illegal {
		t.Errorf("a model without the grace finds the history %s: the check cannot fail", got)
	}
	for name, broken := range map[string]func([]porcupine.Operation) []porcupine.Operation{"an old token rotates": oldTokenRotates, "a rotation is lost": lostRotation} {
		if got := porcupine.CheckOperationsTimeout(rotation(true), broken(record.list), time.Minute); got != porcupine.Illegal {
			t.Errorf("%s: the history is %s", name, got)
		}
	}
	// The journal has each rotation once, as often as the counter moved.
	if got := h.query(`SELECT count(*) FROM grants g WHERE user_id IS NOT NULL AND gen <> 1 + (SELECT count(*) FROM events e WHERE e.grant_id = g.id AND e.kind = 'refresh.rotated')`); got != "0" {
		t.Errorf("%s grants whose counter and journal differ", got)
	}
}

// oldTokenRotates adds the double redemption that must not be: a token long
// used gets a successor.
func oldTokenRotates(history []porcupine.Operation) []porcupine.Operation {
	last := history[len(history)-1]
	for _, o := range history {
		if out := o.Output.(outcome); out.kind == rotated && out.gen > last.Output.(outcome).gen {
			last = o
		}
	}
	in := last.Input.(presented)
	return append(append([]porcupine.Operation{}, history...), porcupine.Operation{Input: presented{in.grant, in.gen - 2}, Output: outcome{rotated, in.gen - 1}, Call: int64(2 * time.Hour), Return: int64(3 * time.Hour)})
}

// lostRotation adds what a client sees when an answered rotation is gone after
// a failover: the generation before gets the same number again, and then the
// successor is refused.
func lostRotation(history []porcupine.Operation) []porcupine.Operation {
	g := "grt_lost"
	op := func(at int64, gen int, out outcome) porcupine.Operation {
		return porcupine.Operation{Input: presented{g, gen}, Output: out, Call: at, Return: at + 1}
	}
	return append(append([]porcupine.Operation{}, history...), op(10, 1, outcome{rotated, 2}), op(20, 2, outcome{rotated, 3}), op(30, 2, outcome{rotated, 3}), op(40, 1, outcome{rotated, 2}))
}

// rotateThroughAKill lets the clients of some grants rotate at all nodes,
// kills PostgreSQL in the middle and starts it again, and returns the largest
// number of unknown outcomes of a grant.
func (h *house) rotateThroughAKill(browser *http.Client, record *recorder) int {
	const grants = 10
	var clients []*http.Client
	for _, n := range h.nodes {
		clients = append(clients, n.client())
	}
	tokens, unknowns := make([]string, grants), make([]int, grants)
	for g := range tokens {
		tokens[g] = h.login(browser)
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for g := range tokens {
		all.Go(func() {
			latest, before := tokens[g], tokens[g]
			for ended := false; !ended; time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond) {
				select {
				case <-stop:
					return
				default:
				}
				// All nodes get the same token at once; now and then one gets that
				// of a client that did not hear of the last rotation.
				got := make([]string, len(clients))
				kinds := make([]int, len(clients))
				late := rand.IntN(10 * len(clients))
				together(len(clients), func(i int) {
					token := latest
					if i == late {
						token = before
					}
					got[i], kinds[i] = h.rotate(clients[i], record, g*len(clients)+i, token)
				})
				away := false
				for i, kind := range kinds {
					switch {
					case kind == rotated && genOf(got[i]) > genOf(latest):
						latest, before = got[i], latest
					case kind == refused:
						ended = true
					case kind == unknown:
						away = true
						unknowns[g]++
					}
				}
				for away { // not an operation: few unknown outcomes keep the check short
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
					}
					status, _ := h.nodes[g%len(h.nodes)].get("/readyz")
					away = status != 200
				}
			}
		})
	}
	time.Sleep(time.Second + time.Duration(rand.IntN(500))*time.Millisecond)
	if err := h.server.Kill(); err != nil {
		h.t.Error(err)
	}
	time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
	if err := h.server.Start(); err != nil {
		h.t.Error(err)
	}
	for _, n := range h.nodes {
		n.ready()
	}
	time.Sleep(time.Second)
	close(stop)
	all.Wait()
	return slices.Max(unknowns)
}

// rotate is one operation of the history.
func (h *house) rotate(client *http.Client, record *recorder, id int, token string) (successor string, kind int) {
	in, call := presented{grantOf(token), genOf(token)}, record.now()
	a, err := h.refresh(client, token)
	switch {
	case dialing(err):
		return "", -1
	case err == nil && a.status == 200:
		record.add(id, in, outcome{rotated, genOf(a.Refresh)}, call)
		return a.Refresh, rotated
	case err == nil && a.Error == "invalid_grant":
		record.add(id, in, outcome{kind: refused}, call)
		return "", refused
	}
	record.add(id, in, outcome{kind: unknown}, call)
	return "", unknown
}

// TestC13HistoryModel holds the model to histories whose verdict is known.
func TestC13HistoryModel(t *testing.T) {
	type row struct {
		gen int
		out outcome
	}
	ok := func(gen int) outcome { return outcome{rotated, gen} }
	no, lost := outcome{kind: refused}, outcome{kind: unknown}
	for _, tc := range []struct {
		name string
		rows []row // one after the other
		want porcupine.CheckResult
	}{
		{"rotations", []row{{1, ok(2)}, {2, ok(3)}}, porcupine.Ok},
		{"repeat", []row{{1, ok(2)}, {1, ok(2)}}, porcupine.Ok},
		{"reuse ends the grant", []row{{1, ok(2)}, {2, ok(3)}, {1, no}, {3, no}}, porcupine.Ok},
		{"the answer was lost, and the repeat is answered", []row{{1, lost}, {1, ok(2)}, {2, ok(3)}}, porcupine.Ok},
		{"two successors of one token", []row{{1, ok(2)}, {1, ok(3)}}, porcupine.Illegal},
		{"a token used twice", []row{{1, ok(2)}, {2, ok(3)}, {1, ok(2)}}, porcupine.Illegal},
		{"reuse without an end", []row{{1, ok(2)}, {2, ok(3)}, {1, no}, {3, ok(4)}}, porcupine.Illegal},
		{"a rotation that was answered is gone", []row{{1, ok(2)}, {2, ok(3)}, {3, no}}, porcupine.Illegal},
		{"refused for no reason", []row{{1, no}}, porcupine.Illegal},
		{"a token that nobody was given", []row{{2, ok(3)}}, porcupine.Illegal},
	} {
		var history []porcupine.Operation
		for i, r := range tc.rows {
			at := int64(10 * i)
			o := porcupine.Operation{Input: presented{"g", r.gen}, Output: r.out, Call: at, Return: at + 1}
			if r.out == lost {
				o.Return = 1000
			}
			history = append(history, o)
		}
		if got := porcupine.CheckOperationsTimeout(rotation(true), history, time.Minute); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
