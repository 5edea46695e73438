package jose

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// ParsePublicPEM reads one public key as `openssl pkey -pubout` writes it
// (RFC 7468 §13). Its algorithm is the one of its curve, for RSA RS256; its id
// is the thumbprint. Anything else, a private key above all, is ErrKey.
func ParsePublicPEM(data []byte) (Key, error) {
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return Key{}, fmt.Errorf("%w: no PEM", ErrKey)
	case block.Type != "PUBLIC KEY":
		return Key{}, fmt.Errorf("%w: the PEM holds a %s, not a PUBLIC KEY", ErrKey, clip(block.Type))
	case len(bytes.TrimSpace(rest)) > 0:
		return Key{}, fmt.Errorf("%w: there is more in the file than one PEM", ErrKey)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return publicKey("", public)
}
