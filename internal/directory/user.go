package directory

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// CreateUser makes a user with the given roles and the default ones. An empty
// password makes a user who cannot log in with one.
func (s *Service) CreateUser(ctx context.Context, actor string, u iam.User, password string) (iam.User, error) {
	return s.createUser(ctx, actor, u, func(u iam.User) (string, error) {
		if password == "" {
			return "", nil
		}
		return s.hash(ctx, u, password)
	})
}

// CreateUserWithHash is CreateUser with a password hash that another system
// made. The next login replaces it by one of ours.
func (s *Service) CreateUserWithHash(ctx context.Context, actor string, u iam.User, hash string) (iam.User, error) {
	return s.createUser(ctx, actor, u, func(iam.User) (string, error) {
		stored, _, err := s.passwords.Import(hash)
		return stored, err
	})
}

func (s *Service) createUser(ctx context.Context, actor string, u iam.User, hash func(iam.User) (string, error)) (iam.User, error) {
	var err error
	if u.Username, err = iam.CanonicalUsername(u.Username); err != nil {
		return iam.User{}, err
	}
	u.ID = iam.NewUserID()
	if err := u.Check(); err != nil {
		return iam.User{}, err
	}
	if err := s.checkHeld(ctx, u.Roles); err != nil {
		return iam.User{}, err
	}
	if u.Roles, err = s.withDefaults(ctx, u.Roles); err != nil {
		return iam.User{}, err
	}
	if u.PasswordHash, err = hash(u); err != nil {
		return iam.User{}, err
	}
	if err := s.users.CreateUser(ctx, u, userEvent(actor, "user.created", u)); err != nil {
		return iam.User{}, missing(err, "user", u.Username)
	}
	return s.users.User(ctx, u.ID)
}

func (s *Service) withDefaults(ctx context.Context, held []string) ([]string, error) {
	all, err := s.roles.Roles(ctx)
	if err != nil {
		return nil, err
	}
	held = slices.Clone(held)
	for _, r := range all {
		if r.Default && !slices.Contains(held, r.Name) {
			held = append(held, r.Name)
		}
	}
	return held, nil
}

// CheckPassword reports why a user of that name, address and display name
// cannot have the password, before anything is changed.
func (s *Service) CheckPassword(u iam.User, password string) error {
	return s.passwords.Check(password, u.Username, u.Email, u.Name)
}

func (s *Service) hash(ctx context.Context, u iam.User, password string) (string, error) {
	if err := s.CheckPassword(u, password); err != nil {
		return "", err
	}
	return s.passwords.Hash(ctx, password)
}

// FindUser reads a user by id or by name in any case.
func (s *Service) FindUser(ctx context.Context, name string) (iam.User, error) {
	if strings.HasPrefix(name, "usr_") {
		u, err := s.users.User(ctx, iam.UserID(name))
		return u, missing(err, "user", name)
	}
	canonical, err := iam.CanonicalUsername(name)
	if err != nil {
		return iam.User{}, &NotFound{Noun: "user", Name: name}
	}
	u, err := s.users.UserByName(ctx, canonical)
	return u, missing(err, "user", name)
}

// EditUser changes name, address, roles and attributes. Giving or taking a
// role ends the user's access tokens and keeps the logins (C16); so does a
// change of an attribute, because an API may have it as a claim.
func (s *Service) EditUser(ctx context.Context, actor string, id iam.UserID, edit func(*iam.User) error) (iam.User, error) {
	err := retry(func() error {
		before, err := s.users.User(ctx, id)
		if err != nil {
			return err
		}
		u := before
		u.Roles, u.Attributes = slices.Clone(before.Roles), maps.Clone(before.Attributes)
		if err := edit(&u); err != nil {
			return err
		}
		u.ID, u.Disabled, u.PasswordHash = before.ID, before.Disabled, before.PasswordHash
		if err := u.Check(); err != nil {
			return err
		}
		if err := s.checkHeld(ctx, u.Roles); err != nil {
			return err
		}
		ending := iam.EndNothing
		if !sameSet(before.Roles, u.Roles) || !maps.Equal(before.Attributes, u.Attributes) {
			ending = iam.EndAccess
		}
		return s.users.UpdateUser(ctx, u, ending, userEvent(actor, "user.edited", u))
	})
	if err != nil {
		return iam.User{}, missing(err, "user", string(id))
	}
	return s.users.User(ctx, id)
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// SetPassword sets a password and ends every session and grant (C14).
func (s *Service) SetPassword(ctx context.Context, actor string, id iam.UserID, password string) error {
	return s.endUser(ctx, id, func(u *iam.User) (iam.Event, error) {
		hash, err := s.hash(ctx, *u, password)
		u.PasswordHash = hash
		return userEvent(actor, iam.EventPasswordChanged, *u), err
	})
}

// SetUser enables or disables a user. Disabling ends everything (C14); what
// ended does not come back with enabling.
func (s *Service) SetUser(ctx context.Context, actor string, id iam.UserID, to Switch) error {
	return s.endUser(ctx, id, func(u *iam.User) (iam.Event, error) {
		u.Disabled = to == Disabled
		return userEvent(actor, to.kind("user"), *u), nil
	})
}

func (s *Service) endUser(ctx context.Context, id iam.UserID, edit func(*iam.User) (iam.Event, error)) error {
	err := retry(func() error {
		u, err := s.users.User(ctx, id)
		if err != nil {
			return err
		}
		e, err := edit(&u)
		if err != nil {
			return err
		}
		return s.users.UpdateUser(ctx, u, iam.EndEverything, e)
	})
	return missing(err, "user", string(id))
}

// DeleteUser ends everything of a user and removes the account. The id is
// never used again.
func (s *Service) DeleteUser(ctx context.Context, actor string, id iam.UserID) error {
	u, err := s.users.User(ctx, id)
	if err != nil {
		return missing(err, "user", string(id))
	}
	return missing(s.users.DeleteUser(ctx, id, userEvent(actor, "user.deleted", u)), "user", string(id))
}
