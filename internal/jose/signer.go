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
	"io"
	"log/slog"
)

// Signer holds one private key and its one algorithm. It prints as "redacted".
//
// The key is behind a function because fmt cannot call the methods of an
// unexported field: it looks into structs and pointers, but not into those.
type Signer struct{ reveal func() *pair }

type pair struct {
	private crypto.Signer
	key     Key
	header  string // the protected header up to the value of typ
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
	if private == nil {
		return Signer{}, fmt.Errorf("%w: no private key", ErrKey)
	}
	key, err := NewKey(algorithm, private.Public())
	if err != nil {
		return Signer{}, err
	}
	// An algorithm and a thumbprint need no escapes in JSON.
	header := `{"alg":"` + string(algorithm) + `","kid":"` + key.id + `","typ":`
	p := &pair{private: private, key: key, header: header}
	return Signer{func() *pair { return p }}, nil
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
func (s Signer) PKCS8() ([]byte, error) {
	if s.IsZero() {
		return nil, ErrUnknownKey
	}
	return x509.MarshalPKCS8PrivateKey(s.reveal().private)
}

// Private is the private key itself, for a forger in a lab (C9); nil for the
// zero Signer.
func (s Signer) Private() crypto.Signer {
	if s.IsZero() {
		return nil
	}
	return s.reveal().private
}

// Key is the public half, the zero Key of the zero Signer.
func (s Signer) Key() Key {
	if s.IsZero() {
		return Key{}
	}
	return s.reveal().key
}

// IsZero tells whether there is no key.
func (s Signer) IsZero() bool { return s.reveal == nil }

func (Signer) String() string               { return "redacted" }
func (Signer) GoString() string             { return "redacted" }
func (Signer) Format(f fmt.State, _ rune)   { io.WriteString(f, "redacted") }
func (Signer) LogValue() slog.Value         { return slog.StringValue("redacted") }
func (Signer) MarshalJSON() ([]byte, error) { return []byte(`"redacted"`), nil }

// Sign makes a compact JWS of claims with the given `typ`. The protected
// header is exactly alg, kid and typ.
func (s Signer) Sign(kind string, claims any) (string, error) {
	if s.IsZero() {
		return "", ErrUnknownKey
	}
	p := s.reveal()
	quoted, err := json.Marshal(kind)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	token := make([]byte, 0, 4*(len(p.header)+len(quoted)+len(payload))/3+512)
	token = base64url.AppendEncode(token, []byte(p.header+string(quoted)+"}"))
	token = base64url.AppendEncode(append(token, '.'), payload)
	signature, err := methods[p.key.algorithm].Sign(string(token), p.private)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return string(base64url.AppendEncode(append(token, '.'), signature)), nil
}
