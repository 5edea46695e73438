package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
)

// Signer holds one private key and its one algorithm. It prints as "redacted".
type Signer struct {
	private crypto.Signer
	key     Key
}

// GenerateSigner draws a new key. RSA keys have 2048 bits.
func GenerateSigner(algorithm Algorithm) (Signer, error) {
	private, err := generate(algorithm)
	if err != nil {
		return Signer{}, fmt.Errorf("generate %s key: %w", algorithm, err)
	}
	return NewSigner(algorithm, private)
}

func generate(algorithm Algorithm) (crypto.Signer, error) {
	switch {
	case curves[algorithm] != nil:
		return ecdsa.GenerateKey(curves[algorithm], rand.Reader)
	case rsaAlgorithms[algorithm]:
		return rsa.GenerateKey(rand.Reader, minRSABits)
	case algorithm == EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("%w: no such algorithm", ErrKey)
}

// NewSigner makes a signer whose public half passes NewKey.
func NewSigner(algorithm Algorithm, private crypto.Signer) (Signer, error) {
	key, err := NewKey(algorithm, private.Public())
	if err != nil {
		return Signer{}, err
	}
	return Signer{private: private, key: key}, nil
}

// ParseSigner reads a PKCS #8 private key.
func ParseSigner(algorithm Algorithm, pkcs8 []byte) (Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return Signer{}, fmt.Errorf("%w: not a PKCS #8 key", ErrKey)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return Signer{}, fmt.Errorf("%w: not a signing key", ErrKey)
	}
	return NewSigner(algorithm, private)
}

// PKCS8 writes the private key, to be sealed at once.
func (s Signer) PKCS8() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(s.private) }

// Private is the private key itself, for a forger in a lab (C9).
func (s Signer) Private() crypto.Signer { return s.private }

// Key is the public half.
func (s Signer) Key() Key { return s.key }

// IsZero tells whether there is no key.
func (s Signer) IsZero() bool { return s.private == nil }

func (Signer) String() string               { return "redacted" }
func (Signer) GoString() string             { return "redacted" }
func (Signer) LogValue() slog.Value         { return slog.StringValue("redacted") }
func (Signer) MarshalJSON() ([]byte, error) { return []byte(`"redacted"`), nil }

// header is the protected header of every token of ours, and nothing else.
type header struct {
	Algorithm Algorithm `json:"alg"`
	KeyID     string    `json:"kid"`
	Type      string    `json:"typ"`
}

// Sign makes a compact JWS of claims with the given `typ`.
func (s Signer) Sign(kind string, claims any) (string, error) {
	if s.IsZero() {
		return "", ErrUnknownKey
	}
	head, err := json.Marshal(header{Algorithm: s.key.algorithm, KeyID: s.key.id, Type: kind})
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	signed := base64url.EncodeToString(head) + "." + base64url.EncodeToString(payload)
	signature, err := methods[s.key.algorithm].Sign(signed, s.private)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return signed + "." + base64url.EncodeToString(signature), nil
}
