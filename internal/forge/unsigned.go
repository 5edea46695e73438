package forge

import (
	"fmt"
	"time"
)

const (
	wantSigned    = "The token has no signature of the issuer."
	wantMalformed = "The token is not one well-formed compact JWS."
	wantAlgorithm = "The algorithm is not the one of the issuer's key."
	wantSignature = "The signature does not fit the token."
)

// unsigned are the tokens that claim to need no signature, or lost it.
func (f *forger) unsigned() []Token {
	none := f.header("none")
	tokens := []Token{
		{ID: "T01", Name: "alg-none", Title: "algorithm none, empty signature", Want: wantSigned, Raw: join(none, f.payload(), "")},
		{ID: "T01", Name: "alg-none-no-dot", Title: "algorithm none, no third segment", Want: wantSigned, Raw: encode(none) + "." + encode(f.payload())},
		{ID: "T01", Name: "alg-none-signature", Title: "algorithm none, the signature of a real token", Want: wantSigned, Raw: encode(none) + "." + encode(f.payload()) + "." + f.signature},
		{ID: "T03", Name: "signature-stripped", Title: "a real token without its signature", Want: wantSigned, Raw: f.head + "." + f.body + "."},
		{ID: "T03", Name: "signature-stripped-no-dot", Title: "a real token without its third segment", Want: wantSigned, Raw: f.head + "." + f.body},
		{ID: "T03", Name: "signature-one-byte", Title: "a real token whose signature is one zero byte", Want: wantSigned, Raw: f.head + "." + f.body + ".AA"},
		{ID: "T03", Name: "signature-stripped-edited", Title: "an edited token without signature", Want: wantSigned, Raw: join(f.header(string(f.valid.Algorithm())), f.payload(), "")},
	}
	return append(tokens, f.noneVariants()...)
}

// noneVariants write "none" in ways that a blocklist misses (RFC 8725 §2.1).
func (f *forger) noneVariants() []Token {
	var tokens []Token
	for bits := 1; bits < 16; bits++ {
		word := []byte("none")
		for i := range word {
			if bits&(1<<i) != 0 {
				word[i] -= 'a' - 'A'
			}
		}
		// The name says which letters are upper case, and stays unique where file
		// names have no case.
		name := fmt.Sprintf("alg-none-case-%04b", bits)
		tokens = append(tokens, Token{ID: "T02", Name: name, Title: "algorithm " + string(word), Want: wantAlgorithm, Raw: join(f.header(string(word)), f.payload(), "")})
	}
	for _, v := range []struct{ name, alg string }{
		{"nul", `"none\u0000"`}, {"space", `" none"`}, {"list", `["none"]`}, {"null", `null`}, {"empty", `""`}, {"number", `0`}, {"false", `false`}, {"escaped", `"\u006eone"`},
	} {
		header := object("alg", v.alg, "kid", quote(f.valid.KeyID()), "typ", f.kind())
		tokens = append(tokens, Token{ID: "T02", Name: "alg-none-" + v.name, Title: "algorithm " + v.alg, Want: wantAlgorithm, Raw: join(header, f.payload(), "")})
	}
	missing := object("kid", quote(f.valid.KeyID()), "typ", f.kind())
	return append(tokens, Token{ID: "T02", Name: "alg-missing", Title: "no algorithm", Want: wantAlgorithm, Raw: join(missing, f.payload(), "")})
}

// edited are real tokens that were changed after they were signed.
func (f *forger) edited() []Token {
	expired := f.changed("exp", f.at(-time.Hour))
	return []Token{
		{ID: "T04", Name: "payload-edited", Title: "another user, the old signature", Want: wantSignature, Raw: f.head + "." + encode(f.payload()) + "." + f.signature},
		{ID: "T04", Name: "header-edited", Title: "another header, the old signature", Want: wantSignature, Raw: encode(f.header(string(f.valid.Algorithm()), "x", "1")) + "." + f.body + "." + f.signature},
		{ID: "T04", Name: "signature-flipped", Title: "one bit of the signature flipped", Want: wantSignature, Raw: f.resigned(func(sig []byte) []byte { sig[len(sig)/2] ^= 1; return sig })},
		{ID: "T17", Name: "expired-bad-signature", Title: "expired, and the signature does not fit", Want: "The signature does not fit; that it expired too is not to be told.", Raw: f.head + "." + encode(expired) + "." + f.signature},
		{ID: "T16", Name: "signature-half", Title: "the first half of a real signature", Want: wantSignature, Raw: f.resigned(func(sig []byte) []byte { return sig[:len(sig)/2] })},
		{ID: "T16", Name: "signature-sixteen-bytes", Title: "the first sixteen bytes of a real signature", Want: wantSignature, Raw: f.resigned(func(sig []byte) []byte { return sig[:16] })},
		{ID: "T16", Name: "signature-first-byte", Title: "the first byte of a real signature", Want: wantSignature, Raw: f.resigned(func(sig []byte) []byte { return sig[:1] })},
		{ID: "T63", Name: "token-truncated", Title: "a real token without its last bytes", Want: wantSignature, Raw: f.resigned(func(sig []byte) []byte { return sig[:len(sig)-3] })},
		{ID: "T63", Name: "token-extended", Title: "a real token with four more characters", Want: wantSignature, Raw: f.Valid + "AAAA"},
	}
}

// resigned is the valid token with another signature made from its own.
func (f *forger) resigned(change func([]byte) []byte) string {
	return f.head + "." + f.body + "." + encode(change(f.signatureBytes()))
}
