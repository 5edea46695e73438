package directory

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// NewSecret replaces a client's secrets. They stop working at once, and what
// was obtained with them ends.
func (s *Service) NewSecret(ctx context.Context, actor string, id iam.ClientID) (string, error) {
	secret, hash := newSecret()
	err := s.change(ctx, id, func(c *iam.Client) (iam.Ending, iam.Event, error) {
		if err := hasSecret(*c); err != nil {
			return 0, iam.Event{}, err
		}
		c.SecretHash, c.OldSecretHash, c.OldSecretEnds = hash, nil, time.Time{}
		return iam.EndEverything, clientEvent(actor, noun(*c)+".secret_changed", id), nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// RotateSecret gives a client a new secret beside the old one, which stays
// valid for overlap, so that the instances of a client can change over one by
// one. Nothing else ends. There are two secrets at most.
func (s *Service) RotateSecret(ctx context.Context, actor string, id iam.ClientID, overlap time.Duration) (string, error) {
	if overlap <= 0 || overlap > iam.MaxSecretOverlap {
		return "", iam.Invalidf("The old secret stays valid for more than nothing and at most %d days. To end it at once, use --now.", int(iam.MaxSecretOverlap.Hours()/24))
	}
	c, err := s.clients.Client(ctx, id)
	if err != nil {
		return "", missing(err, "client", string(id))
	}
	if err := hasSecret(c); err != nil {
		return "", err
	}
	secret, hash := newSecret()
	e := clientEvent(actor, noun(c)+".secret_rotated", id)
	e.Detail = map[string]string{"overlap": overlap.String()}
	err = s.clients.RotateSecret(ctx, id, hash, overlap, e)
	if errors.Is(err, iam.ErrConflict) {
		return "", s.notRotated(ctx, id)
	}
	if err != nil {
		return "", err
	}
	return secret, nil
}

// notRotated says what the store's one statement did not: why it changed nothing.
func (s *Service) notRotated(ctx context.Context, id iam.ClientID) error {
	c, err := s.clients.Client(ctx, id)
	if err != nil {
		return missing(err, "client", string(id))
	}
	if err := hasSecret(c); err != nil {
		return err
	}
	return iam.Invalidf("The client %q has two valid secrets already, one of them until %s. Wait until then, or end both with --now.", id, c.OldSecretEnds.UTC().Format(time.RFC3339))
}

func hasSecret(c iam.Client) error {
	switch c.AuthMethod() {
	case iam.AuthNone:
		return iam.Invalidf("The client %q is public and has no secret.", c.ID)
	case iam.AuthKey:
		return iam.Invalidf("The client %q proves itself with keys (private_key_jwt) and has no secret. Replace its keys with: gatehouse %s keys %s --jwks FILE", c.ID, strings.ReplaceAll(noun(c), "_", "-"), c.ID)
	}
	return nil
}

// ClientKeys are what a client proves itself with: Set by value, or URI.
type ClientKeys struct {
	Set jose.KeySet
	URI string
	// Switch lets a client with a secret change over to keys; its secret ends.
	Switch bool
	// Ending is iam.EndEverything when the keys before may be in wrong hands.
	Ending iam.Ending
}

// names are the address or the ids of the keys, for the journal.
func (k ClientKeys) names() string {
	if k.URI != "" {
		return k.URI
	}
	var ids []string
	for _, key := range k.Set.Keys() {
		ids = append(ids, key.ID())
	}
	return strings.Join(ids, " ")
}

// SetKeys replaces the keys of a client. The keys before stop working at once.
func (s *Service) SetKeys(ctx context.Context, actor string, id iam.ClientID, keys ClientKeys) (iam.Client, error) {
	err := s.change(ctx, id, func(c *iam.Client) (iam.Ending, iam.Event, error) {
		switch method := c.AuthMethod(); {
		case method == iam.AuthNone:
			return 0, iam.Event{}, iam.Invalidf("The client %q is public and proves nothing.", id)
		case method == iam.AuthSecret && !keys.Switch:
			return 0, iam.Event{}, iam.Invalidf("The client %q proves itself with a secret. To end the secret and use keys instead, add --replace-secret.", id)
		}
		c.Auth, c.Keys, c.KeysURI = iam.AuthKey, keys.Set, keys.URI
		c.SecretHash, c.OldSecretHash, c.OldSecretEnds = nil, nil, time.Time{}
		if err := c.Check(); err != nil {
			return 0, iam.Event{}, err
		}
		e := clientEvent(actor, noun(*c)+".keys_changed", id)
		e.Detail = map[string]string{"keys": keys.names()}
		return keys.Ending, e, nil
	})
	if err != nil {
		return iam.Client{}, err
	}
	return s.clients.Client(ctx, id)
}
