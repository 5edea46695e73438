package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// secretPrefix makes a leaked secret easy to find for scanners.
const secretPrefix = "ghs_"

// newSecret draws 256 bits. Only the SHA-256 is stored: a slow hash would
// protect nothing that 256 random bits do not.
func newSecret() (secret string, hash []byte) {
	raw := make([]byte, 32)
	rand.Read(raw)
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(raw)
	digest := sha256.Sum256([]byte(secret))
	return secret, digest[:]
}

// CreateClient makes a client or service account. The secret is returned once
// and kept as a hash; a client that is public or proves itself with keys has none.
func (s *Service) CreateClient(ctx context.Context, actor string, c iam.Client) (iam.Client, string, error) {
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{iam.AuthorizationCode, iam.RefreshToken}
		if c.Type == iam.Service {
			c.GrantTypes = []string{iam.ClientCredentials}
		}
	}
	c.Auth = c.AuthMethod()
	secret := ""
	if c.Auth == iam.AuthSecret {
		secret, c.SecretHash = newSecret()
	}
	if err := s.checkClient(ctx, c); err != nil {
		return iam.Client{}, "", err
	}
	if err := s.clients.CreateClient(ctx, c, clientEvent(actor, noun(c)+".created", c.ID)); err != nil {
		return iam.Client{}, "", missing(err, "client", string(c.ID))
	}
	created, err := s.clients.Client(ctx, c.ID)
	return created, secret, err
}

func noun(c iam.Client) string {
	if c.Type == iam.Service {
		return "service_account"
	}
	return "client"
}

func (s *Service) checkClient(ctx context.Context, c iam.Client) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := s.checkHeld(ctx, c.Roles); err != nil {
		return err
	}
	all, err := s.apis.APIs(ctx)
	if err != nil {
		return err
	}
	for _, scope := range c.Scopes {
		if !iam.IdentityScope(scope) && !slices.ContainsFunc(all, func(a iam.API) bool { return a.Defines(scope) }) {
			return iam.Invalidf("No API defines the scope %q. See: gatehouse api list", scope)
		}
	}
	for _, name := range c.ReaderOf {
		if !slices.ContainsFunc(all, func(a iam.API) bool { return a.Name == name }) {
			return iam.Invalidf("There is no API %q to read tokens of. See: gatehouse api list", iam.Printable(name, 64))
		}
	}
	return nil
}

// EditClient changes a client. A change of roles or scopes ends its access
// tokens and keeps its grants (C16).
func (s *Service) EditClient(ctx context.Context, actor string, id iam.ClientID, edit func(*iam.Client) error) (iam.Client, error) {
	err := s.change(ctx, id, func(c *iam.Client) (iam.Ending, iam.Event, error) {
		before := *c
		c.Roles, c.Scopes = slices.Clone(before.Roles), slices.Clone(before.Scopes)
		if err := edit(c); err != nil {
			return 0, iam.Event{}, err
		}
		// How it proves who it is has methods of its own, which say what ends.
		c.ID, c.Type, c.Disabled, c.Auth, c.Keys, c.KeysURI = before.ID, before.Type, before.Disabled, before.Auth, before.Keys, before.KeysURI
		c.SecretHash, c.OldSecretHash, c.OldSecretEnds = before.SecretHash, before.OldSecretHash, before.OldSecretEnds
		if err := s.checkClient(ctx, *c); err != nil {
			return 0, iam.Event{}, err
		}
		ending := iam.EndNothing
		if !sameSet(before.Roles, c.Roles) || !sameSet(before.Scopes, c.Scopes) || before.FirstParty != c.FirstParty {
			ending = iam.EndAccess
		}
		return ending, clientEvent(actor, noun(*c)+".edited", id), nil
	})
	if err != nil {
		return iam.Client{}, err
	}
	return s.clients.Client(ctx, id)
}

// SetClient enables or disables a client. Disabling ends everything it has.
func (s *Service) SetClient(ctx context.Context, actor string, id iam.ClientID, to Switch) error {
	return s.change(ctx, id, func(c *iam.Client) (iam.Ending, iam.Event, error) {
		c.Disabled = to == Disabled
		return iam.EndEverything, clientEvent(actor, to.kind(noun(*c)), id), nil
	})
}

func (s *Service) change(ctx context.Context, id iam.ClientID, edit func(*iam.Client) (iam.Ending, iam.Event, error)) error {
	err := retry(func() error {
		c, err := s.clients.Client(ctx, id)
		if err != nil {
			return err
		}
		ending, e, err := edit(&c)
		if err != nil {
			return err
		}
		return s.clients.UpdateClient(ctx, c, ending, e)
	})
	return missing(err, "client", string(id))
}

// DeleteClient ends everything of a client and removes it.
func (s *Service) DeleteClient(ctx context.Context, actor string, id iam.ClientID) error {
	c, err := s.clients.Client(ctx, id)
	if err == nil {
		err = s.clients.DeleteClient(ctx, id, clientEvent(actor, noun(c)+".deleted", id))
	}
	if errors.Is(err, iam.ErrNotFound) {
		return &NotFound{Noun: "client", Name: string(id)}
	}
	return err
}
