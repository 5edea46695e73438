package policy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// The test file of the design passes against the policy of the design, and two
// routes have no test.
func TestTestsOfTheDesign(t *testing.T) {
	text, err := os.ReadFile("testdata/policy.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all, err := policy.ParseTests("policy.test.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	p, results := sample(t), []policy.Result(nil)
	for _, e := range all {
		r := p.Check(e, noon)
		if r.Fault != "" {
			t.Errorf("%s:%d: %s: %s", e.File, e.Line, e, r.Fault)
		}
		results = append(results, r)
	}
	var bare []string
	for _, r := range p.Untouched(results) {
		bare = append(bare, r.String())
	}
	if got := strings.Join(bare, "; "); len(results) != 6 || got != "GET /healthz; DELETE /users/{id}" {
		t.Errorf("%d expectations, untouched %s", len(results), got)
	}
}

// Each way in which an expectation can fail.
func TestCheckFaults(t *testing.T) {
	p := parse(t, head+`routes:
- GET /a: { scope: x }
- POST /a: { scope: x, max_token_age: 5m }
- GET /role: { role: r }
- GET /watch: { scope: x, mode: shadow }
- GET /{t}/w: { where: { token.t: path.t } }
`)
	for _, tc := range []struct{ test, want string }{
		{"as: {sub: a, scope: x}\n  allow: [GET /a]", ""},
		{"as: {sub: a, scope: [x, y]}\n  allow: [GET /a]", ""},
		{"as: {sub: a, scope: x y}\n  allow: [GET /a]", ""},
		{"as: {sub: a, scope: ''}\n  allow: [GET /a]", "denied: insufficient_scope"},
		{"as: {sub: a}\n  deny: [GET /a]", ""},
		{"as: {sub: a, scope: x}\n  deny: [GET /a]", "allowed by GET /a"},
		{"as: {sub: a}\n  deny: [{GET /a: role}]", "denied for another reason: insufficient_scope, not role"},
		{"as: anonymous\n  deny: [{GET /a: missing_token}]", ""},
		{"as: {sub: a, scope: x, age: 10m}\n  deny: [{POST /a: max_token_age}]", ""},
		{"as: {sub: a, scope: x, age: 5m}\n  allow: [POST /a]", ""},
		{"as: {sub: a, scope: x}\n  allow: [POST /a]", ""},
		{"as: {sub: a, roles: [r]}\n  allow: [GET /role]", ""},
		{"as: {sub: a, roles: []}\n  deny: [{GET /role: role}]", ""},
		{"as: {sub: a}\n  deny: [{GET /watch: insufficient_scope}]", ""},
		{"as: {sub: a}\n  allow: [GET /watch]", "denied: insufficient_scope"},
		{"as: {sub: a, t: 42}\n  allow: [GET /42/w]", ""},
		{"as: {sub: a, t: 42}\n  deny: [{GET /43/w: where}]", ""},
		{"as: {sub: a}\n  deny: [{GET /a%2fb: bad_path}]", ""},
		{"as: {sub: a}\n  deny: [{get /a: bad_method}]", ""},
		{"as: {sub: a}\n  deny: [{GET /b: no_route}]", ""},
	} {
		all, err := policy.ParseTests("t.yaml", []byte("tests:\n- "+tc.test+"\n"))
		if err != nil || len(all) != 1 {
			t.Errorf("%s: %v", tc.test, err)
			continue
		}
		if r := p.Check(all[0], noon); r.Fault != tc.want {
			t.Errorf("%s: %q, want %q", tc.test, r.Fault, tc.want)
		}
	}
}

func TestParseTestsFaults(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"tests: []", "1: no test"},
		{"test: []", `1: a test file has no key "test"`},
		{"tests:\n- allow: [GET /]", "2: as is missing"},
		{"tests:\n- as: nobody\n  allow: [GET /]", "2: as is anonymous, or"},
		{"tests:\n- as: anonymous\n  allow: [/]", "3: a request is a method and a path"},
		{"tests:\n- as: anonymous\n  allow: [{GET /: where}]", "3: what is allowed has no reason"},
		{"tests:\n- as: anonymous\n  deny: [{GET /: because}]", "3: the reason is one of no_route, missing_token"},
		{"tests:\n- as: {sub: a, age: old}\n  deny: [GET /]", "2: age is a time"},
		{"tests:\n- as: anonymous\n  denied: [GET /]", `3: a test has no key "denied"`},
	} {
		_, err := policy.ParseTests("t.yaml", []byte(tc.text))
		if err == nil || !strings.Contains(err.Error(), "t.yaml:"+tc.want) {
			t.Errorf("%q: %v, want %s", tc.text, err, tc.want)
		}
	}
}
