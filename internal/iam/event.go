package iam

import "time"

// Event is a line of the journal. It is written in the transaction that does
// the deed: what cannot be recorded does not happen (map.md decision 9).
type Event struct {
	ID       EventID           `json:"id"`
	Seq      int64             `json:"seq"` // drawn by the store
	At       time.Time         `json:"at"`  // the store's clock
	Kind     string            `json:"kind"`
	Actor    string            `json:"actor"` // who did it: a client id, a user id, "cli:<system user>", "system"
	UserID   UserID            `json:"user_id,omitempty"`
	ClientID ClientID          `json:"client_id,omitempty"`
	GrantID  GrantID           `json:"grant_id,omitempty"`
	TokenID  TokenID           `json:"token_id,omitempty"`
	Subject  string            `json:"subject,omitempty"` // what it was done to, when none of the ids says it: a role, an API, a key
	Detail   map[string]string `json:"detail,omitempty"`  // never a secret
}

// Event kinds. A kind is a promise to readers of the journal: never renamed.
const (
	EventTokenIssued     = "token.issued"
	EventTokenRevoked    = "token.revoked"
	EventCodeRedeemed    = "code.redeemed"
	EventCodeReplayed    = "code.replayed"
	EventRefreshed       = "refresh.rotated"
	EventRefreshRepeated = "refresh.repeated"
	EventRefreshReused   = "refresh.reused"
	EventGrantRevoked    = "grant.revoked"
	EventLoginSucceeded  = "login.succeeded"
	EventLoginFailed     = "login.failed"
	EventSessionBegan    = "session.began"
	EventSessionRenewed  = "session.renewed"
	EventSessionEnded    = "session.ended"
	EventConsentGiven    = "consent.given"
	EventConsentRevoked  = "consent.revoked"
	EventDeviceAllowed   = "device.allowed"
	EventDeviceDenied    = "device.denied"
	EventDeviceRedeemed  = "device.redeemed"
	EventHandoff         = "handoff.issued"
	EventHandoffRedeemed = "handoff.redeemed"
	EventLogoutDelivered = "logout.delivered"
	EventLogoutGivenUp   = "logout.given_up"
	EventLoginThrottled  = "login.throttled"
	EventPasswordChanged = "user.password_changed"
	EventPasswordKept    = "user.password_change_refused" // the current one was right, the new one not allowed
	EventPasswordRenewed = "user.password_rehashed"
	EventUserImported    = "user.imported"
	EventKeyAdded        = "key.added"
	EventKeyRotated      = "key.rotated"
	EventKeyRetired      = "key.retired"
	EventKeyErased       = "key.erased"
	EventKEKRotated      = "kek.rotated"
	EventRoleTaken       = "role.taken"              // from a batch of many holders, before the role is deleted
	EventTimelineBegan   = "database.timeline_began" // PostgreSQL failed over or was restored
	// Directory events are noun + "." + act: user.created, role.edited, client.disabled, api.deleted …
)
