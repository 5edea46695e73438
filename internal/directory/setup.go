package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// setups is the store's part of the one-time setup.
type setups interface {
	PutSetup(ctx context.Context, codeHash string, life time.Duration, events ...iam.Event) error
	SetupWaits(ctx context.Context) (bool, error)
	SetupHolds(ctx context.Context, codeHash string) (bool, error)
	ClaimSetup(ctx context.Context, codeHash string, admin iam.User, events ...iam.Event) error
}

// Setup makes the first administrator of an installation, once, for whoever
// holds the code that its owner was shown. There is no default password.
type Setup struct {
	directory *Service
	setups    setups
}

// NewSetup is the setup of a directory.
func NewSetup(d *Service, s setups) *Setup { return &Setup{directory: d, setups: s} }

// Offer draws a new code, good for iam.SetupLife, and ends any older one.
func (s *Setup) Offer(ctx context.Context, actor string) (string, error) {
	code := iam.NewSetupCode()
	event := iam.Event{ID: iam.NewEventID(), Kind: "setup.offered", Actor: actor}
	if err := s.setups.PutSetup(ctx, iam.SetupCodeHash(code), iam.SetupLife, event); err != nil {
		return "", fmt.Errorf("offer setup: %w", err)
	}
	return code, nil
}

// Waits tells whether a code is out and not used yet.
func (s *Setup) Waits(ctx context.Context) (bool, error) { return s.setups.SetupWaits(ctx) }

// errSetupCode is one answer for codes that are wrong, used and expired.
var errSetupCode = iam.Invalidf("That setup code is not valid (any more). Draw another one on the server with: gatehouse setup")

// Claim spends the code and makes the administrator. A name or password that
// cannot be used spends nothing. The code is checked before any hash is
// computed, so strangers cannot make the server work.
func (s *Setup) Claim(ctx context.Context, code, username, password string) (iam.User, error) {
	hash := iam.SetupCodeHash(code)
	holds, err := s.setups.SetupHolds(ctx, hash)
	if err != nil {
		return iam.User{}, fmt.Errorf("read setup: %w", err)
	}
	if !holds {
		return iam.User{}, errSetupCode
	}
	if username, err = iam.CanonicalUsername(username); err != nil {
		return iam.User{}, err
	}
	admin := iam.User{ID: iam.NewUserID(), Username: username, Roles: []string{iam.Administrator}}
	if admin.PasswordHash, err = s.directory.hash(ctx, admin, password); err != nil {
		return iam.User{}, err
	}
	event := userEvent("setup", "user.created", admin)
	switch err := s.setups.ClaimSetup(ctx, hash, admin, event); {
	case errors.Is(err, iam.ErrConflict):
		return iam.User{}, errSetupCode
	case errors.Is(err, iam.ErrExists):
		return iam.User{}, iam.Invalidf("There is a user %s already. Choose another name.", username)
	case err != nil:
		return iam.User{}, fmt.Errorf("make the administrator: %w", err)
	}
	return admin, nil
}
