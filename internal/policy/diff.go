package policy

import (
	"cmp"
	"slices"
	"strings"
)

// Change is what another policy would do to the recorded requests of one route.
type Change struct {
	Kind     string   `json:"kind"`  // lose, gain, or unknown
	Route    string   `json:"route"` // POST /orders: of the policy under which it is allowed
	Reasons  []string `json:"reasons,omitempty"`
	Callers  []string `json:"callers"` // sub, or client_id, or "anonymous"; sorted
	Requests int      `json:"requests"`
}

// Kinds of a Change.
const (
	Lose    = "lose"
	Gain    = "gain"
	Unknown = "unknown" // the log lacks a claim or a query value that decides
)

// Diff collects changes, one Record at a time.
type Diff struct {
	old, new *Policy
	changes  map[[2]string]*Change
	callers  map[[2]string]map[string]bool
	Records  int // that were asked about
}

// NewDiff compares two policies.
func NewDiff(from, to *Policy) *Diff {
	return &Diff{old: from, new: to, changes: map[[2]string]*Change{}, callers: map[[2]string]map[string]bool{}}
}

// Add asks both policies about a recorded request, at the time of the record. A
// route that only watches counts as what it would do.
func (d *Diff) Add(r Record) {
	d.Records++
	req, err := Canonicalize(r.Method, r.Path)
	if err != nil {
		return // refused by both
	}
	caller := r.Caller()
	before, after := d.old.Decide(req, caller, r.Time), d.new.Decide(req, caller, r.Time)
	switch {
	case r.lacks(before.Route, true), r.lacks(after.Route, req.HasQuery || before.Route.asksQuery()):
		d.note(Unknown, cmp.Or(after.Route, before.Route), r, "where")
	case before.Reason == "" && after.Reason != "":
		d.note(Lose, before.Route, r, after.Reason)
	case before.Reason != "" && after.Reason == "":
		d.note(Gain, after.Route, r, before.Reason)
	}
}

// lacks tells whether a where compares what the record does not have. The query
// is in a record where the policy that wrote it compares one.
func (r Record) lacks(route *Route, queryKnown bool) bool {
	if route == nil || r.Anonymous {
		return false
	}
	for _, e := range route.Where {
		if _, ok := r.Claims[e.Claim]; !ok || e.From == "query" && !queryKnown {
			return true
		}
	}
	return false
}

// asksQuery tells whether a where compares a query value.
func (r *Route) asksQuery() bool {
	return r != nil && slices.ContainsFunc(r.Where, func(e Equality) bool { return e.From == "query" })
}

func (d *Diff) note(kind string, route *Route, r Record, reason string) {
	key := [2]string{kind, r.Method + " " + route.Pattern}
	c := d.changes[key]
	if c == nil {
		c = &Change{Kind: kind, Route: key[1]}
		d.changes[key], d.callers[key] = c, map[string]bool{}
	}
	c.Requests++
	if !slices.Contains(c.Reasons, reason) {
		c.Reasons = append(c.Reasons, reason)
	}
	who := cmp.Or(r.Subject, r.ClientID, "anonymous")
	if !d.callers[key][who] {
		d.callers[key][who] = true
		c.Callers = append(c.Callers, who)
	}
}

// Changes are what was found: losses first, then gains.
func (d *Diff) Changes() []Change {
	order := []string{Lose, Gain, Unknown}
	all := []Change{}
	for _, c := range d.changes {
		slices.Sort(c.Callers)
		slices.Sort(c.Reasons)
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Change) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), strings.Compare(a.Route, b.Route))
	})
	return all
}
