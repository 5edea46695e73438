package forge

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// confused are signed with HMAC, and the secret is something everybody has:
// the issuer's public key in one of its forms (CVE-2015-9235 and many since).
func (f *forger) confused() []Token {
	if f.public.IsZero() {
		return nil
	}
	var tokens []Token
	for _, algorithm := range []string{"HS256", "HS384", "HS512"} {
		for _, form := range f.forms(f.public) {
			tokens = append(tokens, f.confusedWith(algorithm, "public-key", form, f.header(algorithm)))
		}
	}
	// A verifier may find any key of the set: by the kid, or by trying them all.
	others := 0
	for _, key := range f.Keys.Keys() {
		if key.Equal(f.public) || others == maxOthers {
			continue
		}
		others++
		header := object("alg", `"HS256"`, "kid", quote(key.ID()), "typ", f.kind())
		for _, form := range f.forms(key) {
			form.title += " of another key of the set"
			tokens = append(tokens, f.confusedWith("HS256", "public-key-"+strconv.Itoa(others+1), form, header))
		}
	}
	return tokens
}

// maxOthers bounds how many more keys of a set are tried: some have dozens.
const maxOthers = 4

func (f *forger) confusedWith(algorithm, key string, form form, header string) Token {
	name := strings.ToLower(algorithm) + "-" + key
	if form.name != "" {
		name += "-" + form.name
	}
	return Token{
		ID: "T05", Name: name, Title: algorithm + " with the public key as secret, as " + form.title, Want: wantAlgorithm,
		Raw: f.mac(algorithm, header, f.payload(), form.secret),
	}
}

// guessed are signed with HMAC and a secret that one can guess.
func (f *forger) guessed() []Token {
	host := f.Issuer
	if u, err := url.Parse(f.Issuer); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	var tokens []Token
	for _, s := range []struct{ id, name, secret string }{
		{"T10", "secret", "secret"}, {"T10", "changeme", "changeme"}, {"T10", "password", "password"}, {"T10", "readme", "your-256-bit-secret"},
		{"T10", "product", "gatehouse"}, {"T10", "host", host}, {"T10", "issuer", f.Issuer},
		{"T11", "empty", ""}, {"T11", "nul", "\x00"}, {"T11", "null", "null"}, {"T11", "undefined", "undefined"}, {"T11", "zeros", strings.Repeat("\x00", 32)},
	} {
		tokens = append(tokens, Token{
			ID: s.id, Name: "hs256-secret-" + s.name, Title: "HS256 with a guessed secret: " + s.name, Want: wantAlgorithm,
			Raw: f.mac("HS256", f.header("HS256"), f.payload(), []byte(s.secret)),
		})
	}
	return tokens
}

// steered are signed with HMAC and a secret that a careless lookup finds by
// what the token says about itself, before it is verified (T18).
func (f *forger) steered() []Token {
	var tokens []Token
	add := func(name, secret string) {
		if secret == "" {
			return
		}
		tokens = append(tokens, Token{
			ID: "T18", Name: "hs256-secret-of-" + name, Title: "HS256 with the token's own " + name + " as secret", Want: wantAlgorithm,
			Raw: f.mac("HS256", f.header("HS256"), f.changed(), []byte(secret)),
		})
	}
	for _, v := range []struct{ name, claim string }{{"client", "client_id"}, {"subject", "sub"}, {"token-id", "jti"}} {
		var value string
		if json.Unmarshal(f.claims[v.claim], &value) == nil {
			add(v.name, value)
		}
	}
	add("audience", f.Audience)
	header := object("alg", `"HS256"`, "kid", `"no-such-key"`, "typ", f.kind())
	return append(tokens, Token{
		ID: "T18", Name: "hs256-secret-of-nobody", Title: "HS256 with an empty secret, under a kid that nobody has", Want: wantKey,
		Raw: f.mac("HS256", header, f.payload(), nil),
	})
}
