package directory

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// The store's part, by noun; *store.DB satisfies all of them.
type apis interface {
	CreateAPI(ctx context.Context, a iam.API, events ...iam.Event) error
	API(ctx context.Context, name string) (iam.API, error)
	APIs(ctx context.Context) ([]iam.API, error)
	UpdateAPI(ctx context.Context, a iam.API, events ...iam.Event) error
	DeleteAPI(ctx context.Context, name string, events ...iam.Event) error
}

type roles interface {
	CreateRole(ctx context.Context, r iam.Role, events ...iam.Event) error
	Role(ctx context.Context, name string) (iam.Role, error)
	Roles(ctx context.Context) ([]iam.Role, error)
	UpdateRole(ctx context.Context, r iam.Role, events ...iam.Event) error
	DeleteRole(ctx context.Context, name string, events ...iam.Event) error
	BumpHolders(ctx context.Context, name string, events ...iam.Event) error
}

type users interface {
	CreateUser(ctx context.Context, u iam.User, events ...iam.Event) error
	CreateUsers(ctx context.Context, users []iam.User, events ...iam.Event) error
	User(ctx context.Context, id iam.UserID) (iam.User, error)
	UserByName(ctx context.Context, username string) (iam.User, error)
	UpdateUser(ctx context.Context, u iam.User, ending iam.Ending, events ...iam.Event) error
	DeleteUser(ctx context.Context, id iam.UserID, events ...iam.Event) error
}

type clients interface {
	CreateClient(ctx context.Context, c iam.Client, events ...iam.Event) error
	Client(ctx context.Context, id iam.ClientID) (iam.Client, error)
	UpdateClient(ctx context.Context, c iam.Client, ending iam.Ending, events ...iam.Event) error
	RotateSecret(ctx context.Context, id iam.ClientID, hash []byte, overlap time.Duration, events ...iam.Event) error
	DeleteClient(ctx context.Context, id iam.ClientID, events ...iam.Event) error
}

type logins interface {
	ListSessions(ctx context.Context, f iam.LoginFilter) (sessions []iam.ListedSession, next string, err error)
	ListGrants(ctx context.Context, f iam.LoginFilter) (grants []iam.ListedGrant, next string, err error)
	Session(ctx context.Context, id iam.SessionID) (iam.Session, error)
	Grant(ctx context.Context, id iam.GrantID) (iam.Grant, error)
	EndSession(ctx context.Context, id iam.SessionID, user iam.UserID, event iam.Event) (bool, error)
	RevokeGrant(ctx context.Context, id iam.GrantID, reason string, event iam.Event) (bool, error)
	EndSessionsOf(ctx context.Context, user iam.UserID, client iam.ClientID, event iam.Event) (int64, error)
	EndGrantsOf(ctx context.Context, user iam.UserID, client iam.ClientID, event iam.Event) (int64, error)
	EndClientGrants(ctx context.Context, client iam.ClientID, events ...iam.Event) error
}

// passwords are the rules and the hash.
type passwords interface {
	Check(password string, context ...string) error
	Hash(ctx context.Context, password string) (string, error)
	Import(hash string) (stored, scheme string, err error)
}

// Config of a Service; every field but Now is required.
type Config struct {
	APIs      apis
	Roles     roles
	Users     users
	Clients   clients
	Logins    logins
	Passwords passwords
	Now       func() time.Time
}

// Service is safe for concurrent use. Every method takes the actor, who is
// named in the journal.
type Service struct {
	apis      apis
	roles     roles
	users     users
	clients   clients
	logins    logins
	passwords passwords
}

func New(c Config) (*Service, error) {
	if c.APIs == nil || c.Roles == nil || c.Users == nil || c.Clients == nil || c.Logins == nil || c.Passwords == nil {
		return nil, errors.New("directory: APIs, Roles, Users, Clients, Logins and Passwords are required")
	}
	return &Service{apis: c.APIs, roles: c.Roles, users: c.Users, clients: c.Clients, logins: c.Logins, passwords: c.Passwords}, nil
}

// attempts bounds how often an edit is made again on a row that somebody else
// changed meanwhile.
const attempts = 5

// retry runs a read-change-write until nobody interferes.
func retry(edit func() error) error {
	var err error
	for range attempts {
		if err = edit(); !errors.Is(err, iam.ErrConflict) {
			return err
		}
	}
	return err
}

// event names what was done to what; never a secret.
func event(actor, kind, subject string) iam.Event {
	return iam.Event{ID: iam.NewEventID(), Kind: kind, Actor: actor, Subject: subject}
}

func userEvent(actor, kind string, u iam.User) iam.Event {
	e := event(actor, kind, u.Username)
	e.UserID = u.ID
	return e
}

func clientEvent(actor, kind string, id iam.ClientID) iam.Event {
	e := event(actor, kind, string(id))
	e.ClientID = id
	return e
}

// Switch enables or disables.
type Switch bool

const (
	Enabled  Switch = true
	Disabled Switch = false
)

func (s Switch) kind(noun string) string {
	if s == Enabled {
		return noun + ".enabled"
	}
	return noun + ".disabled"
}

// missing names the noun that was looked for.
func missing(err error, noun, name string) error {
	if errors.Is(err, iam.ErrNotFound) {
		return &NotFound{Noun: noun, Name: name}
	}
	if errors.Is(err, iam.ErrExists) {
		return &Exists{Noun: noun, Name: name}
	}
	return err
}

// NotFound says that there is no such thing.
type NotFound struct{ Noun, Name string }

func (e *NotFound) Error() string {
	return "there is no " + e.Noun + " " + iam.Printable(e.Name, 64)
}

func (e *NotFound) Is(target error) bool { return target == iam.ErrNotFound }

// Exists says that the name is taken.
type Exists struct{ Noun, Name string }

func (e *Exists) Error() string {
	return "the " + e.Noun + " " + iam.Printable(e.Name, 64) + " exists already, or another one uses the same audience"
}

func (e *Exists) Is(target error) bool { return target == iam.ErrExists }
