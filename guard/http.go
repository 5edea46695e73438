package guard

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// Rule is what a route demands beyond a valid token. The zero Rule demands
// nothing more.
type Rule struct {
	Scopes []string      // all of them
	Roles  []string      // any of them; a further condition, never a substitute for a scope
	MaxAge time.Duration // how long ago the user may have logged in (RFC 9470); 0: any
	ACR    string        // at least this strong: pwd, mfa or phr (RFC 9470); "": any
	// OnStale is what happens while revocations are not known. Inside Protect, or
	// another Enforce, both rules hold.
	OnStale OnStale
}

// check panics on a rule that cannot be meant, when the route is registered.
func (r Rule) check() {
	for _, s := range slices.Concat(r.Scopes, r.Roles) {
		if s == "" || strings.ContainsAny(s, " \t\r\n\"\\") {
			panic(fmt.Sprintf("guard: %q is not one scope or role", s))
		}
	}
	if r.MaxAge < 0 {
		panic("guard: MaxAge is negative")
	}
	if r.OnStale < 0 || int(r.OnStale) >= len(staleNames) {
		panic(fmt.Sprintf("guard: OnStale %d is not one of %v", int(r.OnStale), staleNames))
	}
	if r.ACR != "" && !slices.Contains(strengths, r.ACR) {
		panic(fmt.Sprintf("guard: ACR %q is not one of %v", r.ACR, strengths))
	}
}

// checked is a copy that nobody can change any more.
func (g *Guard) checked(r Rule) Rule {
	r.check()
	if r.OnStale == StaleIntrospect && g.usable() && !g.mayAsk() {
		panic("guard: OnStale is StaleIntrospect and Config.Reader is empty: there is nobody to ask as")
	}
	r.Scopes, r.Roles = slices.Clone(r.Scopes), slices.Clone(r.Roles)
	return r
}

// strengths of a login, weakest first.
var strengths = []string{"pwd", "mfa", "phr"}

// Require lets requests through whose token holds all of the scopes. It panics
// on an empty scope or one with a space: two scopes are two arguments.
func (g *Guard) Require(scope string, more ...string) func(http.Handler) http.Handler {
	return g.Enforce(Rule{Scopes: append([]string{scope}, more...)})
}

// Authenticated lets requests through that carry any valid token for this API.
func (g *Guard) Authenticated() func(http.Handler) http.Handler { return g.Enforce(Rule{}) }

// Enforce lets requests through that satisfy the whole rule.
func (g *Guard) Enforce(rule Rule) func(http.Handler) http.Handler {
	rule = g.checked(rule)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if g != nil && g.cors.open(w, r) {
				return
			}
			caller, err := g.caller(r)
			if err == nil {
				err = g.allow(caller, rule)
			}
			if err == nil {
				err = g.confirmed(r.Context(), caller, r.Header.Values("Authorization"), rule.OnStale.forMethod(r.Method))
			}
			if err != nil {
				g.answer(w, r, rule, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(attach(r.Context(), caller, g)))
		})
	}
}

// Protect guards a whole mux: every request needs a valid token, but those
// that match one of the public patterns, written exactly as they are in the
// mux ("GET /healthz"). A pattern with a typing error matches nothing, so its
// route stays closed. It answers the preflights of the whole mux.
func (g *Guard) Protect(mux *http.ServeMux, public ...string) http.Handler {
	guarded := g.Authenticated()(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g != nil && g.cors.open(w, r) {
			return
		}
		if _, pattern := mux.Handler(r); pattern != "" && slices.Contains(public, pattern) {
			mux.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// caller verifies the request's token, unless this same Guard already did.
func (g *Guard) caller(r *http.Request) (Caller, error) {
	if a, ok := r.Context().Value(callerKey{}).(attached); ok && g != nil && a.by == g {
		return a.caller, nil
	}
	return g.bearer(r.Context(), r.Header.Values("Authorization"))
}

// bearer verifies the one token in the values of an Authorization header.
func (g *Guard) bearer(ctx context.Context, authorization []string) (Caller, error) {
	raw, err := oauth.ParseBearer(authorization)
	if errors.Is(err, oauth.ErrNoToken) {
		if !g.usable() {
			return Caller{}, refuse(ErrUnavailable)
		}
		return Caller{}, ErrNoToken
	}
	if err != nil {
		return Caller{}, err
	}
	return g.VerifyUnconfirmed(ctx, raw)
}

// Check is Enforce for other transports, such as gRPC (package guardgrpc): the
// function it returns takes all values of a request's Authorization header or
// metadata, verifies the one token in them, and holds its caller against the
// whole rule. Refusals go to the log. An error is one of this package's; its
// text may be shown to the caller. Check panics as Enforce does.
func (g *Guard) Check(rule Rule) func(ctx context.Context, authorization []string) (Caller, error) {
	rule = g.checked(rule)
	return func(ctx context.Context, authorization []string) (Caller, error) {
		caller, err := g.bearer(ctx, authorization)
		if err == nil {
			err = g.allow(caller, rule)
		}
		if err == nil {
			err = g.confirmed(ctx, caller, authorization, rule.OnStale)
		}
		if err == nil {
			return caller, nil
		}
		g.log(ctx, authorization, err, requestID())
		var malformed *oauth.Error
		if errors.As(err, &malformed) {
			err = &refused{kind: ErrInvalid, reason: "request", sentence: malformed.Description, cause: err}
		}
		return Caller{}, err
	}
}

// stepUp says that the login behind a token is too old or too weak (RFC 9470).
// It is an ErrForbidden.
type stepUp struct{ sentence string }

func (e *stepUp) Error() string { return ErrForbidden.Error() + ": " + e.sentence }
func (e *stepUp) Unwrap() error { return ErrForbidden }

// allow is authorization, decided for every request anew.
func (g *Guard) allow(c Caller, rule Rule) error {
	for _, s := range rule.Scopes {
		if !c.HasScope(s) {
			return &refused{kind: ErrForbidden, reason: "scope", cause: fmt.Errorf("want=%s", strings.Join(rule.Scopes, ",")),
				sentence: "The token does not hold the scope that this needs: " + strings.Join(rule.Scopes, " ") + "."}
		}
	}
	if len(rule.Roles) > 0 && !slices.ContainsFunc(rule.Roles, c.HasRole) {
		return &refused{kind: ErrForbidden, reason: "role", cause: fmt.Errorf("want=%s", strings.Join(rule.Roles, ",")),
			sentence: "The token does not name a role that may do this."}
	}
	if rule.ACR != "" && slices.Index(strengths, c.ACR()) < slices.Index(strengths, rule.ACR) {
		return &stepUp{"This needs a stronger login."}
	}
	if rule.MaxAge > 0 && (c.v.authTime.IsZero() || g.now().Sub(c.v.authTime) > rule.MaxAge) {
		return &stepUp{"This needs a more recent login."}
	}
	return nil
}

// answer renders a refusal by RFC 6750 §3 and writes the log line.
func (g *Guard) answer(w http.ResponseWriter, r *http.Request, rule Rule, err error) {
	status, challenge := classify(err)
	if status == http.StatusForbidden || status == http.StatusUnauthorized {
		challenge.Scope = strings.Join(rule.Scopes, " ")
		if g != nil {
			challenge.ResourceMetadata = g.metadata
		}
	}
	if challenge.Code == oauth.CodeInsufficientUserAuth {
		challenge.ACRValues = rule.ACR
		if rule.MaxAge > 0 {
			challenge.MaxAge = strconv.FormatInt(int64(rule.MaxAge/time.Second), 10)
		}
	}
	id := requestID()
	g.log(r.Context(), r.Header.Values("Authorization"), err, id)
	h := w.Header()
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	} else {
		h.Set("WWW-Authenticate", challenge.String())
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": codeOf(challenge), "error_description": challenge.Description, "request_id": id})
}

// classify turns a refusal into status and challenge. A request without a
// token gets a challenge without an error code (RFC 6750 §3.1).
func classify(err error) (int, oauth.Challenge) {
	challenge := oauth.Challenge{Realm: "api"}
	var malformed *oauth.Error
	var weak *stepUp
	var why *refused
	switch {
	case errors.Is(err, ErrNoToken):
		return http.StatusUnauthorized, challenge
	case errors.As(err, &malformed):
		challenge.Code, challenge.Description = malformed.Code, malformed.Description
		return http.StatusBadRequest, challenge
	case errors.As(err, &weak):
		challenge.Code, challenge.Description = oauth.CodeInsufficientUserAuth, weak.sentence
		return http.StatusUnauthorized, challenge
	case errors.As(err, &why):
		challenge.Description = why.sentence
	}
	switch {
	case errors.Is(err, ErrUnavailable):
		challenge.Code = oauth.CodeTemporarilyUnavailable
		return http.StatusServiceUnavailable, challenge
	case errors.Is(err, ErrForbidden):
		challenge.Code = oauth.CodeInsufficientScope
		return http.StatusForbidden, challenge
	}
	challenge.Code = oauth.CodeInvalidToken
	return http.StatusUnauthorized, challenge
}

// codeOf fills the body where the challenge has no code: the body may say what
// the header must not.
func codeOf(c oauth.Challenge) string {
	if c.Code == "" {
		return "missing_token"
	}
	return c.Code
}

func requestID() string { return strings.ToLower(rand.Text())[:16] }

func (g *Guard) log(ctx context.Context, authorization []string, err error, id string) {
	if g == nil || errors.Is(err, ErrNoToken) {
		return
	}
	logger := g.logger
	if logger == nil {
		logger = slog.Default()
	}
	reason, cause := "request", err
	var why *refused
	var weak *stepUp
	switch {
	case errors.As(err, &why):
		reason, cause = why.reason, why.cause
	case errors.As(err, &weak):
		reason = "login"
	}
	token, _ := oauth.ParseBearer(authorization)
	logger.LogAttrs(ctx, slog.LevelInfo, "token refused", slog.String("reason", reason), slog.String("cause", fmt.Sprint(cause)),
		slog.String("token", jose.Fingerprint(token)), slog.String("request_id", id))
}
