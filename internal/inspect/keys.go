package inspect

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// key is a verification key and where it came from.
type key struct {
	jose.Key
	fixed bool // the key itself says its algorithm; a PEM does not
}

// Keys are what a token is checked with. The zero value is none.
type Keys struct {
	Source  string   // where they came from, in words
	Skipped []string // keys that cannot be used, and why
	public  []key
	secrets [][]byte
	issuer  string // whose keys they are; "" said by whoever gave them
}

// Of says whose keys they are: a token of another issuer is then not checked
// with them, which is no fault of the token.
func (k Keys) Of(issuer string) Keys {
	k.issuer = issuer
	return k
}

// IsZero tells whether nothing was given, not even a key that cannot be used.
func (k Keys) IsZero() bool { return len(k.public) == 0 && len(k.secrets) == 0 && len(k.Skipped) == 0 }

// FromSet are the keys of a key set.
func FromSet(set jose.KeySet, source string) Keys {
	k := Keys{Source: source}
	for _, one := range set.Keys() {
		k.public = append(k.public, key{one, true})
	}
	return k
}

// FromSecret is an HMAC secret, of any length: a short one is a finding, not a
// reason to refuse to look.
func FromSecret(secret []byte, source string) Keys {
	return Keys{Source: source, secrets: [][]byte{bytes.Clone(secret)}}
}

// ParseKeys reads keys in any usual form: PEM (public keys and certificates),
// JWK, JWKS, DER. A private key is refused, because it is not needed.
func ParseKeys(data []byte, source string) (Keys, error) {
	k := Keys{Source: source}
	trimmed := bytes.TrimSpace(data)
	var err error
	switch {
	case len(trimmed) == 0:
		err = errors.New("it is empty")
	case trimmed[0] == '{':
		err = k.fromJSON(trimmed)
	case bytes.Contains(trimmed, []byte("-----BEGIN")):
		err = k.fromPEM(trimmed)
	default:
		err = k.fromDER(data)
	}
	if err != nil {
		return Keys{}, fmt.Errorf("read the key of %s: %w", source, err)
	}
	return k, nil
}

func (k *Keys) fromJSON(data []byte) error {
	var document struct {
		Keys json.RawMessage `json:"keys"`
		Kind string          `json:"kty"`
		Alg  string          `json:"alg"`
		K    string          `json:"k"`
		D    string          `json:"d"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	if document.Keys != nil {
		set, skipped, err := jose.ParseKeySet(data)
		if err != nil {
			return err
		}
		k.public = FromSet(set, "").public
		for _, reason := range skipped {
			k.Skipped = append(k.Skipped, reason.Error())
		}
		if set.Len() == 0 && len(skipped) == 0 {
			return errors.New("the key set is empty")
		}
		return nil
	}
	switch {
	case document.Kind == "oct":
		secret, err := base64.RawURLEncoding.DecodeString(document.K)
		if err != nil {
			return errors.New("its k is not base64url")
		}
		k.secrets = append(k.secrets, secret)
		return nil
	case document.D != "":
		return errPrivate
	case document.Kind == "":
		return errors.New("it is neither a JWK (no kty) nor a key set (no keys)")
	}
	one, err := jose.ParseKey(data)
	if err != nil {
		k.Skipped = append(k.Skipped, err.Error())
		return nil
	}
	k.public = append(k.public, key{one, document.Alg != ""})
	return nil
}

var errPrivate = errors.New("it is a private key, which checking does not need. Pass the public one: openssl pkey -in FILE -pubout")

func (k *Keys) fromPEM(data []byte) error {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		var public crypto.PublicKey
		var err error
		switch block.Type {
		case "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var certificate *x509.Certificate
			if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = certificate.PublicKey
			}
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			return errPrivate
		default:
			continue // EC PARAMETERS and the like
		}
		if err != nil {
			return err
		}
		k.add(public)
	}
	if len(k.public) == 0 && len(k.Skipped) == 0 {
		return errors.New("the PEM holds no public key")
	}
	return nil
}

func (k *Keys) fromDER(data []byte) error {
	if public, err := x509.ParsePKIXPublicKey(data); err == nil {
		k.add(public)
		return nil
	}
	if certificate, err := x509.ParseCertificate(data); err == nil {
		k.add(certificate.PublicKey)
		return nil
	}
	return errors.New("it is neither PEM nor JWK nor a key set nor a certificate. A shared secret goes to --secret @FILE")
}

// add takes a key that does not say its algorithm.
func (k *Keys) add(public crypto.PublicKey) {
	var fault error
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.RS256} {
		one, err := jose.NewKey(algorithm, public)
		if err == nil {
			k.public = append(k.public, key{one, false})
			return
		}
		fault = err
	}
	k.Skipped = append(k.Skipped, fault.Error())
}

// as is the key for the algorithm of a token: itself, or, where the key does
// not say which, the same key for another one that it can do.
func (k key) as(algorithm jose.Algorithm) (jose.Key, bool) {
	if k.Algorithm() == algorithm || k.Algorithm() == jose.EdDSA && algorithm == "Ed25519" {
		return k.Key, true
	}
	if k.fixed {
		return jose.Key{}, false
	}
	other, err := jose.NewKey(algorithm, k.Public())
	return other, err == nil
}

// encodings are the texts of a public key that a confused server may take for a
// secret (T05).
func (k key) encodings() [][]byte {
	var all [][]byte
	if der, err := x509.MarshalPKIXPublicKey(k.Public()); err == nil {
		block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		all = append(all, block, bytes.TrimSpace(block), der)
	}
	if public, ok := k.Public().(*rsa.PublicKey); ok {
		der := x509.MarshalPKCS1PublicKey(public)
		block := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der})
		all = append(all, block, bytes.TrimSpace(block), der)
	}
	if document, err := k.MarshalJSON(); err == nil {
		all = append(all, document)
	}
	return all
}
