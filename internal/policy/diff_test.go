package policy_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// What the gateway writes is enough to ask again, and the same comes out.
func TestRecordAsksAgain(t *testing.T) {
	p := parse(t, head+`routes:
- GET /t/{t}: { scope: x, where: { token.t: path.t } }
- GET /q: { where: { token.t: query.t } }
- GET /role: { role: r }
- GET /young: { max_token_age: 5m }
- GET /watch: { scope: y, mode: shadow }
`)
	amy := &policy.Caller{Subject: "amy", ClientID: "web", Scopes: []string{"x"}, Roles: []string{"r"}, Issued: noon.Add(-4 * time.Minute), Claim: claims(map[string]string{"t": "1", "email": "amy@example.com"})}
	for _, tc := range []struct {
		target, decision, reason string
		caller                   *policy.Caller
	}{
		{"/t/1", "allow", "", amy}, {"/t/2", "deny", "where", amy}, {"/q?t=1", "allow", "", amy}, {"/q?t=2", "deny", "where", amy}, {"/role", "allow", "", amy},
		{"/young", "allow", "", amy}, {"/watch", "shadow", "insufficient_scope", amy}, {"/t/1", "deny", "missing_token", nil}, {"/none?secret=1", "deny", "no_route", amy},
	} {
		req, err := policy.Canonicalize("GET", tc.target)
		if err != nil {
			t.Fatal(err)
		}
		line, err := json.Marshal(policy.NewRecord(noon, "01J", req, tc.caller, p.Decide(req, tc.caller, noon)))
		if err != nil {
			t.Fatal(err)
		}
		var r policy.Record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		again, err := policy.Canonicalize(r.Method, r.Path)
		if err != nil {
			t.Fatal(err)
		}
		d := p.Decide(again, r.Caller(), r.Time)
		if r.Decision != tc.decision || r.Reason != tc.reason || d.Reason != tc.reason || r.RequestID != "01J" || !r.Time.Equal(noon) {
			t.Errorf("%s: %s, and asked again %+v", tc.target, line, d)
		}
		if _, told := r.Claims["email"]; told {
			t.Errorf("%s: a claim that nothing compares is in the log", line)
		}
	}
}

func TestDiff(t *testing.T) {
	before := parse(t, head+"routes:\n- GET /a: { scope: x }\n- GET /b: { scope: y }\n- GET /c/{t}: {}\n")
	after := parse(t, head+"routes:\n- GET /a: { scope: z }\n- GET /b: { scope: x }\n- GET /c/{t}: { where: { token.t: path.t } }\n")
	d := policy.NewDiff(before, after)
	for _, r := range []policy.Record{
		{Time: noon, Method: "GET", Path: "/a", Subject: "amy", Scope: "x"},
		{Time: noon, Method: "GET", Path: "/a", Subject: "amy", Scope: "x"},
		{Time: noon, Method: "GET", Path: "/a", Subject: "bob", Scope: "x"},
		{Time: noon, Method: "GET", Path: "/a", Subject: "eve", Scope: "x z"},
		{Time: noon, Method: "GET", Path: "/a", Anonymous: true},
		{Time: noon, Method: "GET", Path: "/b", ClientID: "robot", Scope: "x"},
		{Time: noon, Method: "GET", Path: "/c/1", Subject: "amy"},
		{Time: noon, Method: "GET", Path: "/c/1", Subject: "bob", Claims: map[string]string{"t": "2"}},
		{Time: noon, Method: "GET", Path: "/c/1", Anonymous: true},
		{Time: noon, Method: "GET", Path: "/a%2f", Subject: "amy"},
	} {
		d.Add(r)
	}
	want := []policy.Change{
		{Kind: "lose", Route: "GET /a", Reasons: []string{"insufficient_scope"}, Callers: []string{"amy", "bob"}, Requests: 3},
		{Kind: "lose", Route: "GET /c/{t}", Reasons: []string{"where"}, Callers: []string{"bob"}, Requests: 1},
		{Kind: "gain", Route: "GET /b", Reasons: []string{"insufficient_scope"}, Callers: []string{"robot"}, Requests: 1},
		{Kind: "unknown", Route: "GET /c/{t}", Reasons: []string{"where"}, Callers: []string{"amy"}, Requests: 1},
	}
	if got := d.Changes(); !reflect.DeepEqual(got, want) || d.Records != 10 {
		t.Errorf("%d records, %+v", d.Records, got)
	}
}

// The log has the query only where a where compares it.
func TestDiffOfQueries(t *testing.T) {
	free := parse(t, head+"routes:\n- GET /q: {}\n")
	bound := parse(t, head+"routes:\n- GET /q: { where: { token.t: query.t } }\n")
	for _, tc := range []struct {
		name     string
		from, to *policy.Policy
		path     string
		kind     string
	}{
		{"the query was not logged", free, bound, "/q", "unknown"},
		{"there was none", bound, free, "/q", "gain"},
		{"the query differs", bound, free, "/q?t=2", "gain"},
		{"the query is equal", bound, free, "/q?t=1", ""},
		{"nothing changes", bound, bound, "/q", ""},
	} {
		d := policy.NewDiff(tc.from, tc.to)
		d.Add(policy.Record{Time: noon, Method: "GET", Path: tc.path, Subject: "amy", Claims: map[string]string{"t": "1"}})
		kind := ""
		if changes := d.Changes(); len(changes) > 0 {
			kind = changes[0].Kind
		}
		if kind != tc.kind {
			t.Errorf("%s: %q, want %q", tc.name, kind, tc.kind)
		}
	}
}

func TestClaimText(t *testing.T) {
	for raw, want := range map[string]string{`"t1"`: "t1", `"\u0074"`: "t", `42`: "42", `4.0`: "4.0", `true`: "true", `null`: "-", `["t1"]`: "-", `{"a":1}`: "-", ``: "-", `x`: "-"} {
		got, ok := policy.ClaimText([]byte(raw))
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}
