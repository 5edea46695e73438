package iam

import "time"

// RevocationKind says what a revocation ends (C15).
type RevocationKind string

const (
	RevokeToken   RevocationKind = "jti"
	RevokeGrant   RevocationKind = "grant"
	RevokeSession RevocationKind = "sid"
	RevokeUser    RevocationKind = "user"   // by MinEpoch
	RevokeClient  RevocationKind = "client" // by MinEpoch
	RevokeKey     RevocationKind = "key"
	RevokeAll     RevocationKind = "all"
)

// Revocation is a row that verifiers must know until DropAfter.
type Revocation struct {
	Seq       int64          `json:"seq"`
	At        time.Time      `json:"at"`
	Kind      RevocationKind `json:"kind"`
	Subject   string         `json:"subject"`
	MinEpoch  int64          `json:"min_epoch,omitempty"`
	DropAfter time.Time      `json:"drop_after"`
}

// Ending says what an act on a user or a client ends, in its own transaction (C14, C16).
type Ending int

const (
	EndNothing    Ending = iota // a change that no token carries
	EndAccess                   // access tokens: the epoch moves. Roles given or taken
	EndEverything               // access tokens, grants and sessions. Disable, delete, password change
)

// ChangePressure is a change of nothing stored: processes tell each other that
// somebody guesses passwords.
const ChangePressure = "pressure"

// ChangeCanary is a change of nothing stored: a process tells the others how
// long a revocation took.
const ChangeCanary = "canary"

// Change is a row that tells servers beside the writer that something they may
// have in memory is new (C28).
type Change struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"` // api, role, user, client, clients, key, pressure, canary
	Subject string    `json:"subject"`
}
