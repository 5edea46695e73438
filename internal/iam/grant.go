package iam

import "time"

// Lifetimes of the contract (C10, C12, C13).
const (
	AccessTokenLife  = 10 * time.Minute
	CodeLife         = 60 * time.Second
	RefreshGrace     = 10 * time.Second
	GrantIdle        = 30 * 24 * time.Hour
	GrantAbsolute    = 90 * 24 * time.Hour
	SessionIdle      = 12 * time.Hour
	SessionAbsolute  = 30 * 24 * time.Hour
	RevocationLeeway = 60 * time.Second // the largest leeway a guard accepts (C15)
)

// Grant is the standing authorization of a client, for a user or for itself.
// It owns one refresh-token family: one row, one generation counter (C13).
type Grant struct {
	ID        GrantID   `json:"id"`
	UserID    UserID    `json:"user_id,omitempty"` // empty: the client acts for itself
	ClientID  ClientID  `json:"client_id"`
	SessionID SessionID `json:"session_id,omitempty"` // set: the grant ends with the session (C12)
	// Scopes are what was asked for and allowed at the time of the grant. Each
	// token computes what is granted anew from today's roles (C5).
	Scopes []string `json:"scopes"`
	// Resource is the audience that was asked for at the time of the grant, or empty.
	Resource string    `json:"resource,omitempty"`
	AuthTime time.Time `json:"auth_time,omitzero"`
	ACR      string    `json:"acr,omitempty"`
	AMR      []string  `json:"amr,omitempty"`
	// Claims is the `claims` parameter of the request (OpenID Connect Core §5.5).
	Claims string `json:"claims,omitempty"`
	// Gen is the generation of the current refresh token; 0: there is none.
	Gen          int64     `json:"gen"`
	MacKeyID     KeyID     `json:"-"` // the key that makes the current generation's mac
	RotatedAt    time.Time `json:"rotated_at,omitzero"`
	CreatedAt    time.Time `json:"created_at"`
	IdleExpires  time.Time `json:"idle_expires,omitzero"`
	Expires      time.Time `json:"expires,omitzero"`
	RevokedAt    time.Time `json:"revoked_at,omitzero"`
	RevokeReason string    `json:"revoke_reason,omitempty"`
	// Cnf is the key confirmation of a sender-constrained grant; always empty
	// until DPoP and mTLS are there (C9).
	Cnf string `json:"cnf,omitempty"`
}

// Live tells whether the grant may still produce tokens at now. A standing
// grant of a service account has no expiry.
func (g Grant) Live(now time.Time) bool {
	return g.RevokedAt.IsZero() && (g.Expires.IsZero() || now.Before(g.Expires)) && (g.IdleExpires.IsZero() || now.Before(g.IdleExpires))
}

// Session is a login of a user in one place, the `sid` of its tokens.
type Session struct {
	ID          SessionID `json:"id"`
	UserID      UserID    `json:"user_id"`
	AuthTime    time.Time `json:"auth_time"`
	ACR         string    `json:"acr"`
	AMR         []string  `json:"amr"`
	CreatedAt   time.Time `json:"created_at"`
	IdleExpires time.Time `json:"idle_expires"`
	Expires     time.Time `json:"expires"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	// CookieHash is the SHA-256 of the browser's cookie, hex; empty for a login
	// without a browser.
	CookieHash string    `json:"-"`
	Agent      string    `json:"agent,omitempty"` // the browser, as it calls itself
	SeenAt     time.Time `json:"seen_at,omitzero"`
}

// Live tells whether the session may still be used at now.
func (s Session) Live(now time.Time) bool {
	return s.EndedAt.IsZero() && now.Before(s.Expires) && now.Before(s.IdleExpires)
}

// Redemption asks the store to spend a code and make its grant, in one transaction (C10).
type Redemption struct {
	Code        CodeID
	CodeExpires time.Time // when the spent row may be dropped, with RevocationLeeway added by the store
	Grant       Grant     // id drawn by the caller before the transaction
	Session     *Session  // to be created with the grant, nil: none
	// Within is the browser session of the login, which must still be live, also
	// for a grant that will outlive it.
	Within SessionID
	// Consent is what the user was asked and must still allow, in the names of
	// Allowed. Asked: there is a consent at all, also to nothing in particular.
	Consent     []string
	Asked       bool
	UserEpoch   int64 // as sealed in the code
	ClientEpoch int64
	Event       Event // what is written when the code is redeemed; the store writes EventCodeReplayed on replay
}

// RedeemOutcome is what became of a Redemption.
type RedeemOutcome int

const (
	Redeemed      RedeemOutcome = iota + 1 // the grant exists, and this caller made it (also a retry of its own)
	CodeReplayed                           // another caller spent the code; that caller's grant is now revoked
	RedeemRefused                          // user, client or session ended, or an epoch moved; nothing was spent
)

// Turn asks the store to rotate a refresh token (C13). Every condition is part
// of one conditional statement; the clock is the store's (C26).
type Turn struct {
	Grant       GrantID
	Client      ClientID
	Gen         int64         // the generation presented
	MacKey      KeyID         // the key that made the mac of what was presented
	Grace       time.Duration // 0: none
	NextMacKey  KeyID         // the key for the successor's mac
	UserEpoch   int64         // as read when the new token's scopes were computed
	ClientEpoch int64
	Event       Event // the store sets its Kind by the outcome
}

// TurnOutcome is what became of a Turn.
type TurnOutcome int

const (
	Rotated      TurnOutcome = iota + 1 // Grant.Gen is the successor's generation
	Repeated                            // inside the grace: the same successor again
	Reused                              // outside the grace: the grant is now revoked
	GrantEnded                          // revoked, expired, session over, user or client disabled or gone, other client
	EpochChanged                        // the user or client changed since it was read: read again and retry
)
