package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/gatehouse-auth/gatehouse/internal/relying"
)

// Bounds of what a web app remembers. It is in memory: a restart forgets it,
// and the issuer's session signs everybody in again without a password.
const (
	maxVisits   = 1000
	visitLife   = 12 * time.Hour
	attemptLife = 10 * time.Minute
	// endedLife is longer than a logout token lives: a session that ended while
	// its sign-in was under way must not begin afterwards.
	endedLife = 10 * time.Minute
)

// visit is one browser that is signed in.
type visit struct {
	who     relying.Identity
	profile relying.Profile
	began   time.Time

	mu     sync.Mutex // one refresh at a time: each makes the token before it old
	tokens *oauth2.Token
}

// access returns an access token that is good for a while, with force a new
// one. The error is the issuer's when the login has ended.
func (v *visit) access(ctx context.Context, party *relying.Party, force bool) (*oauth2.Token, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tokens.Valid() && !force {
		return v.tokens, nil
	}
	next, err := party.Refresh(ctx, v.tokens.RefreshToken)
	if err != nil {
		return nil, err
	}
	v.tokens = next
	return next, nil
}

// attempt is a sign-in under way in one browser.
type attempt struct {
	relying.Attempt
	browser key  // the browser that began it
	silent  bool // nobody may be asked anything
	began   time.Time
}

// key is the SHA-256 of a random cookie or state.
type key [sha256.Size]byte

func keyOf(text string) key { return sha256.Sum256([]byte(text)) }

// visits is the memory of a web app.
type visits struct {
	now func() time.Time

	mu       sync.Mutex
	signedIn map[key]*visit
	attempts map[key]attempt
	ended    map[string]time.Time // sids, and when we heard
}

func newVisits(now func() time.Time) *visits {
	return &visits{now: now, signedIn: map[key]*visit{}, attempts: map[key]attempt{}, ended: map[string]time.Time{}}
}

// begin remembers an attempt.
func (s *visits) begin(a attempt) {
	a.began = s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	makeRoom(s.attempts, func(a attempt) time.Time { return a.began })
	s.attempts[keyOf(a.State)] = a
}

// take returns an attempt once, to the browser that began it.
func (s *visits) take(state, browser string) (attempt, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, found := s.attempts[keyOf(state)]
	if !found || browser == "" || a.browser != keyOf(browser) {
		return attempt{}, false
	}
	delete(s.attempts, keyOf(state))
	return a, s.now().Sub(a.began) < attemptLife
}

// enter remembers a visit under a new cookie value; not ok when its session
// ended in the meantime.
func (s *visits) enter(v *visit) (cookie string, ok bool) {
	cookie = rand.Text()
	v.began = s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, over := s.ended[v.who.Session]; over && v.who.Session != "" {
		return "", false
	}
	makeRoom(s.signedIn, func(v *visit) time.Time { return v.began })
	s.signedIn[keyOf(cookie)] = v
	return cookie, true
}

// find returns the visit of a cookie, nil for none.
func (s *visits) find(cookie string) *visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.signedIn[keyOf(cookie)]
	if v == nil || s.now().Sub(v.began) > visitLife {
		return nil
	}
	return v
}

func (s *visits) leave(cookie string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.signedIn, keyOf(cookie))
}

// end ends the visits of a session, or all of a user when no session is named.
func (s *visits) end(session, subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.signedIn {
		if session != "" && v.who.Session == session || session == "" && v.who.Subject == subject {
			delete(s.signedIn, k)
		}
	}
	if session == "" {
		return
	}
	for sid, at := range s.ended {
		if s.now().Sub(at) > endedLife {
			delete(s.ended, sid)
		}
	}
	makeRoom(s.ended, func(at time.Time) time.Time { return at })
	s.ended[session] = s.now()
}

// makeRoom drops the oldest of a full memory.
func makeRoom[K comparable, V any](m map[K]V, since func(V) time.Time) {
	if len(m) < maxVisits {
		return
	}
	var oldest K
	var when time.Time
	for k, v := range m {
		if at := since(v); when.IsZero() || at.Before(when) {
			oldest, when = k, at
		}
	}
	delete(m, oldest)
}
