package iam

import (
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// User is a person who logs in.
type User struct {
	ID       UserID `json:"id"`
	Username string `json:"username"` // canonical, see CanonicalUsername
	Email    string `json:"email,omitempty"`
	// EmailVerified and PhoneVerified say that somebody proved to receive what
	// is sent there; only an administrator sets them.
	EmailVerified bool   `json:"email_verified,omitempty"`
	Name          string `json:"name,omitempty"`
	Phone         string `json:"phone,omitempty"` // E.164
	PhoneVerified bool   `json:"phone_verified,omitempty"`
	Address       string `json:"address,omitempty"` // as on a letter
	// Profile holds the other standard claims of OpenID Connect, by name.
	Profile map[string]string `json:"profile,omitempty"`
	Roles   []string          `json:"roles"`
	// Attributes are set by administrators; an API names those that become claims (C8).
	Attributes map[string]string `json:"attributes,omitempty"`
	// PasswordHash is a PHC string of ours, or until the next login a hash of
	// another system; empty for a user who cannot log in with a password.
	PasswordHash string    `json:"-"`
	Epoch        int64     `json:"epoch"` // counter of C16
	Disabled     bool      `json:"disabled"`
	Version      int64     `json:"-"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at,omitzero"`
}

// KnownNetworkLife is how long a network stays known after the last login of a
// user from it.
const KnownNetworkLife = 90 * 24 * time.Hour

// CanonicalUsername folds case and width by RFC 8265 §3.3, so that look-alikes
// of one name are one account and one lockout counter.
func CanonicalUsername(name string) (string, error) {
	canonical, err := precis.UsernameCaseMapped.String(name)
	if err != nil || canonical == "" || len(canonical) > 128 || hasReservedPrefix(canonical) {
		return "", Invalidf("The username %q cannot be used: 1 to 128 letters, digits and marks, no spaces, and none of Gatehouse's own id prefixes.", Printable(name, 64))
	}
	return canonical, nil
}

func hasReservedPrefix(name string) bool {
	return strings.HasPrefix(name, "usr_")
}

// Check reports the first reason why u cannot be stored.
func (u User) Check() error {
	canonical, err := CanonicalUsername(u.Username)
	if err != nil {
		return err
	}
	if canonical != u.Username {
		return Invalidf("The username %q is not in its canonical form %q.", u.Username, canonical)
	}
	if u.Email != "" && (strings.Count(u.Email, "@") != 1 || strings.ContainsAny(u.Email, " \t\r\n<>,;\"") || len(u.Email) > 254 ||
		strings.HasPrefix(u.Email, "@") || strings.HasSuffix(u.Email, "@")) {
		return Invalidf("%q is not an e-mail address such as ada@example.com.", Printable(u.Email, 64))
	}
	for name, value := range u.Attributes {
		if err := CheckClaimName(name); err != nil {
			return err
		}
		if len(value) > 256 || !utf8.ValidString(value) {
			return Invalidf("The attribute %q holds more than 256 bytes or is not UTF-8.", name)
		}
	}
	return u.checkPerson()
}

// Printable shortens s to max runes and replaces what a terminal would
// interpret, so that a hostile name cannot forge a line of output.
func Printable(s string, max int) string {
	var b strings.Builder
	for i, r := range []rune(strings.ToValidUTF8(s, "?")) {
		if i == max {
			b.WriteString("…")
			break
		}
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}
