package oidc_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/oidc"
)

var (
	came   = time.Unix(1_800_000_000, 0)
	own    = iam.Client{ID: "own", Type: iam.Confidential, FirstParty: true}
	theirs = iam.Client{ID: "theirs", Type: iam.Confidential}
	native = iam.Client{ID: "native", Type: iam.Public}
	ours   = iam.Client{ID: "ours", Type: iam.Public, FirstParty: true}
)

// before and after are seconds from the moment when the request came.
func session(seconds int) iam.Session {
	return iam.Session{ID: "ses_1", UserID: "usr_ada", AuthTime: came.Add(time.Duration(seconds) * time.Second), ACR: iam.ACRPassword}
}

func consent(seconds int, scopes ...string) iam.Consent {
	return iam.Consent{Scopes: scopes, At: came.Add(time.Duration(seconds) * time.Second)}
}

func age(seconds int64) *int64 { return &seconds }

func TestOIDC1Next(t *testing.T) {
	const web, loopback = "https://app.example.com/cb", "http://127.0.0.1:4711/cb"
	for _, tc := range []struct {
		name     string
		request  oauth.AuthorizeRequest
		standing oidc.Standing
		step     oidc.Step
		code     string
	}{
		{"nobody", oauth.AuthorizeRequest{}, oidc.Standing{Client: own}, oidc.StepLogin, ""},
		{"nobody, prompt=none", oauth.AuthorizeRequest{Prompt: []string{"none"}}, oidc.Standing{Client: own}, oidc.StepRefuse, "login_required"},
		{"signed in before", oauth.AuthorizeRequest{}, oidc.Standing{Client: own, Session: session(-60)}, oidc.StepAnswer, ""},
		{"signed in before, prompt=login", oauth.AuthorizeRequest{Prompt: []string{"login"}}, oidc.Standing{Client: own, Session: session(-1)}, oidc.StepLogin, ""},
		{"signed in for it, prompt=login: no loop", oauth.AuthorizeRequest{Prompt: []string{"login"}}, oidc.Standing{Client: own, Session: session(1)}, oidc.StepAnswer, ""},
		{"select_account", oauth.AuthorizeRequest{Prompt: []string{"select_account"}}, oidc.Standing{Client: own, Session: session(-1)}, oidc.StepLogin, ""},
		{"select_account, done", oauth.AuthorizeRequest{Prompt: []string{"select_account"}}, oidc.Standing{Client: own, Session: session(0)}, oidc.StepAnswer, ""},
		{"young enough", oauth.AuthorizeRequest{MaxAge: age(70)}, oidc.Standing{Client: own, Session: session(-60)}, oidc.StepAnswer, ""},
		{"exactly as old", oauth.AuthorizeRequest{MaxAge: age(70)}, oidc.Standing{Client: own, Session: session(-60), Now: came.Add(10 * time.Second)}, oidc.StepAnswer, ""},
		{"a second too old", oauth.AuthorizeRequest{MaxAge: age(69)}, oidc.Standing{Client: own, Session: session(-60), Now: came.Add(10 * time.Second)}, oidc.StepLogin, ""},
		{"max_age=0", oauth.AuthorizeRequest{MaxAge: age(0)}, oidc.Standing{Client: own, Session: session(-1)}, oidc.StepLogin, ""},
		{"max_age=0, done: no loop", oauth.AuthorizeRequest{MaxAge: age(0)}, oidc.Standing{Client: own, Session: session(1), Now: came.Add(time.Minute)}, oidc.StepAnswer, ""},
		{"max_age=0, prompt=none", oauth.AuthorizeRequest{MaxAge: age(0), Prompt: []string{"none"}}, oidc.Standing{Client: own, Session: session(-1)}, oidc.StepRefuse, "login_required"},
		{"the user of the hint", oauth.AuthorizeRequest{Subject: "usr_ada"}, oidc.Standing{Client: own, Session: session(-1)}, oidc.StepAnswer, ""},
		{"another user's hint", oauth.AuthorizeRequest{Subject: "usr_bob"}, oidc.Standing{Client: own, Session: session(-1)}, oidc.StepLogin, ""},
		{"another user signed in for it: no loop", oauth.AuthorizeRequest{Subject: "usr_bob"}, oidc.Standing{Client: own, Session: session(1)}, oidc.StepRefuse, "login_required"},
		{"another user's sub", oauth.AuthorizeRequest{Claims: oauth.ClaimsRequest{Subject: "usr_bob"}}, oidc.Standing{Client: own, Session: session(-1)}, oidc.StepLogin, ""},
		{"hint against sub", oauth.AuthorizeRequest{Subject: "usr_ada", Claims: oauth.ClaimsRequest{Subject: "usr_bob"}}, oidc.Standing{Client: own, Session: session(1)}, oidc.StepRefuse, "login_required"},
		{"strong enough", oauth.AuthorizeRequest{Claims: oauth.ClaimsRequest{ACR: []string{"phr", "pwd"}}}, oidc.Standing{Client: own, Session: session(-1)}, oidc.StepAnswer, ""},
		{"GO-2026-6117 fresh is not strong", oauth.AuthorizeRequest{Claims: oauth.ClaimsRequest{ACR: []string{"mfa"}}}, oidc.Standing{Client: own, Session: session(1)}, oidc.StepRefuse, "unmet_authentication_requirements"},
		{"an unknown strength", oauth.AuthorizeRequest{Claims: oauth.ClaimsRequest{ACR: []string{"gold"}}}, oidc.Standing{Client: own, Session: session(-1)}, oidc.StepRefuse, "unmet_authentication_requirements"},

		{"a third party", oauth.AuthorizeRequest{}, oidc.Standing{Client: theirs, Session: session(-1), Asks: []string{"openid"}}, oidc.StepConsent, ""},
		{"a third party, prompt=none", oauth.AuthorizeRequest{Prompt: []string{"none"}}, oidc.Standing{Client: theirs, Session: session(-1), Asks: []string{"openid"}}, oidc.StepRefuse, "consent_required"},
		{"allowed before", oauth.AuthorizeRequest{}, oidc.Standing{Client: theirs, Session: session(-1), Asks: []string{"openid"}, Consent: consent(-99, "openid", "email")}, oidc.StepAnswer, ""},
		{"less was allowed", oauth.AuthorizeRequest{}, oidc.Standing{Client: theirs, Session: session(-1), Asks: []string{"openid", "phone"}, Consent: consent(-99, "openid", "email")}, oidc.StepConsent, ""},
		{"asks for nothing, never allowed", oauth.AuthorizeRequest{}, oidc.Standing{Client: theirs, Session: session(-1)}, oidc.StepConsent, ""},
		{"prompt=consent", oauth.AuthorizeRequest{Prompt: []string{"consent"}}, oidc.Standing{Client: theirs, Session: session(-1), Asks: []string{"openid"}, Consent: consent(-1, "openid")}, oidc.StepConsent, ""},
		{"prompt=consent, done: no loop", oauth.AuthorizeRequest{Prompt: []string{"consent"}}, oidc.Standing{Client: theirs, Session: session(-1), Asks: []string{"openid"}, Consent: consent(1, "openid")}, oidc.StepAnswer, ""},
		{"prompt=consent of our own", oauth.AuthorizeRequest{Prompt: []string{"consent"}}, oidc.Standing{Client: own, Session: session(-1)}, oidc.StepConsent, ""},

		{"NAT a third party on loopback, allowed before", oauth.AuthorizeRequest{RedirectURI: loopback}, oidc.Standing{Client: native, Session: session(-1), Consent: consent(-1)}, oidc.StepConsent, ""},
		{"NAT a third party on loopback, signed in for it", oauth.AuthorizeRequest{RedirectURI: loopback}, oidc.Standing{Client: native, Session: session(1), Consent: consent(-1)}, oidc.StepConsent, ""},
		{"NAT a third party on loopback, allowed now", oauth.AuthorizeRequest{RedirectURI: loopback}, oidc.Standing{Client: native, Session: session(-1), Consent: consent(1)}, oidc.StepAnswer, ""},
		{"NAT our own on loopback, in silence", oauth.AuthorizeRequest{RedirectURI: loopback}, oidc.Standing{Client: ours, Session: session(-1)}, oidc.StepConsent, ""},
		{"NAT our own on loopback, prompt=none", oauth.AuthorizeRequest{RedirectURI: loopback, Prompt: []string{"none"}}, oidc.Standing{Client: ours, Session: session(-1)}, oidc.StepRefuse, "consent_required"},
		{"NAT our own on loopback, signed in for it", oauth.AuthorizeRequest{RedirectURI: loopback}, oidc.Standing{Client: ours, Session: session(1)}, oidc.StepAnswer, ""},
		{"NAT our own by a private-use scheme", oauth.AuthorizeRequest{RedirectURI: "com.example:/cb"}, oidc.Standing{Client: ours, Session: session(-1)}, oidc.StepConsent, ""},
		{"NAT our own at a claimed address", oauth.AuthorizeRequest{RedirectURI: web}, oidc.Standing{Client: ours, Session: session(-1)}, oidc.StepAnswer, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.request.RedirectURI == "" {
				tc.request.RedirectURI = web
			}
			if tc.standing.Since = came; tc.standing.Now.IsZero() {
				tc.standing.Now = came
			}
			step, _, refusal := oidc.Next(tc.request, tc.standing)
			code := ""
			if refusal != nil {
				code = refusal.Code
			}
			if step != tc.step || code != tc.code || (step == oidc.StepRefuse) != (refusal != nil) {
				t.Errorf("got step %d %q, want %d %q", step, code, tc.step, tc.code)
			}
			if step != oidc.StepAnswer && step != oidc.StepRefuse && tc.request.Asks("none") {
				t.Error("prompt=none shows a page")
			}
		})
	}
}
