package attack

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // of RS256
	_ "crypto/sha512" // of RS384 and RS512
	"encoding/base64"
	"errors"
	"math/big"
	"strings"

	"github.com/remyoudompheng/bigfft"

	"github.com/gatehouse-auth/gatehouse/internal/gcd"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Exponents of RSA keys. Nearly all keys have the last one; the others cost
// nothing to try.
var (
	smallExponents = []int{3, 5, 7, 17, 37, 257}
	usualExponent  = 65537
)

// errCostly says what the usual exponent takes.
var errCostly = errors.New("with the exponent 65537 that nearly all keys have it takes one to three minutes and 600 MB of memory: allow it with --recover-key")

// signed is a signature s of a token and the number m that was signed:
// sᵉ − m is a multiple of the modulus n, which divides it for every token.
type signed struct {
	token jose.Token
	s, m  *big.Int
	size  int // of n, in bytes
}

// recoverRSA computes the modulus of the key that signed the tokens, two at
// least: the greatest common divisor of the numbers sᵉ − m is n times a small
// number. That is all public; PSS signatures hold a random salt, so theirs
// cannot be had this way.
func recoverRSA(ctx context.Context, tokens []jose.Token, costly bool, progress gcd.Progress) (jose.Key, error) {
	var all []signed
	for _, t := range tokens {
		one, err := readSigned(t)
		if err != nil {
			return jose.Key{}, err
		}
		all = append(all, one)
	}
	exponents := smallExponents
	if costly {
		exponents = append(exponents[:len(exponents):len(exponents)], usualExponent)
	}
	for _, e := range exponents {
		told := progress
		if e != usualExponent {
			told = nil
		}
		key, err := fitting(ctx, all, e, told)
		if err != nil || !key.IsZero() {
			return key, err
		}
	}
	if !costly {
		return jose.Key{}, errCostly
	}
	return jose.Key{}, errors.New("no key fits the tokens: are they of one issuer, and signed with one key?")
}

// fitting is the key with that exponent that signed all tokens, zero if none did.
func fitting(ctx context.Context, all []signed, e int, progress gcd.Progress) (jose.Key, error) {
	n, err := gcd.Of(ctx, all[0].multiple(e), all[1].multiple(e), progress)
	if err != nil {
		return jose.Key{}, err
	}
	for _, one := range all[2:] {
		if n.Sign() > 0 {
			rest := new(big.Int).Exp(one.s, big.NewInt(int64(e)), n)
			n.GCD(nil, nil, n, rest.Sub(rest, one.m).Mod(rest, n))
		}
	}
	withoutSmallFactors(n)
	key, err := jose.NewKey(all[0].token.Algorithm(), &rsa.PublicKey{N: n, E: e})
	if err != nil || (n.BitLen()+7)/8 != all[0].size {
		return jose.Key{}, nil // a common divisor, and no key
	}
	for _, one := range all {
		if one.token.Verify(key) != nil {
			return jose.Key{}, nil
		}
	}
	return key, nil
}

// multiple is sᵉ − m. For e = 2^k + 1 that is k squarings and a product.
func (o signed) multiple(e int) *big.Int {
	power := new(big.Int).SetInt64(1)
	for i := 31; i >= 0; i-- {
		power = bigfft.Mul(power, power)
		if e>>i&1 == 1 {
			power = bigfft.Mul(power, o.s)
		}
	}
	return power.Sub(power, o.m)
}

// withoutSmallFactors divides n by the small primes in it: two multiples of a
// modulus share more than it, and no modulus has a small factor.
func withoutSmallFactors(n *big.Int) {
	if n.Sign() == 0 {
		return
	}
	quotient, rest := new(big.Int), new(big.Int)
	for p := int64(2); p < 1<<16; p++ {
		for quotient.QuoRem(n, big.NewInt(p), rest); rest.Sign() == 0; quotient.QuoRem(n, big.NewInt(p), rest) {
			n.Set(quotient)
		}
	}
}

// readSigned takes a token apart (RFC 8017 §8.2.2).
func readSigned(t jose.Token) (signed, error) {
	kind, ok := digests[t.Algorithm()]
	at := strings.LastIndexByte(t.Raw(), '.')
	signature, err := base64.RawURLEncoding.DecodeString(t.Raw()[at+1:])
	if !ok || err != nil || len(signature) < 128 {
		return signed{}, errors.New("the tokens are not signed with RS256, RS384 or RS512 by a key that is in use")
	}
	h := kind.hash.New()
	h.Write([]byte(t.Raw()[:at]))
	// EMSA-PKCS1-v1_5 (§9.2): 00 01 FF … FF 00, the name of the hash, the digest.
	encoded := append(bytes.Repeat([]byte{0xff}, len(signature)-len(kind.prefix)-h.Size()), kind.prefix...)
	encoded[0], encoded[1], encoded[len(encoded)-len(kind.prefix)-1] = 0, 1, 0
	return signed{t, new(big.Int).SetBytes(signature), new(big.Int).SetBytes(h.Sum(encoded)), len(signature)}, nil
}

// digests are the hashes of RSASSA-PKCS1-v1_5, and the DER before each digest
// (RFC 8017 §9.2, note 1).
var digests = map[jose.Algorithm]struct {
	hash   crypto.Hash
	prefix []byte
}{
	jose.RS256: {crypto.SHA256, []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}},
	jose.RS384: {crypto.SHA384, []byte{0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30}},
	jose.RS512: {crypto.SHA512, []byte{0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40}},
}
