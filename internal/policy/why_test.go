package policy_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// The decisions of docs/why/0059 that surprise, each with what explain says.
func TestWhy0059(t *testing.T) {
	p := parse(t, head+`routes:
- GET /admin: { role: admin }
- GET /reports/: { scope: reports:read }
- GET /**: { public: true }
`)
	for _, tc := range []struct {
		name, method, target string
		status               int
		reason, says, fix    string
	}{
		{"one slash at the end is accepted", "GET", "/other/", 200, "", "GET /**", ""},
		{"and is part of a route", "GET", "/reports/", 401, "missing_token", "GET /reports/", "Send a token"},
		{"two are not", "GET", "/other//", 400, "bad_path", "an empty segment", "one reading"},
		{"a path that lacks a route's slash", "GET", "/reports", 403, "no_route", "only in the slash at its end", "as the route is written"},
		{"a path with a slash more than a route", "GET", "/admin/", 403, "no_route", "only in the slash at its end", "as the route is written"},
		{"a path in another case, though /** would match", "GET", "/Admin", 403, "no_route", "only in case", "as the route is written"},
		{"TRACE", "TRACE", "/other", 400, "bad_method", "TRACE is never let through", "one reading"},
		{"CONNECT", "CONNECT", "/other", 400, "bad_method", "CONNECT is never let through", "one reading"},
	} {
		d := p.Explain(tc.method, tc.target, nil, noon)
		last := d.Trace[len(d.Trace)-1]
		for _, c := range d.Trace {
			if c.Name == "route" {
				last = c
			}
		}
		if d.Status != tc.status || d.Reason != tc.reason || !strings.Contains(last.Text, tc.says) || !strings.Contains(d.Fix, tc.fix) {
			t.Errorf("%s: %d %s, %q, %q; want %d %s, %q, %q", tc.name, d.Status, d.Reason, last.Text, d.Fix, tc.status, tc.reason, tc.says, tc.fix)
		}
	}
	for _, method := range []string{"TRACE", "CONNECT"} {
		if _, err := policy.Parse("p.yaml", []byte(head+"routes:\n- "+method+" /x: { public: true }\n")); err == nil || !strings.Contains(err.Error(), "not a method that is let through") {
			t.Errorf("a route with %s: %v", method, err)
		}
	}
}
