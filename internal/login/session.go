package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// sessions is where browser sessions are kept; *store.DB satisfies it.
type sessions interface {
	User(ctx context.Context, id iam.UserID) (iam.User, error)
	SessionByCookie(ctx context.Context, cookieHash string) (iam.Session, error)
	BeginSession(ctx context.Context, n iam.NewSession) (iam.Session, error)
	SlideSession(ctx context.Context, id iam.SessionID) error
	EndSession(ctx context.Context, id iam.SessionID, user iam.UserID, event iam.Event) (bool, error)
}

// Sessions are the single sign-on sessions of browsers. A session is known by
// a random cookie, of which only a hash is stored.
type Sessions struct {
	store sessions
	now   func() time.Time
}

// NewSessions makes Sessions over a store.
func NewSessions(store sessions, now func() time.Time) (*Sessions, error) {
	if store == nil {
		return nil, errors.New("login: sessions need a store")
	}
	if now == nil {
		now = time.Now
	}
	return &Sessions{store: store, now: now}, nil
}

// Visit is a browser with a live session and the user behind it.
type Visit struct {
	Session iam.Session
	User    iam.User
}

// SignedIn tells whether there is one.
func (v Visit) SignedIn() bool { return v.Session.ID != "" }

// maxAgent bounds what is kept of a browser's description of itself.
const maxAgent = 256

// Begin makes a session after a login that was right, or renews the one that
// the browser has, and returns the cookie's new value (256 bits). The old value
// is worth nothing afterwards. iam.ErrConflict: the user ended meanwhile.
func (s *Sessions) Begin(ctx context.Context, login Login, had Visit, agent string) (Visit, string, error) {
	cookie := rand.Text() + rand.Text()
	now := s.now()
	session, err := s.store.BeginSession(ctx, iam.NewSession{
		Session: iam.Session{
			ID: iam.NewSessionID(), UserID: login.User.ID, AuthTime: login.At, ACR: login.ACR, AMR: login.AMR, CreatedAt: now,
			IdleExpires: now.Add(iam.SessionIdle), Expires: now.Add(iam.SessionAbsolute), CookieHash: cookieHash(cookie), Agent: iam.Printable(agent, maxAgent),
		},
		Replaces: had.Session.ID, UserEpoch: login.User.Epoch,
		Event: iam.Event{ID: iam.NewEventID(), Actor: string(login.User.ID), UserID: login.User.ID},
	})
	if err != nil {
		return Visit{}, "", fmt.Errorf("begin session: %w", err)
	}
	return Visit{Session: session, User: login.User}, cookie, nil
}

// Again gives a visitor a new session after the password was changed there: the
// old one ended with all others, and its cookie must be worth nothing (C14).
func (s *Sessions) Again(ctx context.Context, v Visit, agent string) (cookie string, err error) {
	user, err := s.store.User(ctx, v.User.ID)
	if err != nil {
		return "", fmt.Errorf("read user: %w", err)
	}
	_, cookie, err = s.Begin(ctx, Login{User: user, At: s.now(), ACR: iam.ACRPassword, AMR: []string{"pwd"}}, Visit{}, agent)
	return cookie, err
}

// Find returns the visit that a cookie stands for; the zero Visit for a cookie
// that is unknown, too old, or of a user who was disabled.
func (s *Sessions) Find(ctx context.Context, cookie string) (Visit, error) {
	if cookie == "" || len(cookie) > 128 {
		return Visit{}, nil
	}
	session, err := s.store.SessionByCookie(ctx, cookieHash(cookie))
	if errors.Is(err, iam.ErrNotFound) {
		return Visit{}, nil
	}
	if err != nil {
		return Visit{}, fmt.Errorf("read session: %w", err)
	}
	user, err := s.store.User(ctx, session.UserID)
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		return Visit{}, nil
	}
	if err != nil {
		return Visit{}, fmt.Errorf("read user: %w", err)
	}
	if session.Slides(s.now()) {
		if err := s.store.SlideSession(ctx, session.ID); err != nil {
			return Visit{}, fmt.Errorf("extend session: %w", err)
		}
	}
	return Visit{Session: session, User: user}, nil
}

// End ends a session of the visitor: its own, or another one.
func (s *Sessions) End(ctx context.Context, v Visit, id iam.SessionID) error {
	_, err := s.store.EndSession(ctx, id, v.User.ID, iam.Event{ID: iam.NewEventID(), Kind: iam.EventSessionEnded, Actor: string(v.User.ID), UserID: v.User.ID})
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

func cookieHash(cookie string) string {
	d := sha256.Sum256([]byte(cookie))
	return hex.EncodeToString(d[:])
}
