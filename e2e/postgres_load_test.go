package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadline is what a request may take at most, whatever the database does.
const deadline = 12 * time.Second

// pressure is steady work at the nodes of a house, and a ledger of what was
// answered, in phases that a test names.
type pressure struct {
	h    *house
	stop chan struct{}
	all  sync.WaitGroup
	gate sync.RWMutex // held for reading while a request is under way

	mu     sync.Mutex
	phase  string
	phases []string
	seen   map[string]*observed // phase and kind of request
	acked  map[string]int       // grant → the highest generation that was answered
	tokens []string             // ids of access tokens that were answered
	wrong  []string
}

// observed is what requests of one kind in one phase came to.
type observed struct {
	count   map[int]int // by status, 0: no answer
	slowest time.Duration
}

// press lets logins refresh, a service ask for tokens and readers read the
// documents, at every node.
func (h *house) press(logins int) *pressure {
	h.t.Helper()
	p := &pressure{h: h, stop: make(chan struct{}), phase: "before", phases: []string{"before"}, seen: map[string]*observed{}, acked: map[string]int{}}
	browser := h.session(h.nodes[0])
	for i := range logins {
		n, token := h.nodes[i%len(h.nodes)], h.login(browser)
		p.acked[grantOf(token)] = genOf(token)
		client := n.client()
		p.work("refresh", 20*time.Millisecond, func() (int, string) {
			a, err := h.refresh(client, token)
			if err == nil && a.status == 200 {
				token = a.Refresh
				p.ack(a)
			}
			return p.verdict(a, err)
		})
	}
	for _, n := range h.nodes {
		client := n.client()
		p.work("client_credentials", 20*time.Millisecond, func() (int, string) {
			a, err := h.credentials(client)
			if err == nil && a.status == 200 {
				p.ack(a)
			}
			return p.verdict(a, err)
		})
		for _, path := range []string{"/.well-known/jwks.json", "/.well-known/openid-configuration"} {
			reader := n.client()
			p.work(path, 20*time.Millisecond, func() (int, string) {
				response, err := reader.Get(h.issuer + path)
				if err != nil {
					return 0, err.Error()
				}
				response.Body.Close()
				return response.StatusCode, ""
			})
		}
	}
	return p
}

// verdict is the status, and what is wrong with the answer.
func (p *pressure) verdict(a answer, err error) (int, string) {
	switch {
	case err != nil:
		return 0, err.Error()
	case a.status == 503 && (a.retry == "" || a.Error != "temporarily_unavailable"):
		return 503, fmt.Sprintf("503 %s with Retry-After %q", a.Error, a.retry)
	case a.status != 200 && a.status != 503:
		return a.status, fmt.Sprint(a.status, " ", a.Error)
	}
	return a.status, ""
}

func (p *pressure) ack(a answer) {
	id, _ := claimsOf(p.h.t, a.Access)["jti"].(string)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens = append(p.tokens, id)
	if grant := grantOf(a.Refresh); grant != "" {
		p.acked[grant] = max(p.acked[grant], genOf(a.Refresh))
	}
}

func (p *pressure) work(kind string, pause time.Duration, do func() (int, string)) {
	p.all.Go(func() {
		for {
			select {
			case <-p.stop:
				return
			case <-time.After(pause):
			}
			p.gate.RLock()
			p.mu.Lock()
			phase := p.phase
			p.mu.Unlock()
			began := time.Now()
			status, wrong := do()
			p.note(phase, kind, status, time.Since(began), wrong)
			p.gate.RUnlock()
		}
	})
}

func (p *pressure) note(phase, kind string, status int, took time.Duration, wrong string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := phase + " " + kind
	if p.seen[key] == nil {
		p.seen[key] = &observed{count: map[int]int{}}
	}
	p.seen[key].count[status]++
	p.seen[key].slowest = max(p.seen[key].slowest, took)
	if wrong != "" && len(p.wrong) < 20 {
		p.wrong = append(p.wrong, phase+": "+kind+": "+wrong)
	}
}

// enter begins a phase; requests count for the phase that they began in.
func (p *pressure) enter(phase string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = phase
	p.phases = append(p.phases, phase)
}

// settle waits until what was asked so far is answered.
func (p *pressure) settle() {
	p.gate.Lock()
	defer p.gate.Unlock()
}

// of sums what requests came to in a phase; documents are the key set and
// discovery.
func (p *pressure) of(phase string, documents bool) observed {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := observed{count: map[int]int{}}
	for key, o := range p.seen {
		name, kind, _ := strings.Cut(key, " ")
		if name != phase || strings.HasPrefix(kind, "/") != documents {
			continue
		}
		for status, n := range o.count {
			sum.count[status] += n
		}
		sum.slowest = max(sum.slowest, o.slowest)
	}
	return sum
}

// end stops the work and prints what it came to.
func (p *pressure) end() {
	close(p.stop)
	p.all.Wait()
	for _, phase := range p.phases {
		issue, documents := p.of(phase, false), p.of(phase, true)
		p.h.t.Logf("%-12s tokens %v, slowest %v; keys and discovery %v, slowest %v", phase, issue.count, issue.slowest.Round(time.Millisecond), documents.count, documents.slowest.Round(time.Millisecond))
	}
}

// holds checks what must be true in every phase: everything is answered in
// time, with a token or with 503 and when to come again, and the documents are
// served all the while.
func (p *pressure) holds(t *testing.T) {
	t.Helper()
	for _, wrong := range p.wrong {
		t.Error(wrong)
	}
	for _, phase := range p.phases {
		issue, documents := p.of(phase, false), p.of(phase, true)
		if issue.slowest > deadline {
			t.Errorf("%s: an answer took %v", phase, issue.slowest)
		}
		for status, n := range documents.count {
			if status != 200 {
				t.Errorf("%s: %d × %d for keys or discovery", phase, n, status)
			}
		}
		if documents.slowest > 2*time.Second {
			t.Errorf("%s: keys or discovery took %v", phase, documents.slowest)
		}
	}
}

// kept checks the ledger against the database: no answered token is missing in
// the journal, no answered rotation in its row, no login was ended, and every
// counter moved as often as the journal says.
func (p *pressure) kept(t *testing.T) (lost int) {
	t.Helper()
	for _, line := range strings.Fields(p.h.query(`SELECT id || '=' || gen || '=' || COALESCE(revoked_at, 0) FROM grants WHERE user_id IS NOT NULL`)) {
		var grant string
		var gen int
		var revoked int64
		parts := strings.Split(line, "=")
		grant = parts[0]
		fmt.Sscan(parts[1], &gen)
		fmt.Sscan(parts[2], &revoked)
		if acked, ours := p.acked[grant]; ours && gen < acked {
			lost += acked - gen
			t.Logf("grant %s: generation %d was answered, the row has %d", grant, acked, gen)
		}
		if revoked != 0 {
			t.Errorf("grant %s was revoked", grant)
		}
	}
	recorded := strings.Fields(p.h.query(`SELECT token_id FROM events WHERE token_id <> '' ORDER BY token_id COLLATE "C"`))
	for _, id := range p.tokens {
		if _, found := slices.BinarySearch(recorded, id); !found {
			lost++
			t.Logf("token %s was answered and is not in the journal", id)
		}
	}
	if got := p.h.query(`SELECT count(*) FROM grants g WHERE user_id IS NOT NULL AND gen <> 1 + (SELECT count(*) FROM events e WHERE e.grant_id = g.id AND e.kind = 'refresh.rotated')`); got != "0" {
		t.Errorf("%s grants whose counter and journal differ", got)
	}
	return lost
}

// recovers waits until a node issues again.
func (h *house) recovers(n *node, within time.Duration) time.Duration {
	h.t.Helper()
	began := time.Now()
	client := &http.Client{Transport: n.client().Transport, Timeout: deadline}
	for time.Since(began) < within {
		if a, err := h.credentials(client); err == nil && a.status == 200 {
			return time.Since(began)
		}
		time.Sleep(20 * time.Millisecond)
	}
	h.t.Errorf("the node on %s does not recover in %v", n.address, within)
	return within
}
