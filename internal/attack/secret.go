package attack

import (
	"bufio"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

//go:embed secrets.txt
var commonSecrets string

// guess finds the secret of a token that was signed with HMAC, offline: nothing
// is sent. It tries the embedded list, words that follow from the issuer, and
// what the caller adds. where says which list had it, never the secret.
func guess(raw string, more []string) (secret []byte, where string, tried int) {
	token, err := jose.Parse(raw)
	if err != nil || !strings.HasPrefix(string(token.Algorithm()), "HS") {
		return nil, "", 0
	}
	method := jwt.GetSigningMethod(string(token.Algorithm()))
	if method == nil {
		return nil, "", 0
	}
	at := strings.LastIndexByte(raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(raw[at+1:])
	if err != nil {
		return nil, "", 0
	}
	fits := func(secret []byte) bool {
		tried++
		return method.Verify(raw[:at], signature, secret) == nil
	}
	for i, word := range strings.Split(strings.TrimRight(commonSecrets, "\n"), "\n") {
		if key := []byte(word); fits(key) {
			return key, fmt.Sprintf("line %d of the embedded list", i+1), tried
		}
		if key, err := base64.StdEncoding.DecodeString(word); err == nil && len(key) > 0 && fits(key) {
			return key, fmt.Sprintf("line %d of the embedded list, decoded from base64", i+1), tried
		}
	}
	for _, v := range []struct{ where, secret string }{{"32 zero bytes", strings.Repeat("\x00", 32)}, {"one zero byte", "\x00"}} {
		if fits([]byte(v.secret)) {
			return []byte(v.secret), v.where, tried
		}
	}
	for _, word := range namesOf(token) {
		for _, spelled := range []string{word, strings.ToLower(word), word + "-secret", word + "_secret", word + "secret", word + "123", "secret-" + word} {
			if fits([]byte(spelled)) {
				return []byte(spelled), "a word that follows from the token's own claims", tried
			}
		}
	}
	for i, word := range more {
		if fits([]byte(word)) {
			return []byte(word), fmt.Sprintf("line %d of the --wordlist", i+1), tried
		}
	}
	return nil, "", tried
}

// namesOf are words in a token that people make secrets of.
func namesOf(token jose.Token) []string {
	var names []string
	claims := claimsOf(token)
	for _, claim := range []string{"iss", "aud", "client_id", "azp", "sub", "app", "name"} {
		value := text(claims[claim])
		if value == "" {
			continue
		}
		names = append(names, value)
		if u, err := url.Parse(value); err == nil && u.Hostname() != "" {
			names = append(names, u.Hostname(), strings.Split(u.Hostname(), ".")[0])
		}
	}
	return names
}

// ReadWordlist reads candidates, one a line.
func ReadWordlist(r io.Reader) ([]string, error) {
	var words []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		words = append(words, strings.TrimSuffix(lines.Text(), "\r"))
	}
	return words, lines.Err()
}
