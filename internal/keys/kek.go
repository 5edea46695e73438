package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// KEK is a key-encryption key: 32 random bytes from outside the data folder,
// which seal every key at rest (C23). It prints as "redacted".
type KEK struct {
	id   string
	aead cipher.AEAD
}

// KEKSize is the length of a key-encryption key in bytes.
const KEKSize = 32

// NewKEK makes a key-encryption key of exactly KEKSize bytes.
func NewKEK(raw []byte) (KEK, error) {
	if len(raw) != KEKSize {
		return KEK{}, fmt.Errorf("the key-encryption key is %d bytes long; it must be %d random bytes", len(raw), KEKSize)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return KEK{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return KEK{}, err
	}
	digest := sha256.Sum256(append([]byte("gatehouse kek id\x00"), raw...))
	return KEK{id: hex.EncodeToString(digest[:6]), aead: aead}, nil
}

// GenerateKEK draws a new key-encryption key and returns it with its bytes,
// which the caller must keep outside the data folder.
func GenerateKEK() (KEK, []byte) {
	raw := make([]byte, KEKSize)
	rand.Read(raw)
	kek, err := NewKEK(raw)
	if err != nil {
		panic(err) // the length is right, and AES-256 takes it
	}
	return kek, raw
}

func (KEK) String() string       { return "redacted" }
func (KEK) GoString() string     { return "redacted" }
func (KEK) LogValue() slog.Value { return slog.StringValue("redacted") }

// ID names the key without saying anything about it.
func (k KEK) ID() string { return k.id }

// seal writes `v1.kekId.nonceAndCiphertext`. Purpose and id of the key are
// bound as associated data: a blob moved to another row does not open.
func (k KEK) seal(purpose iam.Purpose, id iam.KeyID, secret []byte) string {
	sealed := k.aead.Seal(nil, nil, secret, sealedFor(purpose, id))
	nonce, ciphertext := sealed[:12], sealed[12:]
	return strings.Join([]string{"v1", k.id, encode(nonce), encode(ciphertext)}, ".")
}

// ErrSealed says that a key cannot be opened with the key-encryption keys at hand.
var ErrSealed = errors.New("sealed with another key-encryption key, or damaged")

// keyring opens with any of its keys and seals with the first.
type keyring []KEK

func (r keyring) open(k iam.Key) ([]byte, error) { return r.openAs(k.Purpose, k.ID, k.Sealed) }

func (r keyring) openAs(purpose iam.Purpose, id iam.KeyID, sealed string) ([]byte, error) {
	parts := strings.Split(sealed, ".")
	if len(parts) != 4 || parts[0] != "v1" {
		return nil, fmt.Errorf("key %s: %w", id, ErrSealed)
	}
	nonce, err1 := decode(parts[2])
	ciphertext, err2 := decode(parts[3])
	for _, kek := range r {
		if kek.id != parts[1] || err1 != nil || err2 != nil || len(nonce) != 12 {
			continue
		}
		secret, err := kek.aead.Open(nil, nil, append(nonce, ciphertext...), sealedFor(purpose, id))
		if err == nil {
			return secret, nil
		}
	}
	return nil, fmt.Errorf("key %s (%s): sealed by key-encryption key %s, at hand: %s: %w", id, purpose, iam.Printable(parts[1], 16), r.ids(), ErrSealed)
}

func (r keyring) ids() string {
	ids := make([]string, len(r))
	for i, k := range r {
		ids[i] = k.id
	}
	return strings.Join(ids, ", ")
}

func sealedFor(purpose iam.Purpose, id iam.KeyID) []byte {
	return []byte("gatehouse key at rest\x00" + string(purpose) + "\x00" + string(id))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(s string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(s) }
