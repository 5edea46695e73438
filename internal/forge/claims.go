package forge

import (
	"slices"
	"strings"
	"time"
)

// classes are genuine tokens of another kind (T56; RFC 8725 §3.11).
func (f *forger) classes() []Token {
	const want = "It is not an access token (RFC 9068 §4)."
	algorithm := string(f.Lab.Key().Algorithm())
	var tokens []Token
	for _, v := range []struct{ name, kind string }{
		{"id-token", "JWT"}, {"logout-token", "logout+jwt"}, {"dpop-proof", "dpop+jwt"}, {"client-assertion", "client-authentication+jwt"},
		{"request-object", "oauth-authz-req+jwt"}, {"introspection", "token-introspection+jwt"}, {"event", "secevent+jwt"}, {"hand-off", "handoff+jwt"},
		{"refresh-token", "rt+jwt"}, {"empty", ""}, {"space", "at+jwt "}, {"prefix", "text/at+jwt"}, {"longer", "at+jwt2"},
	} {
		if strings.EqualFold(v.kind, f.typ) {
			continue // the valid token is of that type
		}
		tokens = append(tokens, Token{ID: "T56", Name: "typ-" + v.name, Title: "signed, typ " + quote(v.kind), Want: want, Raw: f.byLab(f.labHeader(algorithm, v.kind), f.changed())})
	}
	bare := []string{"alg", quote(algorithm), "kid", quote(f.Lab.Key().ID())}
	if f.typ == "" {
		return tokens
	}
	return append(tokens,
		Token{ID: "T56", Name: "typ-missing", Title: "signed, no typ", Want: want, Raw: f.byLab(object(bare...), f.changed())},
		Token{ID: "T56", Name: "typ-list", Title: "signed, typ a list", Want: want, Raw: f.byLab(object(append(bare, "typ", `["at+jwt"]`)...), f.changed())},
		Token{ID: "T56", Name: "typ-null", Title: "signed, typ null", Want: want, Raw: f.byLab(object(append(bare, "typ", `null`)...), f.changed())},
	)
}

// change is a genuine token with one claim that differs.
type change struct{ id, name, claim, value string }

// table makes the tokens of a table; name and title follow from the row.
func (f *forger) table(want string, rows []change) []Token {
	var tokens []Token
	for _, row := range rows {
		title := "signed, " + row.claim + " " + row.value
		if row.value == "" {
			title = "signed, no " + row.claim
		}
		tokens = append(tokens, Token{ID: row.id, Name: row.name, Title: title, Want: want, Raw: f.lab(row.claim, row.value)})
	}
	return tokens
}

// times are genuine tokens out of their time, or without one (T50 to T53).
func (f *forger) times() []Token {
	return append(f.table("It is not valid now.", []change{
		{"T51", "expired", "exp", f.at(-time.Hour)},
		{"T51", "expired-minutes", "exp", f.at(-5 * time.Minute)},
		{"T51", "expired-year", "exp", f.at(-365 * 24 * time.Hour)},
		{"T51", "expired-epoch", "exp", "0"},
		{"T52", "exp-small", "exp", "1e3"},
		{"T52", "exp-fraction", "exp", "1.5"},
		{"T53", "nbf-future", "nbf", f.at(time.Hour)},
		{"T53", "iat-future", "iat", f.at(time.Hour)},
	}), f.table("The date is not a number of seconds since 1970 (RFC 7519 §2).", []change{
		{"T50", "exp-missing", "exp", ""},
		{"T52", "exp-string", "exp", quote(f.at(time.Hour))},
		{"T52", "exp-null", "exp", "null"},
		{"T52", "exp-true", "exp", "true"},
		{"T52", "exp-list", "exp", "[" + f.at(time.Hour) + "]"},
		{"T52", "exp-object", "exp", `{"exp":` + f.at(time.Hour) + "}"},
		{"T52", "exp-negative", "exp", "-1"},
		{"T52", "exp-huge", "exp", "1e308"},
		{"T52", "exp-infinite", "exp", "1e999"},
		{"T52", "exp-63-bits", "exp", "9223372036854775808"},
		{"T52", "exp-milliseconds", "exp", f.at(time.Hour) + "000"},
		{"T52", "nbf-string", "nbf", quote(f.at(-time.Hour))},
		{"T52", "nbf-null", "nbf", "null"},
		{"T52", "iat-string", "iat", quote(f.at(-time.Hour))},
		{"T52", "iat-negative", "iat", "-1"},
	})...)
}

// audiences are genuine tokens for somebody else (T54).
func (f *forger) audiences() []Token {
	a := f.Audience
	rows := []change{
		{"T54", "wrong-audience", "aud", `"https://other.invalid"`},
		{"T54", "wrong-audience-list", "aud", `["https://other.invalid"]`},
		{"T54", "aud-missing", "aud", ""},
		{"T54", "aud-null", "aud", "null"},
		{"T54", "aud-empty", "aud", `""`},
		{"T54", "aud-empty-list", "aud", "[]"},
		{"T54", "aud-prefix", "aud", quote(a[:len(a)-1])},
		{"T54", "aud-longer", "aud", quote(a + "x")},
		{"T54", "aud-slash", "aud", quote(a + "/")},
		{"T54", "aud-space", "aud", quote(a + " ")},
		{"T54", "aud-words", "aud", quote("https://other.invalid " + a)},
		{"T54", "aud-case", "aud", quote(swapCase(a))},
		{"T54", "aud-wildcard", "aud", `"*"`},
		{"T54", "aud-nested", "aud", "[[" + quote(a) + "]]"},
		{"T54", "aud-object", "aud", object(a, "true")},
		{"T54", "aud-number", "aud", "1"},
		{"T54", "aud-mixed-list", "aud", "[" + quote(a) + ",1]"},
		{"T54", "aud-issuer", "aud", quote(f.Issuer)},
	}
	// An issuer may be its own audience (C4), and then that token is a good one.
	rows = slices.DeleteFunc(rows, func(r change) bool { return r.value == quote(a) })
	return f.table("It is not for this audience (RFC 7519 §4.1.3).", rows)
}

// issuers are signed with the right key in the name of somebody else (T55).
func (f *forger) issuers() []Token {
	i := f.Issuer
	return f.table("The issuer is not the one of the key (RFC 7519 §4.1.1).", []change{
		{"T55", "wrong-issuer", "iss", `"https://issuer.invalid"`},
		{"T55", "iss-missing", "iss", ""},
		{"T55", "iss-null", "iss", "null"},
		{"T55", "iss-empty", "iss", `""`},
		{"T55", "iss-list", "iss", "[" + quote(i) + "]"},
		{"T55", "iss-list-of-two", "iss", `["https://issuer.invalid",` + quote(i) + "]"},
		{"T55", "iss-object", "iss", object("iss", quote(i))},
		{"T55", "iss-slash", "iss", quote(i + "/")},
		{"T55", "iss-case", "iss", quote(swapCase(i))},
		{"T55", "iss-port", "iss", quote(i + ":443")},
		{"T55", "iss-prefix", "iss", quote(i[:len(i)-1])},
		{"T55", "iss-space", "iss", quote(" " + i)},
	})
}

// types are genuine tokens whose claims are of a type that a careless reader
// turns into something else (T58), and one that is bound to a key (C9).
func (f *forger) types() []Token {
	return append(f.table("A claim is missing or of another type (RFC 9068 §2.2).", []change{
		{"T58", "sub-missing", "sub", ""},
		{"T58", "sub-null", "sub", "null"},
		{"T58", "sub-empty", "sub", `""`},
		{"T58", "sub-number", "sub", "1"},
		{"T58", "sub-object", "sub", `{"$ne":null}`},
		{"T58", "sub-list", "sub", `["usr_forged"]`},
		{"T58", "client-id-missing", "client_id", ""},
		{"T58", "client-id-empty", "client_id", `""`},
		{"T58", "client-id-number", "client_id", "1"},
		{"T58", "jti-missing", "jti", ""},
		{"T58", "jti-empty", "jti", `""`},
		{"T58", "jti-number", "jti", "1"},
		{"T58", "iat-missing", "iat", ""},
		{"T58", "scope-list", "scope", `["orders:read"]`},
		{"T58", "scope-null", "scope", "null"},
		{"T58", "scope-object", "scope", `{"orders:read":true}`},
		{"T58", "roles-string", "roles", `"admin"`},
		{"T58", "roles-object", "roles", `{"admin":true}`},
		{"T58", "roles-null", "roles", "null"},
		{"T58", "roles-mixed", "roles", `["admin",1]`},
		{"T58", "roles-nested", "roles", `[["admin"]]`},
		{"T58", "acr-list", "acr", `["phr"]`},
		{"T58", "auth-time-string", "auth_time", quote(f.at(0))},
		{"T58", "sid-number", "sid", "1"},
	}), f.table("It is bound to a key, and nobody checks the proof.", []change{
		{"C9", "cnf-jkt", "cnf", `{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`},
		{"C9", "cnf-x5t", "cnf", `{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`},
		{"C9", "cnf-null", "cnf", "null"},
		{"C9", "cnf-empty", "cnf", "{}"},
	})...)
}

// swapCase turns every letter into its other case, so that the text differs
// whatever the case was.
func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}
