package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Expectation is one line of a test file: who asks for what, and the answer.
type Expectation struct {
	File   string
	Line   int
	As     string // as written: "anonymous", or sub and what else was said
	Method string
	Target string
	Allow  bool
	Reason string // of a denial; "" is any

	caller *Caller
	age    time.Duration
}

// Result is an expectation and what the policy says.
type Result struct {
	Expectation
	Decision Decision
	Fault    string // "" where it is as expected
}

// String is the expectation as a sentence.
func (e Expectation) String() string {
	want := "allow"
	if !e.Allow {
		want = "deny"
	}
	return fmt.Sprintf("%s %s %s as %s", want, e.Method, e.Target, e.As)
}

// ParseTests reads a test file. The error is a Faults.
func ParseTests(file string, text []byte) ([]Expectation, error) {
	r := &reader{file: file}
	var all []Expectation
	if doc := r.document(text); doc != nil {
		r.fields(doc, "a test file", map[string]func(*yaml.Node){"tests": func(n *yaml.Node) {
			for _, item := range r.items(n, "tests") {
				all = append(all, r.test(item)...)
			}
		}})
		if len(all) == 0 && len(r.faults) == 0 {
			r.fault(doc, "no test: write tests with as, allow and deny")
		}
	}
	return all, r.err()
}

func (r *reader) test(n *yaml.Node) []Expectation {
	who := Expectation{File: r.file}
	var all []Expectation
	r.fields(n, "a test", map[string]func(*yaml.Node){
		"as":    func(n *yaml.Node) { who.As, who.caller, who.age = r.as(n) },
		"allow": func(n *yaml.Node) { all = append(all, r.expectations(n, true)...) },
		"deny":  func(n *yaml.Node) { all = append(all, r.expectations(n, false)...) },
	})
	if n.Kind == yaml.MappingNode && !hasKey(n, "as") {
		r.fault(n, "as is missing: the claims of a token, such as { sub: amy, scope: orders:read }, or anonymous")
	}
	for i := range all {
		all[i].File, all[i].As, all[i].caller, all[i].age = who.File, who.As, who.caller, who.age
	}
	return all
}

// as reads who asks. A scope or role that is a text has spaces between.
func (r *reader) as(n *yaml.Node) (string, *Caller, time.Duration) {
	if n.Kind == yaml.ScalarNode {
		if n.Value != "anonymous" {
			r.fault(n, "as is anonymous, or the claims of a token such as { sub: amy, scope: orders:read }")
		}
		return "anonymous", nil, 0
	}
	c, age, claims, said := &Caller{}, time.Duration(0), map[string]string{}, []string(nil)
	for _, e := range r.entries(n, "as") {
		switch e.key.Value {
		case "scope":
			if e.value.Value != "" || e.value.Kind != yaml.ScalarNode { // "" is a token without scope
				c.Scopes = r.names(e.value, "scope")
			}
		case "roles":
			if len(e.value.Content) > 0 || e.value.Kind != yaml.SequenceNode {
				c.Roles = r.names(e.value, "roles")
			}
		case "age":
			age = r.duration(e.value, "age")
		default:
			claims[e.key.Value] = r.text(e.value, e.key.Value)
		}
		said = append(said, e.key.Value+"="+written(e.value))
	}
	c.Subject, c.ClientID = claims["sub"], claims["client_id"]
	c.Claim = func(name string) (string, bool) { v, ok := claims[name]; return v, ok }
	return strings.Join(said, ", "), c, age
}

func written(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	var all []string
	for _, c := range n.Content {
		all = append(all, c.Value)
	}
	return strings.Join(all, " ")
}

// expectations reads "GET /orders", or "GET /orders: where" with a reason.
func (r *reader) expectations(n *yaml.Node, allow bool) []Expectation {
	var all []Expectation
	for _, item := range r.items(n, "a list of requests") {
		request, e := item, Expectation{Allow: allow, Line: item.Line}
		if item.Kind == yaml.MappingNode && len(item.Content) == 2 {
			request, e.Reason = item.Content[0], r.reason(item.Content[1], allow)
		}
		method, target, ok := strings.Cut(request.Value, " ")
		if request.Kind != yaml.ScalarNode || !ok {
			r.fault(item, "a request is a method and a path, such as GET /orders/7")
			continue
		}
		e.Method, e.Target = method, strings.TrimSpace(target)
		all = append(all, e)
	}
	return all
}

var reasons = []string{NoRoute, MissingToken, InsufficientScope, Role, Where, MaxTokenAge, BadMethod, BadPath, BadQuery}

func (r *reader) reason(n *yaml.Node, allow bool) string {
	if allow {
		r.fault(n, "what is allowed has no reason; write the request alone")
		return ""
	}
	return r.choice(n, "the reason", reasons...)
}

// Check asks the policy what a test expects. A route that only watches is
// tested for what it would do.
func (p *Policy) Check(e Expectation, now time.Time) Result {
	var caller *Caller
	if e.caller != nil {
		made := *e.caller
		made.Issued = now.Add(-e.age)
		caller = &made
	}
	d := p.Explain(e.Method, e.Target, caller, now)
	result := Result{Expectation: e, Decision: d}
	switch {
	case e.Allow && d.Reason != "":
		result.Fault = "denied: " + d.Reason
	case !e.Allow && d.Reason == "":
		result.Fault = "allowed by " + d.Route.String()
	case e.Reason != "" && e.Reason != d.Reason:
		result.Fault = "denied for another reason: " + d.Reason + ", not " + e.Reason
	}
	return result
}

// Untouched are the routes that no result came to.
func (p *Policy) Untouched(results []Result) []*Route {
	var all []*Route
	for _, r := range p.routes {
		if !slices.ContainsFunc(results, func(result Result) bool { return result.Decision.Route == r }) {
			all = append(all, r)
		}
	}
	return all
}
