package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
)

// refreshes returns what rotates one refresh token a connection, over HTTP,
// durably.
func refreshes(d dev) (func(*http.Client) error, error) {
	const verifier = "a-code-verifier-that-is-long-enough-for-RFC-7636"
	challenge := sha256.Sum256([]byte(verifier))
	app := d.Clients[0].ID
	tokens := make(chan string, connections)
	for range connections {
		var code struct {
			Code string `json:"authorization_code"`
		}
		login := url.Values{"client_id": {app}, "username": {d.Users[0].Username}, "password": {d.Users[0].Password}, "scope": {"orders:read offline_access"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}
		if err := postJSON(http.DefaultClient, d.Issuer+"/oauth/authorize-challenge", login, &code); err != nil {
			return nil, err
		}
		var answer struct {
			Refresh string `json:"refresh_token"`
		}
		redeem := url.Values{"grant_type": {"authorization_code"}, "client_id": {app}, "code": {code.Code}, "code_verifier": {verifier}}
		if err := postJSON(http.DefaultClient, d.Issuer+"/oauth/token", redeem, &answer); err != nil {
			return nil, err
		}
		if answer.Refresh == "" {
			return nil, fmt.Errorf("no refresh token")
		}
		tokens <- answer.Refresh
	}
	return func(c *http.Client) error {
		var answer struct {
			Refresh string `json:"refresh_token"`
		}
		err := postJSON(c, d.Issuer+"/oauth/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {app}, "refresh_token": {<-tokens}}, &answer)
		tokens <- answer.Refresh
		return err
	}, nil
}
