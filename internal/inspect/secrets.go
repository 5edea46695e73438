package inspect

import (
	_ "embed"
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// published are secrets of guides, samples and default configurations, one a
// line, the most usual first.
//
//go:embed published.txt
var published string

var hmacMethods = map[string]*jwt.SigningMethodHMAC{"HS256": jwt.SigningMethodHS256, "HS384": jwt.SigningMethodHS384, "HS512": jwt.SigningMethodHS512}

// fits tells whether an HMAC was made with a secret.
func (t *parsed) fits(secret []byte) bool {
	method := hmacMethods[t.header.str("alg")]
	return method != nil && method.Verify(t.signed, t.signature.bytes, secret) == nil
}

// guess is what came of trying the published secrets.
type guess struct {
	secret string
	fits   bool
}

// guessed is the published secret that the token is signed with; ok is false
// where none fits. They are tried once, and on no text that is too large to be
// a token: hundreds of hashes of it would be work that a sender could buy.
func (t *parsed) guessed() (secret string, ok bool) {
	if t.guess == nil {
		t.guess = &guess{}
		t.guess.secret, t.guess.fits = t.tryPublished()
	}
	return t.guess.secret, t.guess.fits
}

func (t *parsed) tryPublished() (secret string, ok bool) {
	if hmacMethods[t.header.str("alg")] == nil || len(t.signature.bytes) == 0 || len(t.compact) > jose.MaxTokenBytes {
		return "", false
	}
	if t.fits(nil) {
		return "", true
	}
	for word := range strings.Lines(published) {
		word = strings.TrimSuffix(word, "\n")
		if word == "" {
			continue
		}
		if t.fits([]byte(word)) || t.fits([]byte(base64.StdEncoding.EncodeToString([]byte(word)))) {
			return word, true
		}
		if decoded, err := base64.StdEncoding.DecodeString(word); err == nil && len(decoded) > 0 && t.fits(decoded) {
			return word + " (decoded)", true
		}
	}
	return "", false
}

var (
	mailPattern   = regexp.MustCompile(`[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}`)
	secretPattern = regexp.MustCompile(`^(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|sk_live_[A-Za-z0-9]{8,}|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_\-]{30,}|ghs_[A-Za-z0-9_\-]{20,})`)
	cardPattern   = regexp.MustCompile(`^[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{1,7}$`)
)

func looksLikeMail(s string) bool { return mailPattern.FindString(s) == s && s != "" }

func looksSecret(s string) bool {
	return secretPattern.MatchString(s) || strings.Contains(s, "PRIVATE KEY-----")
}

// looksLikeCard wants the digits of a payment card with their check digit.
func looksLikeCard(s string) bool {
	if !cardPattern.MatchString(s) {
		return false
	}
	sum, double := 0, false
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		digit := int(s[i] - '0')
		if double {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum, double = sum+digit, !double
	}
	return sum%10 == 0
}

// secretNames are names of values that open something.
var secretNames = []string{"password", "passwd", "pwd_hash", "password_hash", "passphrase", "secret", "client_secret", "api_key", "apikey", "private_key", "privatekey", "secret_key", "access_key", "credentials", "refresh_token", "access_token", "totp", "totp_secret", "otp_secret", "recovery_codes"}

func secretName(name string) bool {
	name = strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToLower(name))
	for _, s := range secretNames {
		if name == s || strings.HasSuffix(name, "_"+s) {
			return true
		}
	}
	return name == "pwd" || name == "pass"
}
