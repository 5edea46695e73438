package forge

import (
	"crypto/rsa"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// What follows is signed by the issuer's own key: a signature check alone
// lets all of it through.

// swapped are signed by the right key under another algorithm's name (T07,
// T08). "Ed25519" for an EdDSA key is not among them: it is the same algorithm
// by its newer name (RFC 9864).
func (f *forger) swapped() []Token {
	own := string(f.Lab.Key().Algorithm())
	_, isRSA := f.Lab.Private().(*rsa.PrivateKey)
	var tokens []Token
	for _, other := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed448"} {
		if other == own {
			continue
		}
		method := own
		if isRSA && (strings.HasPrefix(other, "RS") || strings.HasPrefix(other, "PS")) {
			method = other // the key can really compute it
		}
		signed := encode(f.labHeader(other, f.labType())) + "." + encode(f.changed())
		tokens = append(tokens, Token{ID: "T07", Name: "alg-swapped-" + strings.ToLower(other), Title: "signed by the issuer's key as " + other, Want: wantAlgorithm, Raw: f.as(method, f.Lab, signed)})
	}
	for _, v := range []struct{ name, alg string }{
		{"lower", strings.ToLower(own)}, {"space-behind", own + " "}, {"space-before", " " + own}, {"nul", own + "\x00"},
	} {
		tokens = append(tokens, Token{ID: "T08", Name: "alg-spelling-" + v.name, Title: "signed, the algorithm written " + quote(v.alg), Want: wantAlgorithm, Raw: f.byLab(f.labHeader(v.alg, f.labType()), f.changed())})
	}
	return append(tokens, f.salts()...)
}

// salts are PSS signatures whose salt is not as long as the hash (RFC 7518 §3.5).
func (f *forger) salts() []Token {
	pss, ok := jwt.GetSigningMethod(string(f.Lab.Key().Algorithm())).(*jwt.SigningMethodRSAPSS)
	if !ok {
		return nil
	}
	signed := encode(f.genuine()) + "." + encode(f.changed())
	var tokens []Token
	for _, v := range []struct {
		name string
		salt int
	}{{"short", 8}, {"long", pss.Hash.Size() + 8}} {
		signature, err := salted(pss, v.salt).Sign(signed, f.Lab.Private())
		f.fail(err)
		tokens = append(tokens, Token{ID: "T15", Name: "pss-salt-" + v.name, Title: "signed with a " + v.name + " salt", Want: wantSignature, Raw: signed + "." + encode(signature)})
	}
	return tokens
}

// critical are headers that ask for more than the acceptor can do (T27, T28).
func (f *forger) critical() []Token {
	const want = "A critical header is not understood (RFC 7515 §4.1.11)."
	var tokens []Token
	for _, v := range []struct {
		name    string
		members []string
	}{
		{"unknown", []string{"crit", `["x"]`, "x", "1"}},
		{"absent", []string{"crit", `["x"]`}},
		{"empty", []string{"crit", `[]`}},
		{"string", []string{"crit", `"x"`, "x", "1"}},
		{"null", []string{"crit", `null`}},
		{"registered", []string{"crit", `["alg"]`}},
		{"exp", []string{"crit", `["exp"]`, "exp", f.at(0)}},
	} {
		tokens = append(tokens, Token{ID: "T27", Name: "crit-" + v.name, Title: "signed, crit " + v.members[1], Want: want, Raw: f.byLab(f.genuine(v.members...), f.changed())})
	}
	const wantB64 = "A JWT has an encoded payload (RFC 7797 §7)."
	unencoded := encode(f.genuine("b64", "false", "crit", `["b64"]`)) + "." + f.changed()
	return append(tokens,
		Token{ID: "T28", Name: "b64-false", Title: "signed, the payload not encoded", Want: wantB64, Raw: f.by(f.Lab, unencoded)},
		Token{ID: "T28", Name: "b64-false-encoded", Title: "signed, b64 false and the payload encoded", Want: wantB64, Raw: f.byLab(f.genuine("b64", "false", "crit", `["b64"]`), f.changed())},
		Token{ID: "T28", Name: "b64-without-crit", Title: "signed, b64 false without crit", Want: wantB64, Raw: f.byLab(f.genuine("b64", "false"), f.changed())},
	)
}

// repeated name one thing twice: two readers, two tokens (T29).
func (f *forger) repeated() []Token {
	const want = "A name is given twice."
	var tokens []Token
	for _, v := range []struct{ name, header, payload string }{
		{"header-alg", `{"alg":"none",` + f.genuine()[1:], f.changed()},
		{"header-alg-case", f.genuine("Alg", `"none"`), f.changed()},
		{"header-kid-escaped", `{"\u006bid":"other",` + f.genuine()[1:], f.changed()},
		{"header-nested", f.genuine("x", `{"a":1,"a":2}`), f.changed()},
		{"claim-sub", f.genuine(), f.added(`,"sub":"usr_forged"`)},
		{"claim-sub-escaped", f.genuine(), f.added(`,"\u0073ub":"usr_forged"`)},
		{"claim-sub-case", f.genuine(), f.added(`,"Sub":"usr_forged"`)},
		{"claim-iss-fold", f.genuine(), f.added(`,"iſs":"https://issuer.invalid"`)},
		{"claim-scope", f.genuine(), f.added(`,"x":{"scope":"a","scope":"b"}`)},
	} {
		tokens = append(tokens, Token{ID: "T29", Name: "twice-" + v.name, Title: "signed, a name twice: " + v.name, Want: want, Raw: f.byLab(v.header, v.payload)})
	}
	return tokens
}

// signedOddly are payloads and headers that are no strict JSON object (T32).
func (f *forger) signedOddly() []Token {
	var tokens []Token
	for _, v := range []struct{ name, header, payload string }{
		{"payload-two-objects", f.genuine(), f.changed() + "{}"},
		{"payload-comment-behind", f.genuine(), f.changed() + "//x"},
		{"payload-comment-inside", f.genuine(), f.added(`/*x*/`)},
		{"payload-bom", f.genuine(), "\ufeff" + f.changed()},
		{"payload-nan", f.genuine(), f.added(`,"x":NaN`)},
		{"payload-infinity", f.genuine(), f.added(`,"x":Infinity`)},
		{"payload-hexadecimal", f.genuine(), f.added(`,"x":0x10`)},
		{"payload-leading-zero", f.genuine(), f.added(`,"x":01`)},
		{"payload-trailing-comma", f.genuine(), f.added(`,`)},
		{"payload-single-quotes", f.genuine(), f.added(`,'x':1`)},
		{"payload-lone-surrogate", f.genuine(), f.added(`,"x":"\ud800"`)},
		{"payload-not-utf8", f.genuine(), f.added(",\"x\":\"\xff\"")},
		{"payload-control", f.genuine(), f.added(",\"x\":\"\x01\"")},
		{"payload-nul-behind", f.genuine(), f.changed() + "\x00"},
		{"payload-null", f.genuine(), "null"},
		{"payload-list", f.genuine(), "[" + f.changed() + "]"},
		{"payload-string", f.genuine(), quote(f.changed())},
		{"payload-number", f.genuine(), "1"},
		{"payload-nested-token", f.genuine("cty", `"JWT"`), f.Valid},
		{"payload-no-claims", f.genuine(), "{}"},
		{"header-bom", "\ufeff" + f.genuine(), f.changed()},
		{"header-two-objects", f.genuine() + "{}", f.changed()},
		{"header-comment", f.genuine() + "//x", f.changed()},
		{"header-zip", f.genuine("zip", `"DEF"`), f.changed()},
	} {
		tokens = append(tokens, Token{ID: "T32", Name: "signed-" + v.name, Title: "signed, but odd: " + v.name, Want: wantMalformed, Raw: f.byLab(v.header, v.payload)})
	}
	return tokens
}
