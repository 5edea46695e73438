package forge

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

func (f *forger) signatureBytes() []byte {
	signature, err := base64.RawURLEncoding.DecodeString(f.signature)
	f.fail(err)
	return signature
}

// foreign are signed correctly, by a key that is not the issuer's.
func (f *forger) foreign() []Token {
	algorithm := f.foreignAlgorithm()
	own := func(kid ...string) string {
		return object(append(append([]string{"alg", quote(algorithm)}, kid...), "typ", f.kind())...)
	}
	expired := f.changed("exp", f.at(-time.Hour))
	elsewhere := f.changed("iss", `"https://issuer.invalid"`)
	return append(f.foreignKinds(),
		Token{ID: "T17", Name: "expired-foreign-key", Title: "another issuer's key, and expired", Want: wantSignature + " That it expired too is not to be told.", Raw: f.byOwn(f.header(algorithm), expired)},
		Token{ID: "T09", Name: "foreign-key-same-kid", Title: "another issuer's key under the same kid", Want: wantSignature, Raw: f.byOwn(f.header(algorithm), f.payload())},
		Token{ID: "T09", Name: "foreign-key-own-kid", Title: "another issuer's key under its own kid", Want: wantKey, Raw: f.byOwn(own("kid", quote(f.own.Key().ID())), f.payload())},
		Token{ID: "T09", Name: "foreign-key-no-kid", Title: "another issuer's key without kid", Want: wantKey, Raw: f.byOwn(own(), f.payload())},
		Token{ID: "T09", Name: "foreign-key-empty-kid", Title: "another issuer's key with an empty kid", Want: wantKey, Raw: f.byOwn(own("kid", `""`), f.payload())},
		Token{ID: "T09", Name: "foreign-issuer", Title: "a genuine token of another issuer", Want: "The issuer is another one, and so is the key.", Raw: f.byOwn(own("kid", quote(f.own.Key().ID())), elsewhere)},
		Token{ID: "T30", Name: "foreign-issuer-same-kid", Title: "another issuer that uses the same kid", Want: "The issuer is another one; nothing may be fetched from it.", Raw: f.byOwn(f.header(algorithm), elsewhere)},
	)
}

// foreignKinds are signed with a key of another kind under the issuer's kid.
func (f *forger) foreignKinds() []Token {
	var tokens []Token
	for _, other := range []jose.Algorithm{jose.ES256, jose.ES384, jose.EdDSA} {
		if other == f.valid.Algorithm() {
			continue
		}
		signer, err := jose.GenerateSigner(other)
		if err != nil {
			f.fail(err)
			return nil
		}
		signed := encode(f.header(string(other))) + "." + encode(f.payload())
		tokens = append(tokens, Token{ID: "T07", Name: "foreign-kind-" + strings.ToLower(string(other)), Title: "another issuer's " + string(other) + " key under the same kid", Want: wantAlgorithm, Raw: f.by(signer, signed)})
	}
	return tokens
}

const wantKey = "The key is none of the issuer's."

// misshapen are signatures that a sloppy check takes for good.
func (f *forger) misshapen() []Token {
	tokens := []Token{
		{ID: "T13", Name: "signature-short", Title: "a signature without its last byte", Want: wantSignature, Raw: f.resigned(func(sig []byte) []byte { return sig[:len(sig)-1] })},
		{ID: "T13", Name: "signature-long", Title: "a signature with a zero byte behind", Want: wantSignature, Raw: f.resigned(func(sig []byte) []byte { return append(sig, 0) })},
		{ID: "T13", Name: "signature-leading-zero", Title: "a signature with a zero byte in front", Want: wantSignature, Raw: f.resigned(func(sig []byte) []byte { return append([]byte{0}, sig...) })},
		{ID: "T13", Name: "signature-zeros", Title: "a signature of zeros", Want: wantSignature, Raw: f.resigned(func(sig []byte) []byte { return make([]byte, len(sig)) })},
	}
	tokens = append(tokens, f.psychic()...)
	switch f.valid.Algorithm() {
	case jose.EdDSA:
		return append(tokens, f.edwards()...)
	case jose.HS256, jose.HS384, jose.HS512:
		return tokens
	case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512:
		return append(tokens, f.weakRSA()...)
	}
	return append(tokens, f.ecdsaForms()...)
}

// psychic are ECDSA signatures that fit every message where zero and the
// order of the group are not refused (CVE-2022-21449).
func (f *forger) psychic() []Token {
	algorithm, curve := "ES256", elliptic.P256()
	if key, ok := f.public.Public().(*ecdsa.PublicKey); ok {
		algorithm, curve = string(f.valid.Algorithm()), key.Curve
	}
	size := (curve.Params().BitSize + 7) / 8
	zero, one, order := big.NewInt(0), big.NewInt(1), curve.Params().N
	var tokens []Token
	for _, v := range []struct {
		name string
		r, s *big.Int
	}{{"zeros", zero, zero}, {"zero-one", zero, one}, {"one-zero", one, zero}, {"orders", order, order}, {"order-one", order, one}} {
		tokens = append(tokens, Token{
			ID: "T12", Name: "psychic-" + v.name, Title: algorithm + " with a signature of " + v.name, Want: wantSignature,
			Raw: join(f.header(algorithm), f.payload(), pair(v.r, v.s, size)),
		})
	}
	der, err := asn1.Marshal([]*big.Int{zero, zero})
	f.fail(err)
	return append(tokens, Token{ID: "T12", Name: "psychic-der", Title: algorithm + " with zeros in DER", Want: wantSignature, Raw: join(f.header(algorithm), f.payload(), der)})
}

// pair is r‖s, each of size bytes (RFC 7518 §3.4).
func pair(r, s *big.Int, size int) []byte {
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signature
}

// ecdsaForms are the real signature in forms other than r‖s.
func (f *forger) ecdsaForms() []Token {
	signature := f.signatureBytes()
	half := len(signature) / 2
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	der, err := asn1.Marshal([]*big.Int{r, s})
	f.fail(err)
	return []Token{
		{ID: "T13", Name: "ecdsa-der", Title: "the real signature in DER", Want: wantSignature, Raw: f.head + "." + f.body + "." + encode(der)},
		{ID: "T13", Name: "ecdsa-wide", Title: "the real signature with a zero byte before each half", Want: wantSignature, Raw: f.head + "." + f.body + "." + encode(pair(r, s, half+1))},
	}
}

// edwards are forgeries that only lax checks of Ed25519 take (RFC 8032 §5.1.7).
func (f *forger) edwards() []Token {
	identity := make([]byte, ed25519.SignatureSize) // R is the neutral point, S is 0
	identity[0] = 1
	return []Token{
		{ID: "T12", Name: "ed25519-identity", Title: "a signature of the neutral point", Want: wantSignature, Raw: join(f.header("EdDSA"), f.payload(), identity)},
		{ID: "T14", Name: "ed25519-large-s", Title: "the real signature with S + L", Want: wantSignature, Raw: f.resigned(plusOrder)},
	}
}

// plusOrder adds the order of the group to S, which is little-endian.
func plusOrder(signature []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return append(slices.Clone(signature[:32]), sum...)
}

// weakRSA bring a key in the header that is too weak to mean anything.
func (f *forger) weakRSA() []Token {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		f.fail(err)
		return nil
	}
	signed := encode(f.header("RS256", "jwk", rsaJWK(small.N, small.E))) + "." + encode(f.payload())
	signature, err := jwt.SigningMethodRS256.Sign(signed, small)
	f.fail(err)
	tokens := []Token{{ID: "T15", Name: "rsa-1024-embedded", Title: "an RSA key of 1024 bits in the header", Want: wantKey, Raw: signed + "." + encode(signature)}}
	if public, ok := f.public.Public().(*rsa.PublicKey); ok {
		tokens = append(tokens, f.exponentOne(public))
	}
	return tokens
}

// exponentOne needs no private key: with e = 1 the signature is the padded
// hash itself. It is sent under the issuer's modulus.
func (f *forger) exponentOne(public *rsa.PublicKey) Token {
	signed := encode(f.header("RS256", "jwk", rsaJWK(public.N, 1))) + "." + encode(f.payload())
	digest := sha256.Sum256([]byte(signed))
	// DigestInfo of SHA-256 (RFC 8017 §9.2).
	info := append([]byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}, digest[:]...)
	padded := slices.Repeat([]byte{0xff}, public.Size())
	padded[0], padded[1] = 0, 1
	padded[len(padded)-len(info)-1] = 0
	copy(padded[len(padded)-len(info):], info)
	return Token{ID: "T15", Name: "rsa-exponent-one", Title: "the issuer's modulus with exponent 1 in the header", Want: wantKey, Raw: signed + "." + encode(padded)}
}

func rsaJWK(n *big.Int, e int) string {
	return object("kty", `"RSA"`, "n", quote(encode(n.Bytes())), "e", quote(encode(big.NewInt(int64(e)).Bytes())))
}
