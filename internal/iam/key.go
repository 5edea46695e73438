package iam

import (
	"cmp"
	"slices"
	"time"
)

// Purpose says what a key is for; a key serves one purpose only (C23).
type Purpose string

const (
	TokenKeys   Purpose = "token"       // signs access tokens, published in the JWKS
	CodeKeys    Purpose = "code-seal"   // seals authorization codes
	RefreshKeys Purpose = "refresh-mac" // makes the mac of refresh tokens
	FormKeys    Purpose = "form"        // seals what a browser carries between two pages
	FeedKeys    Purpose = "feed"        // signs the revocation feed, published in a document of its own (C24)
	ACMEData    Purpose = "acme"        // not a key line: account and certificates of the server itself
)

// Signs tells whether keys of the purpose are key pairs: they sign, and their
// public halves are published.
func (p Purpose) Signs() bool { return p == TokenKeys || p == FeedKeys }

// Key is a stored key: metadata in the clear, the secret sealed.
type Key struct {
	ID         KeyID     `json:"id"`
	Purpose    Purpose   `json:"purpose"`
	Algorithm  string    `json:"algorithm"`
	Sealed     string    `json:"-"`                    // v1.kekId.nonce.ciphertext
	Public     []byte    `json:"-"`                    // public JWK of a key that signs
	CreatedAt  time.Time `json:"created_at"`           // published from here on
	ActivateAt time.Time `json:"activate_at,omitzero"` // zero: pending
	RemovedAt  time.Time `json:"removed_at,omitzero"`
}

// KeyState is derived from times, so that no job has to move keys along.
type KeyState string

const (
	Pending  KeyState = "pending"  // published, not yet used
	Active   KeyState = "active"   // signs
	Retiring KeyState = "retiring" // verifies until what it signed has expired
	Removed  KeyState = "removed"  // neither signs nor verifies
)

// Line is the keys of one purpose and algorithm.
type Line []Key

// LineOf picks the keys of one purpose and algorithm.
func LineOf(keys []Key, purpose Purpose, algorithm string) Line {
	return slices.DeleteFunc(slices.Clone(keys), func(k Key) bool {
		return k.Purpose != purpose || k.Algorithm != algorithm
	})
}

// Active is the key that signs at now: the one activated last. A key that was
// removed does not count. If the clock was set back to before any activation,
// the first key of the line signs: it is published, and a clock that is wrong
// must not make new keys.
func (l Line) Active(now time.Time) (Key, bool) {
	var active, first Key
	for _, k := range l {
		if k.ActivateAt.IsZero() || !k.RemovedAt.IsZero() {
			continue
		}
		if !k.ActivateAt.After(now) && (active.ID == "" || k.later(active)) {
			active = k
		}
		if first.ID == "" || first.later(k) {
			first = k
		}
	}
	if active.ID == "" {
		active = first
	}
	return active, active.ID != ""
}

func (k Key) later(other Key) bool {
	return cmp.Or(k.ActivateAt.Compare(other.ActivateAt), k.CreatedAt.Compare(other.CreatedAt), cmp.Compare(k.ID, other.ID)) > 0
}

// Pending is the published key that waits to be activated.
func (l Line) Pending() (Key, bool) {
	for _, k := range l {
		if k.ActivateAt.IsZero() && k.RemovedAt.IsZero() {
			return k, true
		}
	}
	return Key{}, false
}

// Planned tells whether a key will take over after now and before the time
// given. A plan beyond it was made by a clock that was wrong.
func (l Line) Planned(now, before time.Time) bool {
	return slices.ContainsFunc(l, func(k Key) bool {
		return k.RemovedAt.IsZero() && k.ActivateAt.After(now) && k.ActivateAt.Before(before)
	})
}

// Coming is the key that is planned to take over next after now.
func (l Line) Coming(now time.Time) (Key, bool) {
	var coming Key
	for _, k := range l {
		if k.RemovedAt.IsZero() && k.ActivateAt.After(now) && (coming.ID == "" || coming.later(k)) {
			coming = k
		}
	}
	return coming, coming.ID != ""
}

// State tells what k may do at now. A superseded key stays published for
// overlap after its successor took over, the longest life of what it signed.
func (l Line) State(k Key, now time.Time, overlap time.Duration) KeyState {
	if !k.RemovedAt.IsZero() {
		return Removed
	}
	active, _ := l.Active(now)
	if active.ID == k.ID {
		return Active
	}
	if k.ActivateAt.IsZero() || k.ActivateAt.After(now) {
		return Pending
	}
	if now.Before(l.supersededAt(k, now).Add(overlap)) {
		return Retiring
	}
	return Removed
}

// supersededAt is when the first later key took over from k.
func (l Line) supersededAt(k Key, now time.Time) time.Time {
	at := now
	for _, other := range l {
		if other.tookOver(now) && other.later(k) && other.ActivateAt.Before(at) {
			at = other.ActivateAt
		}
	}
	return at
}

// tookOver tells whether the key has ever been the active one: not if it was
// removed before its time came.
func (k Key) tookOver(now time.Time) bool {
	return !k.ActivateAt.IsZero() && !k.ActivateAt.After(now) && (k.RemovedAt.IsZero() || k.RemovedAt.After(k.ActivateAt))
}

// KeyRotation is one step in the life of a line, done in one transaction.
type KeyRotation struct {
	Activate   KeyID     // a pending or planned key, or "" for none
	ActivateAt time.Time // when it takes over
	PlannedAt  time.Time // of a planned key: when it was to take over so far
	Remove     KeyID     // emergency retire, or "" for none; writes a revocation of kind key
	Add        *Key      // the next pending key
}

// Sealed is any secret at rest: of a key, or of something else that names its
// purpose and id.
type Sealed struct {
	Purpose Purpose
	ID      KeyID
	Sealed  string
}

// Rewrapped is a secret with its next seal.
type Rewrapped struct {
	Sealed
	Next string
}
