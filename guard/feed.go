package guard

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
)

// marks are the fingerprints of a token under a salt.
type marks struct {
	salt feed.Salt
	*feed.Marks
}

// revoked refuses a token that the issuer took back, by its id, grant, session
// or key, or by an epoch of its user or client (C15, C16). Clocks play no part.
// It costs a few lookups, because the fingerprints are kept with the token.
func (g *Guard) revoked(v *verified) error {
	set := g.feed.Set()
	salt := set.Salt()
	if salt == (feed.Salt{}) {
		return nil // no feed, or nothing of it yet
	}
	if v.fault != nil {
		return v.fault
	}
	m := v.marks.Load()
	if m == nil || m.salt != salt {
		m = &marks{salt: salt, Marks: set.Marks(v.subject)}
		v.marks.Store(m)
	}
	if kind, dead := set.Revoked(m.Marks); dead {
		return fmt.Errorf("%w: by its %s", errRevoked, kind)
	}
	return nil
}

// FeedAge is how long ago the issuer last said that all its revocations are
// known here; of a guard made by Any, the longest. A healthy feed keeps it below
// 2 seconds. Above 5 it is stale, and routes do as their OnStale says. False:
// there is no feed, or it has never been heard.
func (g *Guard) FeedAge() (age time.Duration, heard bool) {
	if !g.usable() {
		return 0, false
	}
	for _, member := range g.each() {
		if a, ok := member.feed.Age(); ok {
			age, heard = max(age, a), true
		}
	}
	return age, heard
}

// mayAsk tells whether the issuer can be asked about the tokens of every feed.
func (g *Guard) mayAsk() bool {
	for _, member := range g.each() {
		if member.form.feeds && !member.feed.CanAsk() {
			return false
		}
	}
	return true
}
