package login

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
)

// users is where accounts are found, and where what happened is recorded.
type users interface {
	UserByName(ctx context.Context, username string) (iam.User, error)
	KnownNetwork(ctx context.Context, username, network string) (bool, error)
	RecordLogin(ctx context.Context, u iam.User, network string, events ...iam.Event) error
	Record(ctx context.Context, events ...iam.Event) error
	RenewHash(ctx context.Context, u iam.User, hash string, events ...iam.Event) error
}

// changes is where a password is replaced.
type changes interface {
	ChangePassword(ctx context.Context, u iam.User, hash, network string, events ...iam.Event) error
}

// Config of a Service; every field but Now is required.
type Config struct {
	Users     users
	Changes   changes
	Passwords *Passwords
	Throttle  *throttle.Throttle
	Now       func() time.Time
}

// Service is the one login decision, for the challenge endpoint and the pages
// alike: they count on the same counters and get the same refusals.
type Service struct {
	users     users
	changes   changes
	passwords *Passwords
	throttle  *throttle.Throttle
	journal   *journal
	now       func() time.Time
}

func New(config Config) (*Service, error) {
	if config.Users == nil || config.Changes == nil || config.Passwords == nil || config.Throttle == nil {
		return nil, errors.New("login: Users, Changes, Passwords and Throttle are required")
	}
	s := &Service{users: config.Users, changes: config.Changes, passwords: config.Passwords, throttle: config.Throttle, now: config.Now}
	if s.now == nil {
		s.now = time.Now
	}
	s.journal = newJournal(s.users, s.now)
	return s, nil
}

// ErrDenied is the one refusal of a login, whatever the reason: wrong
// password, no such user, disabled. The reason is in the journal.
var ErrDenied = errors.New("that username and password don't match")

// Throttled says that an attempt came too early. It is the same for accounts
// that exist and those that don't.
type Throttled struct {
	Wait  time.Duration
	Scope throttle.Scope // for the log, never for the client
}

func (e *Throttled) Error() string {
	return fmt.Sprintf("too many attempts by %s: wait %s", e.Scope, e.Wait.Round(time.Second))
}

// Sentence is what a person is told.
func (e *Throttled) Sentence() string {
	n, unit := int64((e.Wait+time.Second-1)/time.Second), "second"
	if n > 90 {
		n, unit = (n+59)/60, "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("Too many attempts. Try again in %d %s.", n, unit)
}

// Attempt is what somebody typed, and where.
type Attempt struct {
	Username string
	Password string
	Address  netip.Addr   // of the client; the zero Addr when nobody knows
	Client   iam.ClientID // the app that asks, empty for a page of ours
}

// String hides what was typed: people type passwords into the wrong field.
func (a Attempt) String() string   { return "login attempt from " + a.Address.String() }
func (a Attempt) GoString() string { return a.String() }

// Login is a successful login.
type Login struct {
	User iam.User
	At   time.Time
	ACR  string
	AMR  []string
}

// Password decides a login with username and password: *Throttled before any
// hash is computed, ErrBusy, ErrDenied, or a Login. Every attempt that is not
// throttled costs exactly one hash operation to verify, so that neither time
// nor traffic tells whether the account exists.
func (s *Service) Password(ctx context.Context, a Attempt) (Login, error) {
	t, err := s.verify(ctx, a)
	if err != nil {
		return Login{}, err
	}
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventLoginSucceeded, Actor: string(t.user.ID), UserID: t.user.ID, ClientID: a.Client,
		Detail: map[string]string{"acr": iam.ACRPassword, "network": t.network}}
	if t.verdict.cut {
		event.Detail["password"] = "compared by its first 72 bytes: bcrypt reads no more"
	}
	if err := s.users.RecordLogin(ctx, t.user, t.network, event); errors.Is(err, iam.ErrConflict) {
		// The password was changed, or the user disabled, while we looked.
		return Login{}, s.deny(ctx, t, "changed meanwhile")
	} else if err != nil {
		return Login{}, fmt.Errorf("record login: %w", err)
	}
	t.counted.Succeed()
	if t.verdict.renew {
		t.user = s.renew(ctx, t, a.Password)
	}
	return Login{User: t.user, At: s.now(), ACR: iam.ACRPassword, AMR: []string{"pwd"}}, nil
}

// trial is an attempt under way.
type trial struct {
	Attempt
	account string // what the attempt is counted by
	network string // as it is stored
	counted *throttle.Attempt
	user    iam.User // the zero User when there is none
	verdict verdict
}

// verify tells whether the password is right and may be used. Who is refused
// has been counted.
func (s *Service) verify(ctx context.Context, a Attempt) (*trial, error) {
	t := &trial{Attempt: a}
	canonical := s.identify(t)
	if err := s.admit(ctx, t, canonical); err != nil {
		return nil, err
	}
	found, err := s.try(ctx, t, canonical)
	if err != nil {
		t.counted.Refund() // nothing was learned
		return nil, err
	}
	if reason := refusal(found, t.verdict.match, t.user); reason != "" {
		return nil, s.deny(ctx, t, reason)
	}
	return t, nil
}

// identify sets what the attempt is counted by and returns the name to look
// up. Case and width make no other account (RFC 8265): all spellings of a name
// count together. What cannot be a name is counted as it was typed, so that it
// meets the same refusals.
func (s *Service) identify(t *trial) (canonical string) {
	if p := throttle.Network(t.Address); p.IsValid() {
		t.network = p.String()
	}
	if len(t.Username) <= maxTypedName {
		if name, err := iam.CanonicalUsername(t.Username); err == nil {
			t.account = name
			return name
		}
	}
	t.account = noName + t.Username
	return noName // a name nobody can have: the lookup is made all the same
}

const (
	maxTypedName = 1024
	noName       = "\x00"
)

// admit asks the throttle. Only when an account is attacked from everywhere
// does it matter whether this network is one that its owner uses.
func (s *Service) admit(ctx context.Context, t *trial, canonical string) error {
	network := throttle.Network(t.Address)
	counted, refused := s.throttle.Begin(t.account, network, throttle.Stranger)
	if refused != nil && refused.Scope == throttle.ByAccount {
		known, err := s.users.KnownNetwork(ctx, canonical, t.network)
		if err != nil {
			return fmt.Errorf("find known network: %w", err)
		}
		if known {
			if err := s.reportThrottled(ctx, t, canonical, refused); err != nil {
				return err
			}
			counted, refused = s.throttle.Begin(t.account, network, throttle.Known)
		}
	}
	if refused == nil {
		t.counted = counted
		return nil
	}
	if err := s.reportThrottled(ctx, t, canonical, refused); err != nil {
		return err
	}
	return &Throttled{Wait: refused.Wait, Scope: refused.Scope}
}

// try looks the account up and verifies the password, once.
func (s *Service) try(ctx context.Context, t *trial, canonical string) (found bool, err error) {
	if t.user, found, err = s.find(ctx, canonical); err != nil {
		return false, err
	}
	known, err := s.users.KnownNetwork(ctx, canonical, t.network)
	if err != nil {
		return false, fmt.Errorf("find known network: %w", err)
	}
	lane := strangerLane
	if known {
		lane = knownLane
	}
	password, hash := t.Password, t.user.PasswordHash
	if utf8.RuneCountInString(password) > MaxPasswordLength {
		password, hash = "", "" // one hash of a short input, which never matches
	}
	if t.verdict, err = s.passwords.verify(ctx, lane, hash, password); err != nil {
		return false, fmt.Errorf("verify password: %w", err)
	}
	return found, nil
}

func (s *Service) find(ctx context.Context, canonical string) (iam.User, bool, error) {
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

// renew replaces a hash of another system, or of older parameters, by one of
// ours. It ends no session: the password is the same. What goes wrong is tried
// again at the next login, for this one is decided.
func (s *Service) renew(ctx context.Context, t *trial, password string) iam.User {
	hash, err := s.passwords.Hash(ctx, password)
	if err != nil {
		return t.user
	}
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventPasswordRenewed, Actor: "system", UserID: t.user.ID, Subject: t.user.Username,
		Detail: map[string]string{"from": t.verdict.scheme}}
	if err := s.users.RenewHash(ctx, t.user, hash, event); err != nil {
		return t.user
	}
	t.user.PasswordHash = hash
	t.user.Version++
	return t.user
}
