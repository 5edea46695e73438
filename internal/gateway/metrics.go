package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// counts are decisions since the start, by what was decided and why. The reasons
// are words of ours, so there are few.
type counts struct{ all sync.Map } // outcome → *atomic.Int64

type outcome struct{ decision, reason string }

func (c *counts) add(d policy.Decision) {
	o := outcome{"deny", d.Reason}
	switch {
	case d.Allow && d.Shadow && d.Reason != "":
		o.decision = "shadow"
	case d.Allow:
		o.decision = "allow"
	}
	n, ok := c.all.Load(o)
	if !ok {
		n, _ = c.all.LoadOrStore(o, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}

// Metrics answers in the text format of Prometheus. It is for a listener that
// only the operator reaches: who is refused for what is nobody else's business.
func (g *Gateway) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var b strings.Builder
		b.WriteString("# HELP gatehouse_gateway_decisions_total Requests decided about, by decision and reason.\n# TYPE gatehouse_gateway_decisions_total counter\n")
		var lines []string
		g.counts.all.Range(func(k, n any) bool {
			o := k.(outcome)
			lines = append(lines, fmt.Sprintf("gatehouse_gateway_decisions_total{decision=%q,reason=%q} %d\n", o.decision, o.reason, n.(*atomic.Int64).Load()))
			return true
		})
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
		fmt.Fprintf(&b, "# HELP gatehouse_gateway_requests_open Requests under way that came with a token.\n# TYPE gatehouse_gateway_requests_open gauge\ngatehouse_gateway_requests_open %d\n", g.running.count())
		if state := feedOf(g.rules.Load().guard); state != nil {
			fmt.Fprintf(&b, "# HELP gatehouse_revocation_feed_age_seconds How long ago all revocations were last known here; of several issuers, the longest.\n# TYPE gatehouse_revocation_feed_age_seconds gauge\ngatehouse_revocation_feed_age_seconds %g\n", state.Age)
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Write([]byte(b.String()))
	})
}

func (s *running) count() (n int) {
	for i := range s.shard {
		at := &s.shard[i]
		at.mu.Lock()
		for a := at.first; a != nil; a = a.after {
			n++
		}
		at.mu.Unlock()
	}
	return n
}
