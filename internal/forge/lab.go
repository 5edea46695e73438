package forge

import (
	"encoding/json"
	"strings"
)

// labHeaders are signed with the issuer's own key and wrong in their header or
// their JSON.
func (f *forger) labHeaders() {
	payload := encode(f.claims)
	header := func(id, name, title, member string, value any) {
		f.add(id, name, title, f.lab(encode(with(f.labHeader(), member, value)), payload))
	}
	header("T27", "crit-unknown", "Signed; declares an unknown extension critical.", "crit", []string{"x"})
	header("T27", "crit-empty", "Signed; an empty list of critical extensions.", "crit", []string{})
	header("T27", "crit-string", "Signed; crit is not a list.", "crit", "exp")
	header("T27", "crit-registered", "Signed; declares a registered name critical.", "crit", []string{"alg"})
	header("T28", "b64-false", "Signed; claims that the payload is not encoded.", "b64", false)
	header("T56", "typ-jwt", "Signed; an ID token's type.", "typ", "JWT")
	header("T56", "typ-missing", "Signed; no type.", "typ", nil)
	header("T56", "typ-logout", "Signed; a logout token's type.", "typ", "logout+jwt")
	header("T56", "typ-dpop", "Signed; a DPoP proof's type.", "typ", "dpop+jwt")
	header("T56", "typ-handoff", "Signed; a hand-off's type.", "typ", "handoff+jwt")
	header("T56", "typ-request-object", "Signed; an authorization request's type.", "typ", "oauth-authz-req+jwt")
	header("T56", "typ-introspection", "Signed; an introspection answer's type.", "typ", "token-introspection+jwt")
	header("T56", "typ-number", "Signed; the type is a number.", "typ", 1)
	good := encode(f.labHeader())
	text, err := json.Marshal(f.claims)
	if err != nil {
		panic("forge: plain maps always marshal: " + err.Error())
	}
	raw := func(id, name, title, claims string) { f.add(id, name, title, f.lab(good, b64([]byte(claims)))) }
	open := strings.TrimSuffix(string(text), "}")
	raw("T29", "duplicate-sub", "Signed; two subjects.", open+`,"sub":"usr_attacker"}`)
	raw("T29", "duplicate-sub-escaped", "Signed; two subjects, one of them in escapes.", open+`,"\u0073ub":"usr_attacker"}`)
	raw("T29", "duplicate-sub-case", "Signed; two subjects that differ in case.", open+`,"Sub":"usr_attacker"}`)
	raw("T29", "duplicate-nested", "Signed; a nested object names a member twice.", open+`,"x":{"a":1,"a":2}}`)
	raw("T32", "trailing-object", "Signed; a second object follows the claims.", string(text)+`{}`)
	raw("T32", "trailing-comment", "Signed; a comment follows the claims.", string(text)+`//x`)
	raw("T32", "bom", "Signed; a byte order mark precedes the claims.", "\ufeff"+string(text))
	raw("T32", "nan", "Signed; a claim is NaN.", open+`,"x":NaN}`)
	raw("T32", "lone-surrogate", "Signed; a string holds half a character.", open+`,"x":"\ud800"}`)
	raw("T32", "not-utf8", "Signed; a string is not UTF-8.", open+",\"x\":\"\xff\"}")
	raw("T39", "claims-list", "Signed; the claims are a list.", `[]`)
	raw("T39", "claims-null", "Signed; the claims are null.", `null`)
	raw("T39", "claims-string", "Signed; the claims are a string.", `"x"`)
}

// claim adds a signed token in which one claim is changed.
func (f *forger) claim(id, name, title, member string, value any) {
	f.add(id, name, title, f.lab(encode(f.labHeader()), encode(with(f.claims, member, value))))
}

// labTimes are signed and not valid now, or at no time.
func (f *forger) labTimes() {
	now := f.Now.Unix()
	f.claim("T50", "exp-missing", "Signed; never expires.", "exp", nil)
	f.claim("T51", "expired", "Signed; expired an hour ago.", "exp", now-3600)
	f.claim("T51", "expired-five-minutes", "Signed; expired five minutes ago.", "exp", now-300)
	f.claim("T51", "expired-year", "Signed; expired a year ago.", "exp", now-365*86400)
	for _, v := range []struct {
		name  string
		value any
	}{
		{"string", "9999999999"}, {"huge", json.RawMessage("1e308")}, {"negative", -1}, {"true", true}, {"list", []int64{now + 600}},
		{"overflow", json.RawMessage("9223372036854775808")}, {"zero", 0}, {"year-10000", 253402300800},
	} {
		f.claim("T52", "exp-"+v.name, "Signed; exp is not a date.", "exp", v.value)
	}
	f.add("T52", "exp-null", "Signed; exp is null.", f.lab(encode(f.labHeader()), encode(with(f.claims, "exp", json.RawMessage("null")))))
	f.claim("T53", "nbf-future", "Signed; valid from in an hour.", "nbf", now+3600)
	f.claim("T53", "iat-future", "Signed; issued in an hour.", "iat", now+3600)
	f.claim("T53", "nbf-string", "Signed; nbf is a string.", "nbf", "0")
}

// labParties are signed and of another issuer, or for another audience.
func (f *forger) labParties() {
	f.claim("T54", "wrong-audience", "Signed; for another API.", "aud", "https://other.example.com")
	f.claim("T54", "aud-missing", "Signed; without an audience.", "aud", nil)
	for _, v := range []struct {
		name  string
		value any
	}{
		{"list-other", []string{"https://other.example.com"}}, {"empty", ""}, {"empty-list", []string{}}, {"prefix", f.Audience[:len(f.Audience)-1]},
		{"longer", f.Audience + "/x"}, {"upper-case", strings.ToUpper(f.Audience)}, {"wildcard", "*"}, {"nested", [][]string{{f.Audience}}},
		{"object", map[string]string{"aud": f.Audience}}, {"number", 1}, {"mixed-list", []any{f.Audience, 1}}, {"issuer", f.Issuer + "#issuer"}, {"slash", f.Audience + "/"},
	} {
		f.claim("T54", "aud-"+v.name, "Signed; the audience is not this API's.", "aud", v.value)
	}
	for _, v := range []struct {
		name  string
		value any
	}{
		{"missing", nil}, {"other", "https://evil.example.com"}, {"slash", f.Issuer + "/"}, {"upper-case", strings.ToUpper(f.Issuer)},
		{"list", []string{"https://evil.example.com", f.Issuer}}, {"longer", f.Issuer + ".evil.example.com"}, {"object", map[string]string{"iss": f.Issuer}}, {"empty", ""},
	} {
		f.claim("T55", "iss-"+v.name, "Signed; the issuer is not this one.", "iss", v.value)
	}
}

// labTypes are signed and have a claim of the wrong type, or lack one that an
// access token must have (RFC 9068 §2.2).
func (f *forger) labTypes() {
	for _, v := range []struct {
		name, member string
		value        any
	}{
		{"sub-missing", "sub", nil}, {"sub-number", "sub", 1}, {"sub-object", "sub", map[string]string{"id": "x"}}, {"sub-empty", "sub", ""},
		{"sub-null", "sub", json.RawMessage("null")}, {"sub-list", "sub", []string{"usr_attacker"}},
		{"scope-list", "scope", []string{"orders:read", "orders:write"}}, {"scope-number", "scope", 1},
		{"roles-string", "roles", "admin"}, {"roles-object", "roles", map[string]any{"admin": true}}, {"roles-mixed", "roles", []any{"admin", 1}},
		{"client-missing", "client_id", nil}, {"client-list", "client_id", []string{"demo-app"}}, {"jti-missing", "jti", nil}, {"jti-number", "jti", 7}, {"iat-missing", "iat", nil},
		{"auth-time-string", "auth_time", "now"}, {"acr-list", "acr", []string{"phr"}},
	} {
		f.claim("T58", "claim-"+v.name, "Signed; a claim is missing or of the wrong type.", v.member, v.value)
	}
	f.claim("T58", "cnf-bound", "Signed; bound to a key whose proof nobody sent.", "cnf", map[string]string{"jkt": strings.Repeat("A", 43)})
}
