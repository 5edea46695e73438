package oauth_test

import (
	"encoding/base64"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// An empty secret in a Basic header is none (RFC 6749 §2.3.1): the client is a
// public one, or is refused as one that did not prove who it is.
func TestC20BasicWithoutSecret(t *testing.T) {
	for _, tc := range []struct {
		name, pair, form, method string
	}{
		{"a secret", "agent:s", "", oauth.MethodBasic},
		{"no secret", "agent:", "", oauth.MethodNone},
		{"no secret, and its id in the form", "agent:", "client_id=agent", oauth.MethodNone},
		{"no secret, and another id in the form", "agent:", "client_id=other", ""},
		{"no secret, and one in the form", "agent:", "client_secret=s", ""},
		{"no colon", "agent", "", ""},
		{"no id", ":", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form, err := oauth.ParseForm(tc.form)
			if err != nil {
				t.Fatal(err)
			}
			c, err := oauth.ParseCredentials([]string{"Basic " + base64.StdEncoding.EncodeToString([]byte(tc.pair))}, form)
			if (err == nil) != (tc.method != "") || c.Method != tc.method {
				t.Errorf("method %q, %v; want %q", c.Method, err, tc.method)
			}
		})
	}
}
