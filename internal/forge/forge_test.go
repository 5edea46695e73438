package forge_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
)

var now = time.Unix(1_800_000_000, 0)

// leftToGuard are refused by the acceptor of access tokens, not by the JOSE
// layer: claims that only an access token must have, and key binding.
var leftToGuard = map[string]bool{
	"sub-missing": true, "sub-empty": true, "client-id-missing": true, "client-id-empty": true, "client-id-number": true,
	"jti-missing": true, "jti-empty": true, "iat-missing": true, "scope-list": true, "scope-null": true, "scope-object": true,
	"roles-string": true, "roles-object": true, "roles-null": true, "roles-mixed": true, "roles-nested": true,
	"acr-list": true, "auth-time-string": true, "sid-number": true,
	"cnf-jkt": true, "cnf-x5t": true, "cnf-null": true, "cnf-empty": true,
}

func TestEveryForgedTokenIsRefused(t *testing.T) {
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.RS256, jose.EdDSA} {
		t.Run(string(algorithm), func(t *testing.T) {
			signer, err := jose.GenerateSigner(algorithm)
			if err != nil {
				t.Fatal(err)
			}
			valid, err := signer.Sign("at+jwt", map[string]any{
				"iss": issuer, "aud": audience, "sub": "usr_1", "client_id": "app", "jti": "1", "iat": now.Unix(), "exp": now.Unix() + 600,
				"scope": "orders:read", "roles": []string{"viewer"}, "acr": "pwd", "auth_time": now.Unix(),
			})
			if err != nil {
				t.Fatal(err)
			}
			set := jose.NewKeySet(signer.Key())
			if err := accept(set, valid); err != nil {
				t.Fatalf("the valid token: %v", err)
			}
			forged, err := forge.All(forge.Source{Valid: valid, Keys: set, Lab: signer, Issuer: issuer, Audience: audience, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			check(t, set, valid, forged)
			t.Logf("%d forged tokens", len(forged))
		})
	}
}

func check(t *testing.T, set jose.KeySet, valid string, forged []forge.Token) {
	names, raws := map[string]bool{}, map[string]string{}
	for _, f := range forged {
		if f.Raw == valid || raws[f.Raw] != "" {
			t.Errorf("%s is the same token as %q", f.Name, raws[f.Raw])
		}
		names[f.Name], raws[f.Raw] = true, f.Name
		err := accept(set, f.Raw)
		if leftToGuard[f.Name] && err != nil {
			t.Errorf("%s %s is refused here already (%v): take it off the list", f.ID, f.Name, err)
		}
		if !leftToGuard[f.Name] && err == nil {
			t.Errorf("%s %s was accepted: %s", f.ID, f.Name, f.Title)
		}
	}
	for _, name := range []string{"alg-none", "hs256-public-key", "wrong-audience", "expired"} {
		if !names[name] {
			t.Errorf("%s is missing", name)
		}
	}
	if len(forged) < 150 {
		t.Errorf("only %d forged tokens", len(forged))
	}
}

// Without the issuer's key nothing is signed with it.
func TestC9NothingIsSignedWithoutTheLab(t *testing.T) {
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	valid, err := signer.Sign("at+jwt", map[string]any{"iss": issuer, "aud": audience, "exp": now.Unix() + 600})
	if err != nil {
		t.Fatal(err)
	}
	forged, err := forge.All(forge.Source{Valid: valid, Keys: jose.NewKeySet(signer.Key()), Issuer: issuer, Audience: audience, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range forged {
		token, err := jose.Parse(f.Raw)
		if err == nil && token.Verify(signer.Key()) == nil {
			t.Errorf("%s carries a good signature", f.Name)
		}
	}
}

func accept(set jose.KeySet, raw string) error {
	token, err := jose.Parse(raw)
	if err != nil {
		return err
	}
	key, ok := set.Key(token.KeyID())
	if !ok {
		return jose.ErrUnknownKey
	}
	if err := token.Verify(key); err != nil {
		return err
	}
	claims, err := token.Claims()
	if err != nil {
		return err
	}
	if len(claims.Audience) == 0 {
		return errors.New("no audience")
	}
	return jose.Expect{Type: "at+jwt", Issuer: issuer, Audience: audience, Now: now, Leeway: 30 * time.Second}.Check(token, claims)
}
