package attack

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/gcd"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// recoverKey computes the public key of an issuer from two or more of its
// tokens (T06): keeping the key unpublished does not protect it. This is
// arithmetic on public numbers, with nothing secret in it. costly allows what
// takes minutes; progress is told of that.
func recoverKey(ctx context.Context, raw []string, costly bool, progress gcd.Progress) (jose.Key, error) {
	tokens, err := distinctTokens(raw)
	if err != nil {
		return jose.Key{}, err
	}
	switch algorithm := tokens[0].Algorithm(); {
	case algorithm == jose.ES256:
		return recoverP256(tokens)
	case digests[algorithm].prefix != nil:
		return recoverRSA(ctx, tokens, costly, progress)
	default:
		return jose.Key{}, errors.New("no key can be computed from signatures of " + string(algorithm) + ": name it with --jwks or --public-key")
	}
}

// distinctTokens reads the tokens: two at least, of one algorithm and key.
func distinctTokens(raw []string) ([]jose.Token, error) {
	var tokens []jose.Token
	for i, one := range raw {
		if slices.Contains(raw[:i], one) {
			continue
		}
		t, err := jose.Parse(one)
		if err != nil {
			return nil, err
		}
		if len(tokens) > 0 && (t.Algorithm() != tokens[0].Algorithm() || t.KeyID() != tokens[0].KeyID()) {
			return nil, errors.New("the tokens name different keys or algorithms")
		}
		tokens = append(tokens, t)
	}
	if len(tokens) < 2 {
		return nil, errors.New("the tokens are one and the same")
	}
	return tokens, nil
}

// recoverP256: each ES256 signature fits two keys; the one that all fit is the
// issuer's.
func recoverP256(tokens []jose.Token) (jose.Key, error) {
	for _, candidate := range candidates(tokens[0]) {
		key, err := jose.NewKey(jose.ES256, candidate)
		if err == nil && !slices.ContainsFunc(tokens, func(t jose.Token) bool { return t.Verify(key) != nil }) {
			return key, nil
		}
	}
	return jose.Key{}, errors.New("no key fits all tokens")
}

// candidates are the keys that one signature fits: r⁻¹(sR − zG) for the two
// points R whose x is r (SEC 1 §4.1.6).
func candidates(t jose.Token) []*ecdsa.PublicKey {
	at := strings.LastIndexByte(t.Raw(), '.')
	signature, err := base64.RawURLEncoding.DecodeString(t.Raw()[at+1:])
	if err != nil || len(signature) != 64 {
		return nil
	}
	c := elliptic.P256().Params()
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	digest := sha256.Sum256([]byte(t.Raw()[:at]))
	inverse := new(big.Int).ModInverse(r, c.N)
	if inverse == nil {
		return nil
	}
	u1 := new(big.Int).Mod(new(big.Int).Mul(new(big.Int).Neg(new(big.Int).SetBytes(digest[:])), inverse), c.N)
	u2 := new(big.Int).Mod(new(big.Int).Mul(s, inverse), c.N)
	// y² = x³ − 3x + b
	square := new(big.Int).Exp(r, big.NewInt(3), c.P)
	square.Sub(square, new(big.Int).Mul(r, big.NewInt(3))).Add(square, c.B).Mod(square, c.P)
	y := new(big.Int).ModSqrt(square, c.P)
	if y == nil {
		return nil
	}
	var keys []*ecdsa.PublicKey
	for _, root := range []*big.Int{y, new(big.Int).Sub(c.P, y)} {
		q := curve{c.P}.add(curve{c.P}.times(u1, point{c.Gx, c.Gy}), curve{c.P}.times(u2, point{r, root}))
		encoded := append([]byte{4}, make([]byte, 64)...)
		q.x.FillBytes(encoded[1:33])
		q.y.FillBytes(encoded[33:])
		if key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), encoded); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// curve is y² = x³ − 3x + b over a prime field; the zero point is the neutral one.
type curve struct{ p *big.Int }

type point struct{ x, y *big.Int }

func (c curve) add(a, b point) point {
	if a.x == nil {
		return b
	}
	if b.x == nil {
		return a
	}
	slope := new(big.Int)
	if a.x.Cmp(b.x) == 0 {
		if a.y.Cmp(b.y) != 0 {
			return point{}
		}
		slope.Mul(big.NewInt(3), new(big.Int).Sub(new(big.Int).Mul(a.x, a.x), big.NewInt(1)))
		slope.Mul(slope, new(big.Int).ModInverse(new(big.Int).Lsh(a.y, 1), c.p))
	} else {
		run := new(big.Int).Mod(new(big.Int).Sub(b.x, a.x), c.p)
		slope.Mul(new(big.Int).Sub(b.y, a.y), new(big.Int).ModInverse(run, c.p))
	}
	slope.Mod(slope, c.p)
	x := new(big.Int).Mul(slope, slope)
	x.Sub(x, a.x).Sub(x, b.x).Mod(x, c.p)
	y := new(big.Int).Sub(a.x, x)
	y.Mul(y, slope).Sub(y, a.y).Mod(y, c.p)
	return point{x, y}
}

func (c curve) times(k *big.Int, a point) point {
	sum := point{}
	for i := k.BitLen() - 1; i >= 0; i-- {
		sum = c.add(sum, sum)
		if k.Bit(i) == 1 {
			sum = c.add(sum, a)
		}
	}
	return sum
}
