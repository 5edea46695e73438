package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"

	jwk "github.com/go-jose/go-jose/v4"
)

// Sizes of RSA keys in bits: RFC 7518 §3.3 wants 2048 at least; the upper
// bound keeps a verification from taking seconds.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// Key verifies with exactly one algorithm (RFC 8725 §3.1). The zero Key
// verifies nothing.
type Key struct {
	id        string
	algorithm Algorithm
	public    crypto.PublicKey // nil for a secret
	secret    []byte
}

// NewKey makes a verification key whose id is its RFC 7638 thumbprint. Weak
// keys, points off the curve and keys that do not fit the algorithm are ErrKey.
func NewKey(algorithm Algorithm, public crypto.PublicKey) (Key, error) {
	if err := checkPublic(algorithm, public); err != nil {
		return Key{}, err
	}
	k := Key{algorithm: algorithm, public: public}
	k.id = k.Thumbprint()
	if k.id == "" {
		return Key{}, fmt.Errorf("%w: no thumbprint", ErrKey)
	}
	return k, nil
}

// NewSecret makes an HMAC key. It exists for tokens of others that an
// administrator inspects; Gatehouse issues none and takes none from a key set.
func NewSecret(algorithm Algorithm, secret []byte) (Key, error) {
	size, ok := secretSizes[algorithm]
	if !ok {
		return Key{}, fmt.Errorf("%w: %s takes no secret", ErrKey, clip(string(algorithm)))
	}
	if len(secret) < size {
		return Key{}, fmt.Errorf("%w: secret of %d bytes, %s needs %d", ErrKey, len(secret), algorithm, size)
	}
	return Key{algorithm: algorithm, secret: slices.Clone(secret)}, nil
}

func checkPublic(algorithm Algorithm, public crypto.PublicKey) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if key == nil || curves[algorithm] == nil || key.Curve != curves[algorithm] {
			return fmt.Errorf("%w: the curve does not fit %s", ErrKey, clip(string(algorithm)))
		}
		if _, err := key.ECDH(); err != nil { // on the curve, and not infinity
			return fmt.Errorf("%w: the point is not on the curve", ErrKey)
		}
		return nil
	case *rsa.PublicKey:
		return checkRSA(algorithm, key)
	case ed25519.PublicKey:
		if algorithm != EdDSA || len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: an Ed25519 key does not fit %s", ErrKey, clip(string(algorithm)))
		}
		return nil
	}
	return fmt.Errorf("%w: unknown kind of key", ErrKey)
}

var curves = map[Algorithm]elliptic.Curve{ES256: elliptic.P256(), ES384: elliptic.P384(), ES512: elliptic.P521()}

func checkRSA(algorithm Algorithm, key *rsa.PublicKey) error {
	if key == nil || key.N == nil || !rsaAlgorithms[algorithm] {
		return fmt.Errorf("%w: an RSA key does not fit %s", ErrKey, clip(string(algorithm)))
	}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("%w: RSA key of %d bits, want %d to %d", ErrKey, bits, minRSABits, maxRSABits)
	}
	if key.E < 3 || key.E&1 == 0 || key.E > math.MaxInt32 || key.N.Bit(0) == 0 {
		return fmt.Errorf("%w: RSA key with a bad exponent or modulus", ErrKey)
	}
	if looksLikeROCA(key.N) {
		return fmt.Errorf("%w: RSA key of the ROCA kind (CVE-2017-15361)", ErrKey)
	}
	return nil
}

var rsaAlgorithms = map[Algorithm]bool{RS256: true, RS384: true, RS512: true, PS256: true, PS384: true, PS512: true}

// ID is the kid: the RFC 7638 thumbprint for our own keys, what the JWK says
// for those of others.
func (k Key) ID() string { return k.id }

// Algorithm is the only algorithm that the key verifies.
func (k Key) Algorithm() Algorithm { return k.algorithm }

// Public is the public key, nil for a secret.
func (k Key) Public() crypto.PublicKey { return k.public }

// Equal tells whether two keys are the same key with the same id and algorithm.
func (k Key) Equal(other Key) bool {
	comparable, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.id == other.id && k.algorithm == other.algorithm && comparable.Equal(other.public)
}

// IsZero tells whether the key verifies nothing.
func (k Key) IsZero() bool { return k.algorithm == "" }

// Thumbprint is the RFC 7638 SHA-256 thumbprint of a public key, "" for a secret.
func (k Key) Thumbprint() string {
	if k.public == nil {
		return ""
	}
	sum, err := (&jwk.JSONWebKey{Key: k.public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64url.EncodeToString(sum)
}

// MarshalJSON writes the public JWK (RFC 7517). A secret is refused.
func (k Key) MarshalJSON() ([]byte, error) {
	if k.public == nil {
		return nil, fmt.Errorf("%w: a secret is never published", ErrKey)
	}
	return (&jwk.JSONWebKey{Key: k.public, KeyID: k.id, Algorithm: string(k.algorithm), Use: "sig"}).MarshalJSON()
}

func (k Key) String() string       { return string(k.algorithm) + " key " + clip(k.id) }
func (k Key) GoString() string     { return k.String() }
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// verifier is what golang-jwt takes as a key.
func (k Key) verifier() any {
	if k.secret != nil {
		return k.secret
	}
	return k.public
}

var _ json.Marshaler = Key{}
