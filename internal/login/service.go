package login

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// users is where accounts are found and attempts are recorded.
type users interface {
	UserByName(ctx context.Context, username string) (iam.User, error)
	Record(ctx context.Context, events ...iam.Event) error
}

// Config of a Service; every field but Now is required.
type Config struct {
	Users     users
	Passwords *Passwords
	Now       func() time.Time
}

// Service is the one login decision, for the challenge endpoint and the pages alike.
type Service struct {
	users     users
	passwords *Passwords
	now       func() time.Time
}

func New(config Config) (*Service, error) {
	if config.Users == nil || config.Passwords == nil {
		return nil, errors.New("login: Users and Passwords are required")
	}
	s := &Service{users: config.Users, passwords: config.Passwords, now: config.Now}
	if s.now == nil {
		s.now = time.Now
	}
	return s, nil
}

// ErrDenied is the one refusal of a login, whatever the reason: wrong
// password, no such user, disabled. The reason is in the journal.
var ErrDenied = errors.New("that username and password don't match")

// Login is a successful login.
type Login struct {
	User iam.User
	At   time.Time
	ACR  string
	AMR  []string
}

// Password decides a login with username and password. Every attempt costs
// exactly one hash operation and one journal row, so that neither time nor
// traffic tells whether the account exists.
func (s *Service) Password(ctx context.Context, client iam.ClientID, username, password string) (Login, error) {
	user, found, err := s.find(ctx, username)
	if err != nil {
		return Login{}, err
	}
	hash := user.PasswordHash
	if utf8.RuneCountInString(password) > MaxPasswordLength {
		password, hash = "", "" // one hash of a short input, which never matches
	}
	match, err := s.passwords.Verify(ctx, hash, password)
	if err != nil {
		return Login{}, fmt.Errorf("verify password: %w", err)
	}
	if reason := refusal(found, match, user); reason != "" {
		return Login{}, s.deny(ctx, client, user, username, reason)
	}
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventLoginSucceeded, Actor: string(user.ID), UserID: user.ID, ClientID: client,
		Detail: map[string]string{"acr": iam.ACRPassword}}
	if err := s.users.Record(ctx, event); err != nil {
		return Login{}, fmt.Errorf("record login: %w", err)
	}
	return Login{User: user, At: s.now(), ACR: iam.ACRPassword, AMR: []string{"pwd"}}, nil
}

func (s *Service) find(ctx context.Context, username string) (iam.User, bool, error) {
	canonical, err := iam.CanonicalUsername(username)
	if err != nil {
		canonical = "\x00" // a name nobody can have: the lookup is made all the same
	}
	user, err := s.users.UserByName(ctx, canonical)
	if errors.Is(err, iam.ErrNotFound) {
		return iam.User{}, false, nil
	}
	if err != nil {
		return iam.User{}, false, fmt.Errorf("find user: %w", err)
	}
	return user, true, nil
}

func refusal(found, match bool, user iam.User) string {
	switch {
	case !found:
		return "no such user"
	case !match:
		return "wrong password"
	case user.Disabled:
		return "disabled"
	}
	return ""
}

func (s *Service) deny(ctx context.Context, client iam.ClientID, user iam.User, username, reason string) error {
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventLoginFailed, Actor: "anonymous", UserID: user.ID, ClientID: client,
		Detail: map[string]string{"reason": reason}}
	if user.ID == "" {
		// People type passwords into the username field: the journal keeps its length only.
		event.Detail["username_length"] = fmt.Sprint(utf8.RuneCountInString(username))
	}
	if err := s.users.Record(ctx, event); err != nil {
		return fmt.Errorf("record login: %w", err)
	}
	return ErrDenied
}
