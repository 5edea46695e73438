package keys

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Signer returns the key that signs tokens of an algorithm now. A line that
// does not exist yet is created.
func (s *Service) Signer(ctx context.Context, algorithm string) (jose.Signer, error) {
	return s.signer(ctx, iam.TokenKeys, algorithm)
}

// FeedSigner returns the key that signs the revocation feed now. Its id is also
// what the salt of the feed is made of, so it is the same at every node.
func (s *Service) FeedSigner(ctx context.Context) (jose.Signer, error) {
	return s.signer(ctx, iam.FeedKeys, string(jose.ES256))
}

func (s *Service) signer(ctx context.Context, purpose iam.Purpose, algorithm string) (jose.Signer, error) {
	if err := s.refresh(ctx); err != nil {
		return jose.Signer{}, err
	}
	if err := s.ensure(ctx, purpose, algorithm); err != nil {
		return jose.Signer{}, err
	}
	snap := s.snapshot.Load()
	active, _ := iam.LineOf(snap.keys, purpose, algorithm).Active(s.now())
	signer := snap.signers[active.ID]
	if signer.IsZero() {
		return jose.Signer{}, fmt.Errorf("no active %s key of the purpose %s", algorithm, purpose)
	}
	return signer, nil
}

// Prepare makes the line of an algorithm if there is none yet, so that its keys
// are published before anybody needs them.
func (s *Service) Prepare(ctx context.Context, algorithm string) error {
	return s.ensure(ctx, iam.TokenKeys, algorithm)
}

// Published are the public keys that verifiers may use now: active, pending
// and retiring token keys, nothing else (C24).
func (s *Service) Published() jose.KeySet { return s.published(iam.TokenKeys) }

// PublishedFeed are the public keys of the revocation feed, which has a document
// of its own: none of them verifies a token (C24).
func (s *Service) PublishedFeed() jose.KeySet { return s.published(iam.FeedKeys) }

func (s *Service) published(purpose iam.Purpose) jose.KeySet {
	snap, now := s.snapshot.Load(), s.now()
	var public []jose.Key
	for _, k := range snap.keys {
		if k.Purpose == purpose && stateOf(snap.keys, k, now) != iam.Removed {
			public = append(public, snap.signers[k.ID].Key())
		}
	}
	return jose.NewKeySet(public...)
}

// Ready tells whether this process may sign: it knows the keys that are in the
// store now.
func (s *Service) Ready(ctx context.Context) error {
	if s.Published().Len() == 0 {
		return errors.New("there is no signing key")
	}
	return s.refresh(ctx)
}

func stateOf(stored []iam.Key, k iam.Key, now time.Time) iam.KeyState {
	return iam.LineOf(stored, k.Purpose, k.Algorithm).State(k, now, overlap[k.Purpose])
}

// ErrUnusable says that an artefact names a key that is not there any more, or
// does not open with it.
var ErrUnusable = errors.New("key not usable")

// Remembered are the public halves of all token keys that there ever were. What
// they signed proves who was meant once, and nothing about today (C24).
func (s *Service) Remembered() jose.KeySet {
	var public []jose.Key
	for _, k := range s.snapshot.Load().keys {
		if k.Purpose != iam.TokenKeys || len(k.Public) == 0 {
			continue
		}
		if set, _, err := jose.ParseKeySet(slices.Concat([]byte(`{"keys":[`), k.Public, []byte(`]}`))); err == nil {
			public = append(public, set.Keys()...)
		}
	}
	return jose.NewKeySet(public...)
}

// SealCode seals an authorization code with the active key and returns the
// key's id for the artefact to carry in the clear.
func (s *Service) SealCode(plaintext []byte) (iam.KeyID, []byte, error) {
	return s.seal(iam.CodeKeys, plaintext, "")
}

// OpenCode is the inverse of SealCode.
func (s *Service) OpenCode(id iam.KeyID, sealed []byte) ([]byte, error) {
	return s.openSealed(iam.CodeKeys, id, sealed, "")
}

// SealForm seals what a browser carries from one page to the next. kind tells
// one sort of form from another: what was sealed as one does not open as another.
func (s *Service) SealForm(kind string, plaintext []byte) (iam.KeyID, []byte, error) {
	return s.seal(iam.FormKeys, plaintext, kind)
}

// OpenForm is the inverse of SealForm.
func (s *Service) OpenForm(kind string, id iam.KeyID, sealed []byte) ([]byte, error) {
	return s.openSealed(iam.FormKeys, id, sealed, kind)
}

func (s *Service) seal(purpose iam.Purpose, plaintext []byte, kind string) (iam.KeyID, []byte, error) {
	if err := s.current(); err != nil {
		return "", nil, err
	}
	snap := s.snapshot.Load()
	active, ok := iam.LineOf(snap.keys, purpose, sealAlgorithm).Active(s.now())
	if !ok {
		return "", nil, ErrUnusable
	}
	aead, err := codeAEAD(snap.secrets[active.ID])
	if err != nil {
		return "", nil, err
	}
	return active.ID, aead.Seal(nil, nil, plaintext, []byte(string(active.ID)+kind)), nil
}

func (s *Service) openSealed(purpose iam.Purpose, id iam.KeyID, sealed []byte, kind string) ([]byte, error) {
	secret, err := s.secret(purpose, id)
	if err != nil {
		return nil, err
	}
	aead, err := codeAEAD(secret)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, nil, sealed, []byte(string(id)+kind))
	if err != nil {
		return nil, ErrUnusable
	}
	return plaintext, nil
}

func codeAEAD(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// RefreshKey is the id of the key that makes the mac of new refresh tokens.
func (s *Service) RefreshKey() (iam.KeyID, error) {
	if err := s.current(); err != nil {
		return "", err
	}
	active, ok := s.line(iam.RefreshKeys, macAlgorithm).Active(s.now())
	if !ok {
		return "", ErrUnusable
	}
	return active.ID, nil
}

// RefreshMAC is HMAC-SHA-256 of message with the key of that id, active or retiring.
func (s *Service) RefreshMAC(id iam.KeyID, message string) ([]byte, error) {
	secret, err := s.secret(iam.RefreshKeys, id)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(message))
	return mac.Sum(nil), nil
}

// secret returns a symmetric key of that purpose which may still be used.
// iam.ErrUnavailable: nobody can say now; ErrUnusable: it may not.
func (s *Service) secret(purpose iam.Purpose, id iam.KeyID) ([]byte, error) {
	if err := s.current(); err != nil {
		return nil, err
	}
	if !s.snapshot.Load().knows(id) && !s.reread() {
		return nil, ErrUnusable
	}
	snap, now := s.snapshot.Load(), s.now()
	for _, k := range snap.keys {
		if k.ID == id && k.Purpose == purpose && stateOf(snap.keys, k, now) != iam.Removed {
			return snap.secrets[id], nil
		}
	}
	return nil, ErrUnusable
}

func (n *snapshot) knows(id iam.KeyID) bool {
	return slices.ContainsFunc(n.keys, func(k iam.Key) bool { return k.ID == id })
}
