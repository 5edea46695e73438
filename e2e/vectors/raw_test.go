package vectors

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// rawGroup is a group of signatures over plain messages, not over tokens.
type rawGroup struct {
	DER       string `json:"publicKeyDer"`
	PublicKey struct {
		PK string `json:"pk"`
	} `json:"publicKey"`
	Tests []struct {
		verdict
		Msg string `json:"msg"`
		Sig string `json:"sig"`
	} `json:"tests"`
}

// TestJOSE9_WycheproofSignatures runs the signing methods that jose uses over
// the vectors for raw signatures: r‖s of ECDSA (zero, n, over-long, DER) and
// Ed25519 (S ≥ L, wrong lengths). The keys go through jose.NewKey.
func TestJOSE9_WycheproofSignatures(t *testing.T) {
	for _, v := range []struct {
		file      string
		algorithm jose.Algorithm
		method    jwt.SigningMethod
	}{
		{"ecdsa_secp256r1_sha256_p1363_test.json", jose.ES256, jwt.SigningMethodES256},
		{"ecdsa_secp384r1_sha384_p1363_test.json", jose.ES384, jwt.SigningMethodES384},
		{"ecdsa_secp521r1_sha512_p1363_test.json", jose.ES512, jwt.SigningMethodES512},
		{"ed25519_test.json", jose.EdDSA, jwt.SigningMethodEdDSA},
	} {
		t.Run(v.file, func(t *testing.T) {
			f := load[rawGroup](t, v.file)
			total := 0
			for _, g := range f.TestGroups {
				key, err := jose.NewKey(v.algorithm, g.public(t))
				if err != nil {
					t.Fatal(err)
				}
				for _, test := range g.Tests {
					total++
					got := v.method.Verify(string(unhex(t, test.Msg)), unhex(t, test.Sig), key.Public()) == nil
					if got != (test.Result == "valid") {
						t.Errorf("tcId %d %s: accepted=%v, the file says %s", test.ID, test.Comment, got, test.Result)
					}
				}
			}
			t.Logf("%d of %d", total, f.NumberOfTests)
			if total == 0 || total != f.NumberOfTests {
				t.Errorf("ran %d vectors of %d", total, f.NumberOfTests)
			}
		})
	}
}

func (g rawGroup) public(t *testing.T) crypto.PublicKey {
	t.Helper()
	if g.DER == "" {
		return ed25519.PublicKey(unhex(t, g.PublicKey.PK))
	}
	key, err := x509.ParsePKIXPublicKey(unhex(t, g.DER))
	if err != nil {
		t.Fatal(err)
	}
	switch key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return key
	}
	t.Fatalf("unexpected key %T", key)
	return nil
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
