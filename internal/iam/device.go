package iam

import (
	"crypto/rand"
	"math/big"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// DeviceCode is the grant type of RFC 8628 §3.4.
const DeviceCode = oauth.GrantDeviceCode

// Device flow (RFC 8628).
const (
	DeviceLife     = 10 * time.Minute
	DeviceInterval = 5 * time.Second // between two polls, and what slow_down adds
	DeviceCap      = 200             // pending requests of one client
)

// DeviceState is how far a device request has come.
type DeviceState string

const (
	DevicePending DeviceState = "pending"
	DeviceAllowed DeviceState = "allowed"
	DeviceDenied  DeviceState = "denied"
	DeviceSpent   DeviceState = "spent"
)

// Device is a request of a device that has no browser.
type Device struct {
	CodeHash string // SHA-256 of the device code, hex
	UserCode string // canonical, see CanonicalUserCode
	ClientID ClientID
	Scopes   []string
	Resource string
	State    DeviceState
	// Set when a user allowed it.
	UserID      UserID
	SessionID   SessionID
	AuthTime    time.Time
	ACR         string
	AMR         []string
	UserEpoch   int64
	ClientEpoch int64
	CreatedAt   time.Time
	Expires     time.Time
	// Network is where the request came from when nothing proved that it came
	// from the client, else empty.
	Network string
}

// userCodeLetters has no vowels, so that no word comes out, and nothing that is
// read as something else (RFC 8628 §6.1): 20^8 codes, 34 bits.
const userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

// NewUserCode draws a code for a person to type, such as "WDJB-MJHT".
func NewUserCode() string {
	var b strings.Builder
	for i := range 8 {
		if i == 4 {
			b.WriteByte('-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters))))
		if err != nil {
			panic(err) // crypto/rand never fails on a supported system
		}
		b.WriteByte(userCodeLetters[n.Int64()])
	}
	return b.String()
}

// CanonicalUserCode reads what a person typed: any case, with or without the
// dash, with spaces. False: it cannot be a code.
func CanonicalUserCode(typed string) (string, bool) {
	if len(typed) > 32 {
		return "", false
	}
	var letters []byte
	for _, r := range strings.ToUpper(typed) {
		switch {
		case r == '-' || r == ' ':
		case strings.ContainsRune(userCodeLetters, r):
			letters = append(letters, byte(r))
		default:
			return "", false
		}
	}
	if len(letters) != 8 {
		return "", false
	}
	return string(letters[:4]) + "-" + string(letters[4:]), true
}

// DevicePoll is what the token endpoint asks of the store for a device code,
// in one transaction.
type DevicePoll struct {
	CodeHash string
	Client   ClientID
}

// DeviceOutcome is what became of a poll.
type DeviceOutcome int

const (
	DeviceWaits   DeviceOutcome = iota + 1 // authorization_pending
	DeviceTooFast                          // slow_down: the interval grew
	DeviceRefused                          // access_denied
	DeviceExpired                          // expired_token: too late, unknown, used, or another client's
	DeviceReady                            // the user allowed it; the row is as read
)

// DeviceRedemption asks the store to spend an allowed device code and make its
// grant, in one transaction. What C10 says of codes holds here too.
type DeviceRedemption struct {
	CodeHash string
	Redemption
}

// Pushed authorization requests (RFC 9126).
const (
	PushedLife = 60 * time.Second
	PushedCap  = 1000 // waiting requests of one client
)
