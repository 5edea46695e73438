package forge

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// form is one way in which a program may hold a public key as bytes.
type form struct {
	name, title string
	secret      []byte
}

// publicForms are the byte strings that a confused library would take as an
// HMAC secret.
func publicForms(key jose.Key) []form {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic("forge: our own public keys always marshal: " + err.Error())
	}
	spki := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	trimmed := bytes.TrimSuffix(spki, []byte("\n"))
	jwk, err := key.MarshalJSON()
	if err != nil {
		panic("forge: our own public keys always marshal: " + err.Error())
	}
	forms := []form{
		{"", "PEM", spki},
		{"pem-no-newline", "PEM without the last line break", trimmed},
		{"pem-crlf", "PEM with CRLF", bytes.ReplaceAll(spki, []byte("\n"), []byte("\r\n"))},
		{"pem-leading-newline", "PEM after a line break", append([]byte("\n"), spki...)},
		{"pem-body", "PEM without its first and last line", pemBody(spki)},
		{"base64-line", "one line of base64", []byte(base64.StdEncoding.EncodeToString(der))},
		{"der", "DER", der},
		{"jwk", "JWK", jwk},
		{"thumbprint-input", "the JWK members of its thumbprint", thumbprintInput(jwk)},
		{"kid", "its key id", []byte(key.ID())},
	}
	return append(forms, rawForms(key)...)
}

func pemBody(spki []byte) []byte {
	lines := strings.Split(strings.TrimSpace(string(spki)), "\n")
	return []byte(strings.Join(lines[1:len(lines)-1], "\n"))
}

// thumbprintInput drops what RFC 7638 drops; members come sorted from go-jose's
// fixed order, so the strings are cut, not parsed.
func thumbprintInput(jwk []byte) []byte {
	s := string(jwk)
	for _, name := range []string{"use", "kid", "alg"} {
		if i := strings.Index(s, `"`+name+`":"`); i >= 0 {
			end := strings.Index(s[i+len(name)+4:], `"`) + i + len(name) + 5
			s = s[:i] + strings.TrimPrefix(s[end:], ",")
		}
	}
	return []byte(s)
}

func rawForms(key jose.Key) []form {
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		n := public.N.Bytes()
		pkcs1 := x509.MarshalPKCS1PublicKey(public)
		return []form{
			{"pkcs1-pem", "PKCS #1 PEM", pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1})},
			{"pkcs1-der", "PKCS #1 DER", pkcs1},
			{"modulus", "the bytes of its modulus", n},
			{"modulus-hex", "its modulus in hex", []byte(hex.EncodeToString(n))},
			{"modulus-base64url", "its modulus in base64url", []byte(b64(n))},
		}
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic("forge: our own public keys always marshal: " + err.Error())
		}
		half := (len(point) - 1) / 2
		return []form{
			{"point", "its point", point},
			{"coordinates", "its two coordinates", point[1:]},
			{"x-base64url", "its x coordinate in base64url", []byte(b64(point[1 : 1+half]))},
		}
	case ed25519.PublicKey:
		return []form{
			{"raw", "its 32 bytes", public},
			{"raw-base64url", "its 32 bytes in base64url", []byte(b64(public))},
			{"raw-hex", "its 32 bytes in hex", []byte(hex.EncodeToString(public))},
		}
	}
	return nil
}
