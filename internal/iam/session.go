package iam

import "time"

// NewSession asks the store to begin a browser session, or to renew one.
type NewSession struct {
	Session Session
	// Replaces is the session that the browser had. Of the same user, it stays
	// and gets the new cookie and time of login; of another user, it ends.
	Replaces SessionID
	// UserEpoch is the epoch at which the password was right: a user who was
	// disabled, or changed the password, meanwhile gets no session.
	UserEpoch int64
	Event     Event
}

// Slide is how much of the idle time must have passed before a visit extends
// it: not each visit is worth a write.
const Slide = 5 * time.Minute

// Slides tells whether a visit now extends the idle time by more than Slide; near
// its absolute end a session cannot be extended at all.
func (s Session) Slides(now time.Time) bool {
	idle := now.Add(SessionIdle)
	if idle.After(s.Expires) {
		idle = s.Expires
	}
	return idle.Sub(s.IdleExpires) > Slide
}

// LogoutDelivery is a logout token that a client has yet to be told
// (OpenID Connect Back-Channel Logout).
type LogoutDelivery struct {
	ID        string
	ClientID  ClientID
	UserID    UserID
	SessionID SessionID
	Attempts  int
	Expires   time.Time
}

// SessionApp is an application that was reached through a session.
type SessionApp struct {
	ClientID ClientID
	LastUsed time.Time
}
