package iam

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Typed identifiers, so that a user id cannot be passed where a grant id is
// meant. Random ids carry 130 bits and are never reused (C1).
type (
	UserID    string // usr_…, the `sub` of a user
	ClientID  string // chosen by the administrator, the `sub` of a service account
	SessionID string // ses_…, the `sid` claim; public, never the cookie value
	GrantID   string // gr_…, the `gid` claim
	CodeID    string // names a sealed authorization code in the spent table
	TokenID   string // the `jti` claim
	KeyID     string // RFC 7638 thumbprint, or key_… for symmetric keys
	EventID   string // evt_…
)

func NewUserID() UserID       { return UserID("usr_" + random()) }
func NewSessionID() SessionID { return SessionID("ses_" + random()) }
func NewGrantID() GrantID     { return GrantID("gr_" + random()) }
func NewCodeID() CodeID       { return CodeID(random()) }
func NewTokenID() TokenID     { return TokenID(random()) }
func NewEventID() EventID     { return EventID("evt_" + random()) }

// NewEventIDAt is NewEventID for events that come in their thousands: ids of
// one time stand beside each other in the index of the journal, where random
// ones would each touch a page of their own. 80 bits are random.
func NewEventIDAt(at time.Time) EventID {
	return EventID(fmt.Sprintf("evt_%010s%s", strconv.FormatInt(max(0, at.UnixMilli()), 32), random()[:16]))
}

// NewSecretKeyID names a symmetric key. It is random rather than a thumbprint,
// so that the id of a secret says nothing about the secret.
func NewSecretKeyID() KeyID { return KeyID("key_" + random()) }

func random() string { return strings.ToLower(rand.Text()) }

// reservedPrefixes begin the ids that Gatehouse draws itself. A client id that
// begins with one of them could collide with a user's `sub` (RFC 9700 §4.15).
var reservedPrefixes = []string{"usr_", "ses_", "gr_", "key_", "evt_", "gatehouse"}

// CheckClientID reports why id cannot name a client (C1).
func CheckClientID(id ClientID) error {
	if err := checkName("client id", string(id)); err != nil {
		return err
	}
	for _, p := range reservedPrefixes {
		if strings.HasPrefix(strings.ToLower(string(id)), p) {
			return Invalidf("The client id %q begins with %q, which Gatehouse keeps for ids of its own. Choose another name.", id, p)
		}
	}
	return nil
}

// CheckName reports why name cannot name a role or an API.
func CheckName(kind, name string) error { return checkName(kind+" name", name) }

func checkName(kind, name string) error {
	if name == "" {
		return Invalidf("The %s is empty.", kind)
	}
	if len(name) > 64 {
		return Invalidf("The %s is %d characters long; at most 64 are allowed.", kind, len(name))
	}
	for i, r := range name {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("-_.", r)) {
			return Invalidf("The %s %q may hold letters, digits, '-', '_' and '.', and begins with a letter or a digit.", kind, name)
		}
	}
	return nil
}

// Invalid is a value that an administrator gave and that cannot be accepted.
// Its text is a whole sentence for a person and says how to satisfy the rule.
type Invalid struct{ Reason string }

func (e *Invalid) Error() string { return e.Reason }

// Invalidf makes an *Invalid from a sentence.
func Invalidf(format string, args ...any) error {
	return &Invalid{Reason: fmt.Sprintf(format, args...)}
}
