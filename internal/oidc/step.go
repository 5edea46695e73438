package oidc

import (
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// Step is what an authorization request needs before it can be answered.
type Step int

const (
	StepAnswer  Step = iota + 1 // nothing: a code may be issued
	StepLogin                   // the user signs in, or signs in again
	StepConsent                 // the user is asked
	StepRefuse                  // an error is the answer
)

// Reason says why a login is needed; it is told to the user.
type Reason int

const (
	NoReason     Reason = iota
	AskedByApp          // prompt=login
	TooLongAgo          // max_age
	OtherAccount        // prompt=select_account, id_token_hint, or another user's sub
)

// Standing is what is known about the browser when a request is judged.
type Standing struct {
	Client  iam.Client
	Session iam.Session // zero: nobody is signed in
	Consent iam.Consent // zero: never given
	Asks    []string    // the scopes that consent must cover
	Since   time.Time   // when the request came: a later login is a login for it
	Now     time.Time
}

func (s Standing) signedIn() bool { return s.Session.ID != "" }

// forThis tells whether the login was made for this request.
func (s Standing) forThis() bool { return !s.Session.AuthTime.Before(s.Since) }

// Next judges a request (OpenID Connect Core §3.1.2.3 and §3.1.2.4). The error
// is set with StepRefuse only.
func Next(r oauth.AuthorizeRequest, s Standing) (Step, Reason, *oauth.Error) {
	if reason, needed := needsLogin(r, s); needed {
		if r.Asks("none") {
			return StepRefuse, reason, oauth.Refuse(oauth.CodeLoginRequired, "The user must sign in, and prompt=none forbids to ask.")
		}
		if s.signedIn() && s.forThis() {
			// Signed in for this very request, as somebody else.
			return StepRefuse, reason, oauth.Refuse(oauth.CodeLoginRequired, "Another user signed in than the one that was asked for.")
		}
		return StepLogin, reason, nil
	}
	if len(r.Claims.ACR) > 0 && !slices.ContainsFunc(r.Claims.ACR, func(want string) bool { return iam.ACRAtLeast(s.Session.ACR, want) }) {
		return StepRefuse, NoReason, oauth.Refuse(oauth.CodeUnmetAuthentication, "The strength of login that is asked for as essential cannot be had here.")
	}
	if needsConsent(r, s) {
		if r.Asks("none") {
			return StepRefuse, NoReason, oauth.Refuse(oauth.CodeConsentRequired, "The user must be asked, and prompt=none forbids it.")
		}
		return StepConsent, NoReason, nil
	}
	return StepAnswer, NoReason, nil
}

func needsLogin(r oauth.AuthorizeRequest, s Standing) (Reason, bool) {
	subject := r.Subject
	if subject == "" {
		subject = r.Claims.Subject
	}
	switch {
	case !s.signedIn():
		return NoReason, true
	case subject != "" && string(s.Session.UserID) != subject,
		r.Subject != "" && r.Claims.Subject != "" && r.Subject != r.Claims.Subject:
		return OtherAccount, true
	case s.forThis():
		return NoReason, false
	case r.Asks("select_account"):
		return OtherAccount, true
	case r.Asks("login"):
		return AskedByApp, true
	case r.MaxAge != nil && s.Now.Sub(s.Session.AuthTime) > time.Duration(*r.MaxAge)*time.Second:
		return TooLongAgo, true
	}
	return NoReason, false
}

func needsConsent(r oauth.AuthorizeRequest, s Standing) bool {
	given := !s.Consent.At.IsZero() && s.Consent.Covers(s.Asks)
	forThis := given && !s.Consent.At.Before(s.Since)
	switch {
	case r.Asks("consent"):
		return !forThis
	case s.Client.Impersonable(r.RedirectURI):
		// Whatever program listens there, it is answered only when the person was
		// there: they said yes to this request or, for an app of the operator's
		// own, signed in for it (RFC 8252 §8.6).
		return !forThis && !(s.forThis() && !s.Client.NeedsConsent())
	case !s.Client.NeedsConsent():
		return false
	}
	return !given
}
