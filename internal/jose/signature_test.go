package jose_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// JOSE-5, T12, T13: an ECDSA signature is r‖s, each as long as the curve, and
// neither is zero nor the order (RFC 7518 §3.4, CVE-2022-21449).
func TestJOSE5_ECDSASignatures(t *testing.T) {
	for _, v := range []struct {
		algorithm jose.Algorithm
		size      int
	}{{jose.ES256, 32}, {jose.ES384, 48}, {jose.ES512, 66}} {
		s := signer(t, v.algorithm)
		good := signed(t, s, header(s, ""), payload(""))
		parsed, err := jose.Parse(good)
		if err != nil || parsed.Verify(s.Key()) != nil {
			t.Fatalf("%s: the good token: %v", v.algorithm, err)
		}
		zero, one := make([]byte, v.size), make([]byte, v.size)
		one[v.size-1] = 1
		order := orderOf(v.algorithm).FillBytes(make([]byte, v.size))
		real := decode(t, strings.Split(good, ".")[2])
		r, sig := real[:v.size], real[v.size:]
		der, err := asn1.Marshal([]*big.Int{new(big.Int).SetBytes(r), new(big.Int).SetBytes(sig)})
		if err != nil {
			t.Fatal(err)
		}
		for name, signature := range map[string][]byte{
			"0,0": join(zero, zero), "0,1": join(zero, one), "1,0": join(one, zero), "n,n": join(order, order), "n,1": join(order, one), "1,1": join(one, one),
			"empty": {}, "one byte": {0}, "DER": der, "DER 0,0": {0x30, 6, 2, 1, 0, 2, 1, 0}, "short": real[:len(real)-1], "long": join(real, []byte{0}),
			"leading zero": join([]byte{0}, real), "wide": join([]byte{0}, r, []byte{0}, sig), "swapped": join(sig, r), "twice": join(real, real), "r only": r,
		} {
			parsed, err := jose.Parse(swap(good, 2, encode(signature)))
			if err != nil {
				t.Fatal(err)
			}
			if err := parsed.Verify(s.Key()); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("%s %s: got %v, want %v", v.algorithm, name, err, jose.ErrSignature)
			}
		}
	}
}

// JOSE-5: the salt of a PSS signature is as long as its hash (RFC 7518 §3.5).
func TestJOSE5_PSSSalt(t *testing.T) {
	s := signer(t, jose.PS256)
	private := s.Private().(*rsa.PrivateKey)
	text := encode(header(s, "")) + "." + encode(payload(""))
	digest := sha256.Sum256([]byte(text))
	for _, v := range []struct {
		salt int
		want error
	}{{32, nil}, {0 + 1, jose.ErrSignature}, {20, jose.ErrSignature}, {31, jose.ErrSignature}, {33, jose.ErrSignature}, {64, jose.ErrSignature}, {rsa.PSSSaltLengthAuto, jose.ErrSignature}} {
		signature, err := rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: v.salt})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.Parse(text + "." + encode(signature))
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.Verify(s.Key()); !errors.Is(err, v.want) || v.want == nil && err != nil {
			t.Errorf("salt of %d: got %v, want %v", v.salt, err, v.want)
		}
	}
}

// JOSE-9: "Ed25519" is the fully-specified name of EdDSA on that curve
// (RFC 9864); S is below the order of the group (RFC 8032 §5.1.7).
func TestJOSE9_Ed25519(t *testing.T) {
	s := signer(t, jose.EdDSA)
	for name, want := range map[string]error{"EdDSA": nil, "Ed25519": nil, "Ed448": jose.ErrAlgorithm, "ed25519": jose.ErrAlgorithm, "EDDSA": jose.ErrAlgorithm} {
		h := `{"alg":"` + name + `","kid":"` + s.Key().ID() + `","typ":"at+jwt"}`
		if err := accept(jose.NewKeySet(s.Key()), signed(t, s, h, payload(""))); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("alg %s: got %v, want %v", name, err, want)
		}
	}
	good := signed(t, s, header(s, ""), payload(""))
	real := decode(t, strings.Split(good, ".")[2])
	identity := make([]byte, 64)
	identity[0] = 1
	for name, signature := range map[string][]byte{
		"S + L": plusOrder(real), "neutral point, S = 0": identity, "zeros": make([]byte, 64), "short": real[:63], "long": join(real, []byte{0}), "R only": real[:32],
	} {
		parsed, err := jose.Parse(swap(good, 2, encode(signature)))
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.Verify(s.Key()); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("%s: got %v, want %v", name, err, jose.ErrSignature)
		}
	}
}
