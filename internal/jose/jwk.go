package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"slices"

	jwk "github.com/go-jose/go-jose/v4"
)

// Bounds of a key set document.
const (
	MaxKeySetBytes = 512 << 10
	maxKeys        = 100
	maxKeyID       = 256 // bytes of a kid
)

// ParseKey reads one JWK that may verify signatures (RFC 7517). `use`,
// `key_ops` and `alg` are honoured and must not contradict each other; a
// missing `alg` is derived from the curve, and for RSA it is RS256.
func ParseKey(data []byte) (Key, error) {
	members, err := parseObject(data)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	use, err := readUse(members)
	if err != nil {
		return Key{}, err
	}
	// go-jose also reads certificates; ours never come from a token's sender,
	// and a chain says nothing that the key does not.
	var parsed jwk.JSONWebKey
	if err := parsed.UnmarshalJSON(without(members, "x5c", "x5u", "x5t", "x5t#S256")); err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key, err := fromJWK(parsed, use.algorithm)
	if err != nil {
		return Key{}, err
	}
	if use.kid != "" {
		key.id = use.kid
	}
	return key, nil
}

// without writes the object again without some members.
func without(members []member, names ...string) []byte {
	b := bytes.NewBufferString("{")
	for _, m := range members {
		if slices.Contains(names, m.name) {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(m.name) // a string always marshals
		b.Write(name)
		b.WriteByte(':')
		b.Write(m.raw)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// jwkUse is what a JWK says about its own use.
type jwkUse struct {
	kid       string
	algorithm Algorithm
}

func readUse(members []member) (jwkUse, error) {
	var use, algorithm, kid string
	for name, into := range map[string]*string{"use": &use, "alg": &algorithm, "kid": &kid} {
		value, err := stringValue(find(members, name))
		if err != nil {
			return jwkUse{}, fmt.Errorf("%w: member %s: %w", ErrKey, name, err)
		}
		*into = value
	}
	operations, err := stringList(find(members, "key_ops"))
	if err != nil {
		return jwkUse{}, fmt.Errorf("%w: member key_ops: %w", ErrKey, err)
	}
	if use != "" && use != "sig" {
		return jwkUse{}, fmt.Errorf("%w: its use is %s", ErrKey, clip(use))
	}
	if operations != nil && !slices.Contains(operations, "verify") || repeats(operations) {
		return jwkUse{}, fmt.Errorf("%w: its key_ops do not allow to verify", ErrKey)
	}
	if slices.ContainsFunc(operations, func(o string) bool { return o != "verify" && o != "sign" }) {
		return jwkUse{}, fmt.Errorf("%w: its key_ops mix signing with other operations", ErrKey)
	}
	if len(kid) > maxKeyID {
		return jwkUse{}, fmt.Errorf("%w: its kid is too long", ErrKey)
	}
	return jwkUse{kid: kid, algorithm: Algorithm(algorithm)}, nil
}

func repeats(list []string) bool {
	for i, s := range list {
		if slices.Contains(list[:i], s) {
			return true
		}
	}
	return false
}

func fromJWK(parsed jwk.JSONWebKey, algorithm Algorithm) (Key, error) {
	switch key := parsed.Key.(type) {
	case []byte:
		return NewSecret(algorithm, key)
	case *ecdsa.PrivateKey:
		return publicKey(algorithm, key.Public())
	case *rsa.PrivateKey:
		return publicKey(algorithm, key.Public())
	case ed25519.PrivateKey:
		return publicKey(algorithm, key.Public())
	}
	return publicKey(algorithm, parsed.Key)
}

func publicKey(algorithm Algorithm, public crypto.PublicKey) (Key, error) {
	if algorithm == fullySpecifiedEdDSA {
		algorithm = EdDSA
	}
	if algorithm == "" {
		algorithm = defaultAlgorithm(public)
	}
	return NewKey(algorithm, public)
}

func defaultAlgorithm(public crypto.PublicKey) Algorithm {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return RS256
	case ed25519.PublicKey:
		return EdDSA
	case *ecdsa.PublicKey:
		for algorithm, curve := range curves {
			if key.Curve == curve {
				return algorithm
			}
		}
	}
	return ""
}

// KeySet is an immutable set of verification keys, found by kid.
type KeySet struct {
	keys []Key
	byID map[string]Key
}

// NewKeySet makes a set. Of two different keys with one id neither can be
// meant: both are left out. Secrets are left out always.
func NewKeySet(keys ...Key) KeySet {
	set, _ := newKeySet(keys)
	return set
}

func newKeySet(keys []Key) (KeySet, []error) {
	first := map[string]Key{}
	clash := map[string]bool{}
	for _, k := range keys {
		if other, ok := first[k.id]; ok && !k.Equal(other) {
			clash[k.id] = true
		}
		first[k.id] = k
	}
	set := KeySet{byID: map[string]Key{}}
	var skipped []error
	for _, k := range keys {
		switch _, listed := set.byID[k.id]; {
		case k.public == nil:
			skipped = append(skipped, fmt.Errorf("%w: a secret is no member of a key set", ErrKey))
		case clash[k.id]:
			skipped = append(skipped, fmt.Errorf("%w: kid %s is given to different keys", ErrKey, clip(k.id)))
		case !listed:
			set.keys = append(set.keys, k)
			set.byID[k.id] = k
		}
	}
	return set, skipped
}

// ParseKeySet reads a JWKS (RFC 7517 §5). A key that is unknown, weak, secret,
// for encryption or otherwise unusable is skipped and its reason returned: one
// odd key must never break the others. Only a document that is no key set is
// an error.
func ParseKeySet(data []byte) (KeySet, []error, error) {
	if len(data) > MaxKeySetBytes {
		return KeySet{}, nil, fmt.Errorf("%w: key set of %d bytes", ErrTooLarge, len(data))
	}
	members, err := parseOuter(data)
	if err != nil {
		return KeySet{}, nil, err
	}
	var raws []json.RawMessage
	list := find(members, "keys")
	if len(list) == 0 || list[0] != '[' || json.Unmarshal(list, &raws) != nil {
		return KeySet{}, nil, malformed("a key set has a list named keys")
	}
	if len(raws) > maxKeys {
		return KeySet{}, nil, fmt.Errorf("%w: key set of %d keys", ErrTooLarge, len(raws))
	}
	var keys []Key
	var skipped []error
	for i, raw := range raws {
		key, err := parsePublished(raw)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d of the set: %w", i+1, err))
			continue
		}
		keys = append(keys, key)
	}
	set, twice := newKeySet(keys)
	return set, append(skipped, twice...), nil
}

// parsePublished is ParseKey for a key that anyone could read: a secret or a
// private key there is no secret any more and proves nothing.
func parsePublished(raw []byte) (Key, error) {
	members, err := parseObject(raw)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if kind, _ := stringValue(find(members, "kty")); kind == "oct" {
		return Key{}, fmt.Errorf("%w: a symmetric key in a published set", ErrKey)
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if find(members, private) != nil {
			return Key{}, fmt.Errorf("%w: a private key in a published set", ErrKey)
		}
	}
	return ParseKey(raw)
}

// Key finds a key by its exact id.
func (s KeySet) Key(kid string) (Key, bool) {
	k, ok := s.byID[kid]
	return k, ok
}

// Keys returns the keys in the order of the set.
func (s KeySet) Keys() []Key { return slices.Clone(s.keys) }

// Len is the number of usable keys.
func (s KeySet) Len() int { return len(s.keys) }

// IsZero tells whether the set is empty, for `omitzero`.
func (s KeySet) IsZero() bool { return len(s.keys) == 0 }

// MarshalJSON writes the JWKS document: public members only.
func (s KeySet) MarshalJSON() ([]byte, error) {
	keys := s.keys
	if keys == nil {
		keys = []Key{}
	}
	return json.Marshal(map[string][]Key{"keys": keys})
}
