package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// vault is where everything lies that a key-encryption key seals; *store.DB
// satisfies it.
type vault interface {
	Sealed(ctx context.Context) ([]iam.Sealed, error)
	Rewrap(ctx context.Context, secrets []iam.Rewrapped, events ...iam.Event) error
}

// Rewrap opens every sealed secret with one of the key-encryption keys and
// seals it with the first of them, in one transaction: afterwards the others
// open nothing (C23). It returns how many secrets there are and how many were
// sealed by another key.
func Rewrap(ctx context.Context, records vault, actor string, keks []KEK) (total, changed int, err error) {
	if len(keks) == 0 {
		return 0, 0, errors.New("keys: no key-encryption key")
	}
	secrets, err := records.Sealed(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read sealed secrets: %w", err)
	}
	var again []iam.Rewrapped
	for _, secret := range secrets {
		plain, err := keyring(keks).openAs(secret.Purpose, secret.ID, secret.Sealed)
		if err != nil {
			return 0, 0, err
		}
		if SealedBy(secret.Sealed) == keks[0].id {
			continue
		}
		again = append(again, iam.Rewrapped{Sealed: secret, Next: keks[0].seal(secret.Purpose, secret.ID, plain)})
	}
	if len(again) == 0 {
		return len(secrets), 0, nil
	}
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventKEKRotated, Actor: actor, Subject: keks[0].id,
		Detail: map[string]string{"rewrapped": fmt.Sprint(len(again))}}
	if err := records.Rewrap(ctx, again, event); err != nil {
		return 0, 0, fmt.Errorf("rewrap: %w", err)
	}
	return len(secrets), len(again), nil
}

// SealedBy is the id of the key-encryption key that sealed a secret.
func SealedBy(sealed string) string {
	parts := strings.Split(sealed, ".")
	if len(parts) != 4 {
		return ""
	}
	return parts[1]
}

// Safe seals secrets that are not keys of a line, such as certificates.
type Safe struct{ ring keyring }

// NewSafe seals with the first key and opens with any.
func NewSafe(keks ...KEK) Safe { return Safe{keks} }

// Seal binds a secret to its purpose and id.
func (s Safe) Seal(purpose iam.Purpose, id iam.KeyID, secret []byte) string {
	return s.ring[0].seal(purpose, id, secret)
}

// Open is the inverse of Seal, for the same purpose and id only.
func (s Safe) Open(purpose iam.Purpose, id iam.KeyID, sealed string) ([]byte, error) {
	return s.ring.openAs(purpose, id, sealed)
}
