package iam

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// SetupLife is how long a setup code is good for.
const SetupLife = time.Hour

// Administrator is the role of the first user. It is a role like any other:
// what it may do is what it is given.
const Administrator = "administrator"

// NewSetupCode draws the one-time code that makes the first administrator, in
// groups that can be typed.
func NewSetupCode() string {
	text := rand.Text()
	return strings.Join([]string{text[0:5], text[5:10], text[10:15], text[15:20], text[20:]}, "-")
}

// SetupCodeHash is what the store keeps of a setup code. Case, spaces and
// dashes do not count.
func SetupCodeHash(code string) string {
	sum := sha256.Sum256([]byte(strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code))))
	return hex.EncodeToString(sum[:])
}
