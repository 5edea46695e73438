package oauth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// The sentence of a refusal says which claim is wrong.
func TestC20AssertionSentences(t *testing.T) {
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	for _, tc := range []struct {
		name  string
		claim string
		value any
		want  string
	}{
		{"good", "x", 1, ""},
		{"expires in five minutes", "exp", now.Add(5 * time.Minute).Unix(), ""},
		{"thirty seconds ahead", "iat", now.Add(30 * time.Second).Unix(), ""},
		{"aud as an array", "aud", []string{"https://auth.example.com"}, "aud must be the issuer https://auth.example.com, as one string"},
		{"aud is the endpoint", "aud", "https://auth.example.com/oauth/token", "aud must"},
		{"no aud", "aud", nil, "aud must"},
		{"no exp", "exp", nil, "exp is missing or has passed"},
		{"expires now", "exp", now.Unix(), "exp is missing or has passed"},
		{"expires too late", "exp", now.Add(5*time.Minute + time.Second).Unix(), "exp is more than 5 minutes ahead"},
		{"no jti", "jti", nil, "jti must be a new id"},
		{"iat ahead", "iat", now.Add(31 * time.Second).Unix(), "nbf or iat is in the future"},
		{"nbf ahead", "nbf", now.Add(31 * time.Second).Unix(), "nbf or iat is in the future"},
		{"iat old", "iat", now.Add(-6 * time.Minute).Unix(), "iat is more than 5 minutes ago"},
		{"iss is another", "iss", "other", "iss and sub must both be the client_id"},
		{"no sub", "sub", nil, "iss and sub must both be the client_id"},
		{"claims of the wrong type", "exp", "soon", "its claims are not well-formed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			claims := map[string]any{"iss": "c", "sub": "c", "aud": "https://auth.example.com", "jti": "1", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix()}
			if claims[tc.claim] = tc.value; tc.value == nil {
				delete(claims, tc.claim)
			}
			raw, err := signer.Sign("JWT", claims)
			if err != nil {
				t.Fatal(err)
			}
			a, err := oauth.ParseAssertion(raw)
			if err == nil {
				err = a.Check("https://auth.example.com", now)
			}
			var refusal *oauth.Error
			switch {
			case tc.want == "" && err != nil, tc.want != "" && err == nil:
				t.Errorf("got %v, want %q", err, tc.want)
			case tc.want != "" && (!errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidClient || !strings.Contains(refusal.Description, tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func FuzzParseAssertion(f *testing.F) {
	signer, err := jose.GenerateSigner(jose.EdDSA)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := signer.Sign("JWT", map[string]any{"iss": "c", "sub": "c", "aud": "i", "jti": "1", "exp": 1800000060})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := oauth.ParseAssertion(raw)
		if err != nil {
			var refusal *oauth.Error
			if !errors.As(err, &refusal) {
				t.Fatalf("a refusal without a code: %v", err)
			}
			return
		}
		now := time.Unix(1_800_000_000, 0)
		if a.Check("i", now) == nil && (a.ClientID() == "" || a.ID() == "" || !a.Expires().After(now) || a.Expires().Sub(now) > oauth.MaxAssertionLife) {
			t.Fatalf("accepted %q", raw)
		}
	})
}
