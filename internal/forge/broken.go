package forge

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// broken are signatures of the right algorithm that are no signatures. The
// other valid form of an ECDSA signature, (r, n-s), is left out: by FIPS 186 it
// verifies, and nothing here keys a replay cache by the text of a token.
func (f *forger) broken() {
	header, payload, signature := f.parts()
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		panic("forge: the valid token was parsed before: " + err.Error())
	}
	forged := header + "." + f.forgedPayload() + "."
	same := header + "." + payload + "."
	flipped := bytes.Clone(raw)
	flipped[len(flipped)/2] ^= 1
	f.add("T04", "signature-flipped-bit", "One bit of the signature is flipped.", same+b64(flipped))
	f.add("T12", "signature-zeros", "The signature is all zeros.", forged+b64(make([]byte, len(raw))))
	f.add("T12", "signature-ones", "The signature is all ones.", forged+b64(bytes.Repeat([]byte{0xff}, len(raw))))
	f.add("T13", "signature-too-long", "A byte follows the signature.", same+b64(append(bytes.Clone(raw), 0)))
	f.add("T13", "signature-cut", "The last byte of the signature is cut.", same+b64(raw[:len(raw)-1]))
	f.add("T13", "signature-half", "Half of the signature is cut.", same+b64(raw[:len(raw)/2]))
	if f.key.Algorithm() == jose.ES256 {
		f.brokenES256(forged, same, raw)
	}
}

func (f *forger) brokenES256(forged, same string, raw []byte) {
	n := elliptic.P256().Params().N.FillBytes(make([]byte, 32))
	one := make([]byte, 32)
	one[31] = 1
	f.add("T12", "psychic-zero-one", "The signature is r=0, s=1.", forged+b64(append(make([]byte, 32), one...)))
	f.add("T12", "psychic-one-zero", "The signature is r=1, s=0.", forged+b64(append(bytes.Clone(one), make([]byte, 32)...)))
	f.add("T12", "psychic-order", "The signature is r=s=n.", forged+b64(append(bytes.Clone(n), n...)))
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	if err != nil {
		panic("forge: two integers always marshal: " + err.Error())
	}
	f.add("T13", "signature-der", "The signature is DER instead of r and s.", same+b64(der))
	f.add("T12", "psychic-der", "The signature is DER with r=s=0.", forged+b64([]byte{0x30, 6, 2, 1, 0, 2, 1, 0}))
}

// foreign are tokens signed properly with a key that is not the issuer's.
func (f *forger) foreign() {
	own, private := signerFor(f.key.Algorithm())
	method := methodOf(f.key.Algorithm())
	f.add("T09", "other-key-same-kid", "Signed with another key under the issuer's key id.", signed(method, private, encode(f.header), f.forgedPayload()))
	f.add("T09", "other-key-own-kid", "Signed with another key under its own key id.", signed(method, private, encode(with(f.header, "kid", own.Key().ID())), f.forgedPayload()))
	f.add("T09", "other-key-no-kid", "Signed with another key, without a key id.", signed(method, private, encode(with(f.header, "kid", nil)), f.forgedPayload()))
	f.add("T17", "expired-other-key", "Expired, and signed with another key: the signature is what counts.",
		signed(method, private, encode(f.header), encode(with(f.claims, "exp", f.Now.Unix()-3600))))
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.ES384, jose.RS256, jose.PS256, jose.EdDSA} {
		if algorithm == f.key.Algorithm() {
			continue
		}
		_, private := signerFor(algorithm)
		f.add("T07", "other-algorithm-"+strings.ToLower(string(algorithm)), "Signed with "+string(algorithm)+" and another key under the issuer's key id.",
			signed(methodOf(algorithm), private, encode(with(f.header, "alg", string(algorithm))), f.forgedPayload()))
	}
	_, payload, signature := f.parts()
	for i, spelling := range []string{strings.ToLower(string(f.key.Algorithm())), " " + string(f.key.Algorithm()), string(f.key.Algorithm()) + "\u0000"} {
		f.add("T08", []string{"alg-lower-case", "alg-leading-space", "alg-trailing-nul"}[i], "The algorithm is spelt differently.", encode(with(f.header, "alg", spelling))+"."+payload+"."+signature)
	}
}

// injected are tokens whose header brings a key, or steers where one is found.
func (f *forger) injected() {
	own, private := signerFor(f.key.Algorithm())
	method := methodOf(f.key.Algorithm())
	jwk, err := own.Key().MarshalJSON()
	if err != nil {
		panic("forge: our own public keys always marshal: " + err.Error())
	}
	var member map[string]any
	mustUnmarshal(jwk, &member)
	sign := func(header map[string]any) string { return signed(method, private, encode(header), f.forgedPayload()) }
	f.add("T25", "jwk-embedded", "The header brings its own key, under the issuer's key id.", sign(with(f.header, "jwk", member)))
	f.add("T25", "jwk-embedded-own-kid", "The header brings its own key, under its own key id.", sign(with(with(f.header, "jwk", member), "kid", own.Key().ID())))
	for i, url := range []string{"http://127.0.0.1:1/jwks.json", f.Issuer + "@127.0.0.1:1/jwks.json", "//127.0.0.1:1/jwks.json", f.Issuer + "/../jwks.json#"} {
		f.add("T23", "jku-"+[]string{"other", "userinfo", "scheme-relative", "fragment"}[i], "The header says where to fetch the keys.",
			sign(with(with(f.header, "jku", url), "kid", own.Key().ID())))
		f.add("T24", "x5u-"+[]string{"other", "userinfo", "scheme-relative", "fragment"}[i], "The header says where to fetch a certificate.",
			sign(with(with(f.header, "x5u", url), "kid", own.Key().ID())))
	}
	f.add("T26", "x5c-self-signed", "The header brings a certificate of its own.", sign(with(f.header, "x5c", []string{selfSigned(own, f.Now)})))
	for _, k := range []struct {
		id, name string
		kid      any
	}{
		{"T21", "kid-object", map[string]any{"$ne": nil}}, {"T21", "kid-list", []string{f.key.ID()}}, {"T21", "kid-number", 1},
		{"T22", "kid-shell", "$(id)"}, {"T22", "kid-template", "{{7*7}}"}, {"T22", "kid-line-break", "x\r\nX-Injected: 1"}, {"T22", "kid-log4j", "${jndi:ldap://127.0.0.1:1/a}"},
		{"T22", "kid-long", strings.Repeat("k", 4096)},
	} {
		f.add(k.id, k.name, "The key id is an attempt at whatever looks it up.", sign(with(f.header, "kid", k.kid)))
	}
}
