package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// importBatch is how many users share a transaction.
const importBatch = 500

// Existing says what an import does about users who are there already.
type Existing int

const (
	RefuseExisting Existing = iota
	SkipExisting            // leaves them as they are
)

// Import takes users over from another system: first all are looked at, then
// all are made. Add reports what is wrong with one; after any fault do not Run.
type Import struct {
	service  *Service
	actor    string
	existing Existing
	defaults []string
	held     map[string]bool // role names that were looked up
	seen     map[string]int  // canonical names, and the line of each
	users    []iam.User
	schemes  []string
	skipped  int
}

// NewImport begins an import.
func (s *Service) NewImport(ctx context.Context, actor string, existing Existing) (*Import, error) {
	defaults, err := s.withDefaults(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &Import{service: s, actor: actor, existing: existing, defaults: defaults, held: map[string]bool{}, seen: map[string]int{}}, nil
}

// Add looks at a user of a line. hash is of another system, or empty for a user
// without a password.
func (i *Import) Add(ctx context.Context, line int, u iam.User, hash string) error {
	var err error
	if u.Username, err = iam.CanonicalUsername(u.Username); err != nil {
		return err
	}
	if first, twice := i.seen[u.Username]; twice {
		return iam.Invalidf("The user %s stands in line %d already. Upper and lower case make no difference.", u.Username, first)
	}
	i.seen[u.Username] = line
	scheme := "none"
	if hash != "" {
		if u.PasswordHash, scheme, err = i.service.passwords.Import(hash); err != nil {
			return err
		}
	}
	if err := i.check(ctx, u); err != nil {
		return err
	}
	switch _, err := i.service.users.UserByName(ctx, u.Username); {
	case err == nil && i.existing == SkipExisting:
		i.skipped++
		return nil
	case err == nil:
		return iam.Invalidf("The user %s exists already. Leave such users as they are with --skip-existing, or take the line out.", u.Username)
	case !errors.Is(err, iam.ErrNotFound):
		return err
	}
	for _, role := range i.defaults {
		if !slices.Contains(u.Roles, role) {
			u.Roles = append(u.Roles, role)
		}
	}
	u.ID = iam.NewUserID()
	i.users, i.schemes = append(i.users, u), append(i.schemes, scheme)
	return nil
}

func (i *Import) check(ctx context.Context, u iam.User) error {
	if err := u.Check(); err != nil {
		return err
	}
	for _, role := range u.Roles {
		if i.held[role] {
			continue
		}
		if err := i.service.checkHeld(ctx, []string{role}); err != nil {
			return err
		}
		i.held[role] = true
	}
	return nil
}

// Ready is how many users Run will make, and how many it leaves as they are.
func (i *Import) Ready() (users, skipped int) { return len(i.users), i.skipped }

// Run makes the users, batch by batch: each batch wholly or not at all. done is
// how many were made, also when there is an error; what is missing can be
// imported again with SkipExisting.
func (i *Import) Run(ctx context.Context) (done int, err error) {
	for done < len(i.users) {
		end := min(done+importBatch, len(i.users))
		if err := ctx.Err(); err != nil {
			return done, err
		}
		events := make([]iam.Event, 0, importBatch)
		for n, u := range i.users[done:end] {
			e := userEvent(i.actor, iam.EventUserImported, u)
			e.Detail = map[string]string{"password_hash": i.schemes[done+n]}
			events = append(events, e)
		}
		if err := i.service.users.CreateUsers(ctx, i.users[done:end], events...); err != nil {
			return done, fmt.Errorf("import users: %w", err)
		}
		done = end
	}
	return done, nil
}
