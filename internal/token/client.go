package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// proofs is the store's part of client authentication.
type proofs interface {
	SpendAssertion(ctx context.Context, client iam.ClientID, jti string, expires time.Time) (bool, error)
	OldSecretLives(ctx context.Context, id iam.ClientID, hash []byte) (bool, error)
}

// clientKeys finds the keys that a client publishes; jwks.ErrUnavailable when
// they cannot be had.
type clientKeys interface {
	Key(ctx context.Context, uri, kid string) (jose.Key, error)
}

// errClient is the one answer to every failed client authentication: whether
// the client exists, is disabled or has another secret is for the log only.
var errClient = oauth.InvalidClient("The client is unknown, disabled, or did not prove who it is.")

func notProven(format string, args ...any) error {
	return errClient.Because(fmt.Errorf(format, args...))
}

// Authenticate proves who a client is (RFC 6749 §2.3), by the one method that
// it is registered for (C20). A public client names itself and presents
// nothing; all others present their secret or their assertion.
func (s *Service) Authenticate(ctx context.Context, c oauth.Credentials) (iam.Client, error) {
	if c.Method == oauth.MethodKey {
		if err := c.Assertion.Check(s.issuer, s.now()); err != nil {
			return iam.Client{}, err
		}
	}
	client, err := s.people.Client(ctx, iam.ClientID(c.ClientID))
	if errors.Is(err, iam.ErrNotFound) {
		return iam.Client{}, notProven("no such client")
	}
	if err != nil {
		return iam.Client{}, fmt.Errorf("read client: %w", err)
	}
	if client.Disabled {
		return iam.Client{}, notProven("client %s is disabled", client.ID)
	}
	if err := s.prove(ctx, client, c); err != nil {
		return iam.Client{}, err
	}
	return client, nil
}

// prove lets a client in by the method that it is registered for and by no other.
func (s *Service) prove(ctx context.Context, client iam.Client, c oauth.Credentials) error {
	method, presented := client.AuthMethod(), c.Method
	switch {
	case method == iam.AuthNone && client.Type == iam.Public && presented == oauth.MethodNone:
		return nil
	case method == iam.AuthSecret && (presented == oauth.MethodBasic || presented == oauth.MethodPost):
		return s.proveSecret(ctx, client, c.Secret)
	case method == iam.AuthKey && presented == oauth.MethodKey:
		return s.proveKey(ctx, client, c.Assertion)
	}
	return notProven("client %s is registered for %s and presented %s", client.ID, method, presented)
}

func (s *Service) proveSecret(ctx context.Context, client iam.Client, secret string) error {
	presented := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(presented[:], client.SecretHash) == 1 {
		return nil
	}
	if subtle.ConstantTimeCompare(presented[:], client.OldSecretHash) == 1 {
		lives, err := s.proofs.OldSecretLives(ctx, client.ID, presented[:])
		if err != nil {
			return fmt.Errorf("read old secret: %w", err)
		}
		if lives {
			return nil
		}
		return notProven("client %s: the secret was replaced and has ended", client.ID)
	}
	return notProven("client %s: missing or wrong secret", client.ID)
}

// proveKey checks the signature and then spends the assertion, so that nobody
// can spend another's, and nobody uses one twice.
func (s *Service) proveKey(ctx context.Context, client iam.Client, a oauth.Assertion) error {
	key, err := s.keyOf(ctx, client, a.KeyID())
	if errors.Is(err, jwks.ErrUnavailable) {
		return oauth.Refuse(oauth.CodeTemporarilyUnavailable, "The client's keys cannot be fetched now. Try again in a moment.").Because(fmt.Errorf("client %s: %w", client.ID, err))
	}
	if err != nil {
		return notProven("client %s: %w", client.ID, err)
	}
	if err := a.Verify(key); err != nil {
		return notProven("client %s: assertion: %w", client.ID, err)
	}
	fresh, err := s.proofs.SpendAssertion(ctx, client.ID, a.ID(), a.Expires())
	if err != nil {
		return fmt.Errorf("spend assertion: %w", err)
	}
	if !fresh {
		return notProven("client %s: the assertion was used before", client.ID)
	}
	return nil
}

// keyOf finds the key that an assertion names. One that names none can mean
// the client's only key and nothing else.
func (s *Service) keyOf(ctx context.Context, client iam.Client, kid string) (jose.Key, error) {
	if client.KeysURI != "" {
		return s.clientKeys.Key(ctx, client.KeysURI, kid)
	}
	if kid == "" && client.Keys.Len() == 1 {
		return client.Keys.Keys()[0], nil
	}
	key, found := client.Keys.Key(kid)
	if kid == "" || !found {
		return jose.Key{}, jose.ErrUnknownKey
	}
	return key, nil
}

// AuthenticateConfidential is Authenticate for endpoints that a public client
// has no business at: naming oneself proves nothing.
func (s *Service) AuthenticateConfidential(ctx context.Context, c oauth.Credentials) (iam.Client, error) {
	client, err := s.Authenticate(ctx, c)
	if err == nil && client.Type == iam.Public {
		return iam.Client{}, notProven("client %s is public", client.ID)
	}
	return client, err
}
