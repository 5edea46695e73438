package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// people is who tokens are for.
type people interface {
	Client(ctx context.Context, id iam.ClientID) (iam.Client, error)
	User(ctx context.Context, id iam.UserID) (iam.User, error)
	APIs(ctx context.Context) ([]iam.API, error)
	Roles(ctx context.Context) ([]iam.Role, error)
}

// grants is the store's part of issuing: each method is one transaction.
type grants interface {
	IssueForClient(ctx context.Context, candidate iam.Grant, clientEpoch int64, event iam.Event) (iam.GrantID, error)
	RedeemCode(ctx context.Context, redemption iam.Redemption) (iam.RedeemOutcome, error)
	TurnRefresh(ctx context.Context, turn iam.Turn) (iam.Grant, iam.TurnOutcome, error)
	Grant(ctx context.Context, id iam.GrantID) (iam.Grant, error)
	Session(ctx context.Context, id iam.SessionID) (iam.Session, error)
	RedeemDevice(ctx context.Context, redemption iam.DeviceRedemption) (iam.RedeemOutcome, error)
	handoffs
}

// requests are what clients leave with us in advance (C31).
type requests interface {
	PutPushed(ctx context.Context, idHash string, client iam.ClientID, network, request string) error
	TakePushed(ctx context.Context, idHash string, client iam.ClientID) (string, error)
	PutDevice(ctx context.Context, d iam.Device) error
	DeviceByUserCode(ctx context.Context, userCode string) (iam.Device, error)
	DecideDevice(ctx context.Context, decided iam.Device, event iam.Event) (bool, error)
	PollDevice(ctx context.Context, poll iam.DevicePoll) (iam.Device, iam.DeviceOutcome, error)
}

// revocations is the store's part of ending tokens.
type revocations interface {
	RevokeGrant(ctx context.Context, id iam.GrantID, reason string, event iam.Event) (bool, error)
	RevokeToken(ctx context.Context, id iam.TokenID, expires time.Time, event iam.Event) error
	TokenRevoked(ctx context.Context, id iam.TokenID) (bool, error)
}

// signer holds the keys of access tokens.
type signer interface {
	Signer(ctx context.Context, algorithm string) (jose.Signer, error)
	Published() jose.KeySet
	// Remembered are Published and all that ever were: for hints only (C24).
	Remembered() jose.KeySet
}

// sealer holds the keys of codes and refresh tokens.
type sealer interface {
	SealCode(plaintext []byte) (iam.KeyID, []byte, error)
	OpenCode(id iam.KeyID, sealed []byte) ([]byte, error)
	RefreshKey() (iam.KeyID, error)
	RefreshMAC(id iam.KeyID, message string) ([]byte, error)
}

// Config of a Service. Grace is used as given: 0 means none.
type Config struct {
	Issuer      string
	People      people
	Grants      grants
	Revocations revocations
	Requests    requests
	Proofs      proofs
	ClientKeys  clientKeys
	Signer      signer
	Sealer      sealer
	Grace       time.Duration // normally iam.RefreshGrace
	Now         func() time.Time
}

// Service issues and ends tokens. Safe for concurrent use.
type Service struct {
	issuer      string
	people      people
	grants      grants
	revocations revocations
	requests    requests
	proofs      proofs
	clientKeys  clientKeys
	signer      signer
	sealer      sealer
	grace       time.Duration
	now         func() time.Time
}

func New(c Config) (*Service, error) {
	if c.Issuer == "" || c.People == nil || c.Grants == nil || c.Revocations == nil || c.Requests == nil || c.Proofs == nil || c.ClientKeys == nil || c.Signer == nil || c.Sealer == nil {
		return nil, errors.New("token: Issuer, People, Grants, Revocations, Requests, Proofs, ClientKeys, Signer and Sealer are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{issuer: c.Issuer, people: c.People, grants: c.Grants, revocations: c.Revocations, requests: c.Requests,
		proofs: c.Proofs, clientKeys: c.ClientKeys, signer: c.Signer, sealer: c.Sealer, grace: c.Grace, now: c.Now}, nil
}

// decide computes what a token carries from today's APIs and roles (C5).
func (s *Service) decide(ctx context.Context, client iam.Client, roles []string, asked iam.Asked) (iam.Granted, error) {
	apis, err := s.people.APIs(ctx)
	if err != nil {
		return iam.Granted{}, fmt.Errorf("read APIs: %w", err)
	}
	all, err := s.people.Roles(ctx)
	if err != nil {
		return iam.Granted{}, fmt.Errorf("read roles: %w", err)
	}
	holder := iam.Holder{Roles: named(all, roles), Service: client.Type == iam.Service}
	granted, err := iam.Decide(s.issuer, apis, client, holder, asked)
	var denied *iam.Denied
	if errors.As(err, &denied) {
		return iam.Granted{}, refuse(denied)
	}
	return granted, err
}

// decideFor is decide of a grant for a resource that the token request names.
// A client that users are asked about gets tokens for the API that they saw.
func (s *Service) decideFor(ctx context.Context, client iam.Client, roles []string, asked iam.Asked, resource string) (iam.Granted, error) {
	if resource != "" && client.NeedsConsent() {
		seen, err := s.decide(ctx, client, roles, asked)
		if err != nil {
			return iam.Granted{}, err
		}
		if seen.Audience != resource {
			return iam.Granted{}, oauth.InvalidTarget("The user was asked about %s. Ask for another API with an authorization request of its own.", seen.Audience)
		}
	}
	if resource != "" {
		asked.Resource = resource
	}
	return s.decide(ctx, client, roles, asked)
}

func named(all []iam.Role, names []string) []iam.Role {
	var roles []iam.Role
	for _, r := range all {
		for _, n := range names {
			if r.Name == n {
				roles = append(roles, r)
			}
		}
	}
	return roles
}

func refuse(denied *iam.Denied) error {
	if denied.Target {
		return oauth.InvalidTarget("%s", denied.Reason)
	}
	return oauth.InvalidScope("%s", denied.Reason)
}
