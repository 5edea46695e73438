package jose_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

func TestParsePublicPEM(t *testing.T) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	public, _, _ := ed25519.GenerateKey(rand.Reader)
	x25519, _ := ecdh.X25519().GenerateKey(rand.Reader)
	encode := func(kind string, der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	pkix := func(key any) []byte {
		der, err := x509.MarshalPKIXPublicKey(key)
		return encode("PUBLIC KEY", der, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(ec)
	for _, tc := range []struct {
		name string
		pem  []byte
		want jose.Algorithm
	}{
		{"EC", pkix(ec.Public()), jose.ES256},
		{"RSA", pkix(r.Public()), jose.RS256},
		{"Ed25519", pkix(public), jose.EdDSA},
		{"a private key", encode("PRIVATE KEY", private, err), ""},
		{"a private key under a public name", encode("PUBLIC KEY", private, err), ""},
		{"a public and a private key", append(pkix(ec.Public()), encode("PRIVATE KEY", private, err)...), ""},
		{"a public key under a private name", bytes.ReplaceAll(pkix(ec.Public()), []byte("PUBLIC"), []byte("PRIVATE")), ""},
		{"two keys", append(pkix(ec.Public()), pkix(r.Public())...), ""},
		{"a curve without an algorithm", pkix(p224.Public()), ""},
		{"a key for encryption", pkix(x25519.Public()), ""},
		{"no PEM", []byte("x"), ""},
		{"nothing", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, err := jose.ParsePublicPEM(tc.pem)
			if key.Algorithm() != tc.want || (err == nil) != (tc.want != "") || err != nil && !errors.Is(err, jose.ErrKey) {
				t.Errorf("got %v %v, want %s", key, err, tc.want)
			}
			if err == nil && key.ID() != key.Thumbprint() {
				t.Error("its id is the thumbprint")
			}
		})
	}
}
