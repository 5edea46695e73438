package forge

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const wantJWE = "An encrypted token is not a signed one: anybody can encrypt to the issuer's public key."

// encrypted are in the form of JWE, where a signature is expected.
func (f *forger) encrypted() []Token {
	const expensive = `{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAAAAAAAAAAAAAAAAAAAA"}`
	hollow := object("alg", `"dir"`, "enc", `"A128GCM"`, "kid", quote(f.valid.KeyID()))
	return append(f.encryptedToIssuer(),
		Token{ID: "T34", Name: "jwe-three-segments", Title: "the header of an encrypted token before claims", Want: wantJWE, Raw: join(hollow, f.payload(), make([]byte, 64))},
		Token{ID: "T36", Name: "jwe-pbes2", Title: "two billion rounds of key derivation", Want: wantJWE, Raw: encode(expensive) + "." + encode(make([]byte, 24)) + "." + encode(make([]byte, 12)) + ".AAAA." + encode(make([]byte, 16))},
		Token{ID: "T37", Name: "zip", Title: "a compressed payload is announced", Want: wantMalformed, Raw: encode(f.header(string(f.valid.Algorithm()), "zip", `"DEF"`)) + "." + f.body + "." + f.signature},
	)
}

// encryptedToIssuer are made with the public key alone (T34, T35;
// CVE-2026-29000). Ed25519 keys do not encrypt.
func (f *forger) encryptedToIssuer() []Token {
	var algorithm jose.KeyAlgorithm
	switch f.public.Public().(type) {
	case *rsa.PublicKey:
		algorithm = jose.RSA_OAEP_256
	case *ecdsa.PublicKey:
		algorithm = jose.ECDH_ES
	default:
		return nil
	}
	plain := join(f.header("none"), f.payload(), "")
	bomb := f.changed("x", quote(strings.Repeat(" ", 1<<20)))
	return []Token{
		{ID: "T34", Name: "jwe-claims", Title: "claims encrypted to the public key", Want: wantJWE, Raw: f.encrypt(algorithm, f.payload(), jose.EncrypterOptions{})},
		{ID: "T35", Name: "jwe-plain-jwt", Title: "an unsigned token encrypted to the public key", Want: wantJWE, Raw: f.encrypt(algorithm, plain, *(&jose.EncrypterOptions{}).WithContentType("JWT"))},
		{ID: "T37", Name: "jwe-zip-bomb", Title: "a megabyte of claims, compressed a thousandfold and encrypted to the public key", Want: wantJWE, Raw: f.encrypt(algorithm, bomb, jose.EncrypterOptions{Compression: jose.DEFLATE})},
	}
}

func (f *forger) encrypt(algorithm jose.KeyAlgorithm, plain string, options jose.EncrypterOptions) string {
	recipient := jose.Recipient{Algorithm: algorithm, Key: f.public.Public(), KeyID: f.public.ID()}
	encrypter, err := jose.NewEncrypter(jose.A128GCM, recipient, options.WithType("at+jwt"))
	if err != nil {
		f.fail(err)
		return ""
	}
	sealed, err := encrypter.Encrypt([]byte(plain))
	if err != nil {
		f.fail(err)
		return ""
	}
	raw, err := sealed.CompactSerialize()
	f.fail(err)
	return raw
}
