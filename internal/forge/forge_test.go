package forge_test

import (
	"errors"
	"slices"
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
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.ES384, jose.RS256, jose.PS256, jose.EdDSA} {
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

// reasons are what each row may be refused for. A token that is refused for
// another reason does not show what its row is about.
var reasons = map[string][]error{
	"T01": {jose.ErrAlgorithm, jose.ErrMalformed},
	"T02": {jose.ErrAlgorithm, jose.ErrMalformed},
	"T03": {jose.ErrSignature, jose.ErrMalformed},
	"T04": {jose.ErrSignature},
	"T05": {jose.ErrAlgorithm},
	"T07": {jose.ErrAlgorithm},
	"T08": {jose.ErrAlgorithm},
	"T09": {jose.ErrSignature, jose.ErrUnknownKey},
	"T10": {jose.ErrAlgorithm},
	"T11": {jose.ErrAlgorithm},
	"T12": {jose.ErrSignature, jose.ErrAlgorithm},
	"T13": {jose.ErrSignature},
	"T14": {jose.ErrSignature},
	"T15": {jose.ErrSignature, jose.ErrAlgorithm},
	"T16": {jose.ErrSignature},
	"T17": {jose.ErrSignature},
	"T18": {jose.ErrAlgorithm, jose.ErrUnknownKey},
	"T20": {jose.ErrUnknownKey},
	"T21": {jose.ErrUnknownKey, jose.ErrMalformed},
	"T22": {jose.ErrUnknownKey, jose.ErrMalformed},
	"T23": {jose.ErrSignature},
	"T24": {jose.ErrSignature},
	"T25": {jose.ErrSignature, jose.ErrUnknownKey, jose.ErrAlgorithm},
	"T26": {jose.ErrSignature},
	"T27": {jose.ErrCritical},
	"T28": {jose.ErrCritical, jose.ErrMalformed},
	"T29": {jose.ErrMalformed},
	"T30": {jose.ErrSignature},
	"T31": {jose.ErrMalformed},
	"T32": {jose.ErrMalformed, jose.ErrIssuer},
	"T33": {jose.ErrMalformed},
	"T34": {jose.ErrMalformed},
	"T35": {jose.ErrMalformed},
	"T36": {jose.ErrMalformed},
	"T37": {jose.ErrMalformed},
	"T38": {jose.ErrMalformed, jose.ErrTooLarge},
	"T39": {jose.ErrMalformed, jose.ErrSignature},
	"T50": {jose.ErrClaim},
	"T51": {jose.ErrExpired},
	"T52": {jose.ErrClaim, jose.ErrExpired},
	"T53": {jose.ErrNotYet},
	"T54": {jose.ErrAudience, jose.ErrClaim},
	"T55": {jose.ErrIssuer, jose.ErrClaim},
	"T56": {jose.ErrType, jose.ErrMalformed},
	"T58": {jose.ErrClaim},
	"T63": {jose.ErrSignature, jose.ErrMalformed},
}

// genuine are the rows whose tokens are signed by the issuer's key: what
// refuses them is not the signature.
var genuine = []string{"T27", "T50", "T51", "T52", "T53", "T54", "T55", "T56", "T58", "C9"}

func check(t *testing.T, set jose.KeySet, valid string, forged []forge.Token) {
	names, raws := map[string]bool{}, map[string]string{}
	for _, f := range forged {
		if f.Raw == valid || raws[f.Raw] != "" {
			t.Errorf("%s is the same token as %q", f.Name, raws[f.Raw])
		}
		if names[f.Name] || f.Title == "" || f.Want == "" {
			t.Errorf("%s: its name is not the only one, or it has no title or reason", f.Name)
		}
		names[f.Name], raws[f.Raw] = true, f.Name
		err := accept(set, f.Raw)
		switch {
		case leftToGuard[f.Name] && err != nil:
			t.Errorf("%s %s is refused here already (%v): take it off the list", f.ID, f.Name, err)
		case leftToGuard[f.Name]:
		case err == nil:
			t.Errorf("%s %s was accepted: %s", f.ID, f.Name, f.Title)
		case !slices.ContainsFunc(reasons[f.ID], func(want error) bool { return errors.Is(err, want) }):
			t.Errorf("%s %s: refused for another reason: %v", f.ID, f.Name, err)
		}
		if slices.Contains(genuine, f.ID) && errors.Is(err, jose.ErrSignature) {
			t.Errorf("%s %s: it is not signed by the issuer's key", f.ID, f.Name)
		}
	}
	for name := range leftToGuard {
		if !names[name] {
			t.Errorf("%s is on the list of the guard's and was not made", name)
		}
	}
	for _, name := range []string{"alg-none", "hs256-public-key", "wrong-audience", "expired"} {
		if !names[name] {
			t.Errorf("%s is missing", name)
		}
	}
	if len(forged) < 340 {
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

// Without the issuer's public key there is less to misuse, and no fault.
func TestAllWithoutKeys(t *testing.T) {
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	valid, err := signer.Sign("at+jwt", map[string]any{"iss": issuer, "aud": audience, "exp": now.Unix() + 600})
	if err != nil {
		t.Fatal(err)
	}
	forged, err := forge.All(forge.Source{Valid: valid, Issuer: issuer, Audience: audience, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range forged {
		if f.ID == "T05" {
			t.Errorf("%s: no key was known", f.Name)
		}
	}
}

func TestAllRefusesAnIncompleteSource(t *testing.T) {
	for name, s := range map[string]forge.Source{
		"no token":    {Issuer: issuer, Audience: audience, Now: now},
		"no issuer":   {Valid: "e30.e30.", Audience: audience, Now: now},
		"not a token": {Valid: "e30.e30", Issuer: issuer, Audience: audience, Now: now},
	} {
		if forged, err := forge.All(s); err == nil || forged != nil {
			t.Errorf("%s: %d tokens, error %v", name, len(forged), err)
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
	return jose.Expect{Type: "at+jwt", Issuer: issuer, Audience: audience, Now: now, Leeway: 30 * time.Second}.Check(token, claims)
}
