package guard

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// Bounds of a hand-off token. The app's clock may be a little behind the
// issuer's; beyond its 30 seconds a token is never taken.
const (
	handoffLife   = 30 * time.Second
	handoffBehind = 5 * time.Second
)

// handoff is a token that was verified and belongs to this browser.
type handoff struct {
	raw, nonce string
	verified   *verified
}

// finish judges the token, then the browser, and only then spends: a thief who
// lacks the nonce cannot use a login up.
func (h *HandoffHandler) finish(w http.ResponseWriter, r *http.Request, raw string) error {
	if h.config.Mode == HandoffCookie {
		http.SetCookie(w, &http.Cookie{Name: oauth.HandoffCookie(h.config.ClientID), Domain: h.config.Domain, Path: h.path, MaxAge: -1, Secure: true, HttpOnly: true})
	}
	if len(h.begun(r)) == 0 {
		return handoffFault("no_nonce", "This login was not begun in this browser, or too long ago.", nil)
	}
	v, err := h.verify(r.Context(), raw)
	if err != nil {
		return err
	}
	cookie, back, err := h.match(r, v)
	if err != nil {
		return err
	}
	nonce, _ := splitNonce(cookie.Value)
	fresh, err := h.redeem(r.Context(), handoff{raw: raw, nonce: nonce, verified: v})
	if err != nil {
		return err
	}
	if !fresh {
		return handoffFault("spent", "This login was used before.", nil)
	}
	h.setNonce(w, cookie.Name, "", -1)
	answer := &watched{ResponseWriter: w}
	if err := h.config.SignedIn(answer, h.cleaned(r), Caller{v}); err != nil {
		if answer.wrote {
			h.config.Logger.LogAttrs(r.Context(), slog.LevelError, "hand-off not completed", slog.Any("cause", err))
			return nil
		}
		return &handoffRefusal{status: http.StatusInternalServerError, reason: "app", sentence: "The app could not complete the login.", cause: err}
	}
	if !answer.wrote {
		w.Header().Set("Location", back)
		w.WriteHeader(http.StatusSeeOther)
	}
	return nil
}

// verify is the acceptance of a hand-off token and of no other class (T56).
func (h *HandoffHandler) verify(ctx context.Context, raw string) (*verified, error) {
	t, err := jose.Parse(raw)
	if err != nil {
		return nil, err
	}
	s, err := h.guard.keys.Ready(ctx)
	if err != nil {
		return nil, err
	}
	key, known := s.Keys.Key(t.KeyID())
	if known {
		if err := t.Verify(key); err != nil {
			return nil, err
		}
	}
	claims, err := t.Claims()
	if err != nil {
		return nil, err
	}
	if err := h.expect(t, claims); err != nil {
		return nil, err
	}
	if !known {
		if !t.Algorithm().Asymmetric() {
			return nil, fmt.Errorf("%w: got %q", jose.ErrAlgorithm, t.Algorithm())
		}
		if key, err = h.guard.keys.Find(ctx, t.KeyID()); err != nil {
			return nil, err
		}
		if err := t.Verify(key); err != nil {
			return nil, err
		}
	}
	return readHandoff(claims, key, h.config.ClientID)
}

// expect checks what the token must say. A clock that is behind may see it
// before it was made; none sees it after it has expired.
func (h *HandoffHandler) expect(t jose.Token, claims jose.Claims) error {
	now := h.guard.now()
	e := jose.Expect{Type: oauth.HandoffType, Issuer: h.config.Issuer, Audience: h.config.ClientID, Now: now, Leeway: handoffBehind}
	if err := e.Check(t, claims); err != nil {
		return err
	}
	switch {
	case !now.Before(claims.Expires):
		return fmt.Errorf("%w: at %s", jose.ErrExpired, claims.Expires.UTC().Format(time.RFC3339))
	case !claims.Has("iat") || claims.Expires.Sub(claims.IssuedAt) > handoffLife:
		return fmt.Errorf("%w: it lives longer than %s", jose.ErrClaim, handoffLife)
	case len(claims.Audience) != 1 || claims.Subject == "" || claims.ID == "":
		return fmt.Errorf("%w: sub, jti and one aud are required", jose.ErrClaim)
	case claims.Has("cnf"):
		return fmt.Errorf("%w: cnf: tokens bound to a key are not supported", jose.ErrClaim)
	}
	return nil
}

// readHandoff takes the claims. There are no scopes: a login opens no API.
func readHandoff(claims jose.Claims, key jose.Key, client string) (*verified, error) {
	v := &verified{claims: claims, client: client, tokenID: claims.ID, key: key}
	var err error
	for _, p := range []struct {
		name string
		into *string
	}{{"acr", &v.acr}, {"sid", &v.sid}} {
		if *p.into, err = claims.String(p.name); err != nil {
			return nil, err
		}
	}
	if v.roles, err = claims.Strings("roles"); err != nil {
		return nil, err
	}
	v.authTime, err = claims.Time("auth_time")
	return v, err
}

// match finds the nonce that the token echoes the hash of, compared in constant
// time, and where that login was to lead.
func (h *HandoffHandler) match(r *http.Request, v *verified) (*http.Cookie, string, error) {
	hash, err := v.claims.String("nonce_hash")
	if err != nil {
		return nil, "", err
	}
	var found []*http.Cookie
	if len(hash) > 16 {
		found = r.CookiesNamed(h.nonceName(hash))
	}
	if len(found) != 1 {
		return nil, "", handoffFault("nonce", "This login was not begun in this browser, or too long ago.", nil)
	}
	nonce, back := splitNonce(found[0].Value)
	if !oauth.NonceFits(nonce, hash) {
		return nil, "", handoffFault("nonce", "This login was not begun in this browser, or too long ago.", nil)
	}
	return found[0], cleanReturn(back, h.config.Home), nil
}

// cleaned is the request without token and nonces, so that nothing the app logs
// or forwards has them.
func (h *HandoffHandler) cleaned(r *http.Request) *http.Request {
	c := r.Clone(r.Context())
	query := c.URL.Query()
	query.Del(oauth.HandoffParameter)
	c.URL.RawQuery = query.Encode()
	c.RequestURI = c.URL.RequestURI()
	c.Form, c.PostForm, c.Body, c.ContentLength = nil, nil, http.NoBody, 0
	c.Header.Del("Cookie")
	for _, cookie := range r.Cookies() {
		if !strings.HasPrefix(cookie.Name, h.prefix) && cookie.Name != oauth.HandoffCookie(h.config.ClientID) {
			c.AddCookie(cookie)
		}
	}
	return c
}

// watched notes whether the app answered by itself.
type watched struct {
	http.ResponseWriter
	wrote bool
}

func (w *watched) WriteHeader(status int) { w.wrote = true; w.ResponseWriter.WriteHeader(status) }

func (w *watched) Write(b []byte) (int, error) { w.wrote = true; return w.ResponseWriter.Write(b) }

// Unwrap is for http.ResponseController.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (h *HandoffHandler) spendHere(ctx context.Context, t handoff) (bool, error) {
	fresh, err := h.config.Spent.Spend(ctx, t.verified.claims.ID, t.verified.claims.Expires.Add(handoffLife))
	if err != nil {
		return false, fmt.Errorf("%w: spend hand-off: %w", ErrUnavailable, err)
	}
	return fresh, nil
}

// redeemTime bounds the call to the issuer.
const redeemTime = 10 * time.Second

// spendAtIssuer redeems the token where it came from.
func (h *HandoffHandler) spendAtIssuer(ctx context.Context, t handoff) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, redeemTime)
	defer cancel()
	form := url.Values{"client_id": {h.config.ClientID}, "client_secret": {h.config.ClientSecret}, oauth.HandoffParameter: {t.raw}, "nonce": {t.nonce}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.config.Issuer+oauth.HandoffRedeemPath, strings.NewReader(form.Encode()))
	if err != nil {
		return false, fmt.Errorf("redeem hand-off: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{}
	if h.config.HTTPClient != nil {
		client = *h.config.HTTPClient
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the secret goes nowhere else
	answer, err := client.Do(r)
	if err != nil {
		return false, fmt.Errorf("%w: redeem hand-off: %w", ErrUnavailable, err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	switch answer.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusBadRequest:
		return false, nil
	}
	return false, fmt.Errorf("%w: redeem hand-off: %s %.200q", ErrUnavailable, answer.Status, body)
}

// spentInMemory is for an app of one process. It keeps ids for one to two
// periods, longer than any hand-off lives.
type spentInMemory struct {
	now func() time.Time

	mu       sync.Mutex
	turned   time.Time
	new, old map[string]bool
}

const spentPeriod = 2 * time.Minute

func (s *spentInMemory) Spend(_ context.Context, id string, _ time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.new == nil || now.Sub(s.turned) > spentPeriod {
		s.old, s.new, s.turned = s.new, map[string]bool{}, now
	}
	if s.new[id] || s.old[id] {
		return false, nil
	}
	s.new[id] = true
	return true, nil
}

// handoffRefusal is a login that does not happen: what the person reads, and
// what the log says.
type handoffRefusal struct {
	status   int
	reason   string
	sentence string
	cause    error
}

func (e *handoffRefusal) Error() string { return e.sentence }

func handoffFault(reason, sentence string, cause error) error {
	return &handoffRefusal{status: http.StatusForbidden, reason: reason, sentence: sentence, cause: cause}
}

// explainHandoff puts what verification found into words for a person, who can
// do nothing about it but begin again.
func explainHandoff(err error) *handoffRefusal {
	var known *handoffRefusal
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, errHandoffMethod) {
		return &handoffRefusal{status: http.StatusMethodNotAllowed, reason: "method", sentence: "The login did not come in the way that was agreed.", cause: err}
	}
	if errors.Is(err, jwks.ErrUnavailable) {
		err = errors.Join(ErrUnavailable, err)
	}
	e := &handoffRefusal{status: http.StatusForbidden, reason: refuse(err).reason, sentence: "The login cannot be accepted.", cause: err}
	switch {
	case errors.Is(err, ErrUnavailable):
		e.status, e.sentence = http.StatusServiceUnavailable, "The login cannot be checked right now."
	case errors.Is(err, jose.ErrExpired):
		e.sentence = "The login took too long to get here."
	}
	return e
}

// handoffPage is plain on purpose: it is seen rarely, in an app of any look.
const handoffPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Not signed in</title>
<h1>Not signed in</h1>
<p>%s</p>
<p><a href="%s">Sign in again</a></p>
<p>Reference: %s</p>
</html>
`

func (h *HandoffHandler) refuse(w http.ResponseWriter, r *http.Request, raw string, err error) {
	e := explainHandoff(err)
	id := requestID()
	level := slog.LevelInfo
	if e.status >= 500 {
		level = slog.LevelError
	}
	h.config.Logger.LogAttrs(r.Context(), level, "hand-off refused", slog.String("reason", e.reason), slog.String("cause", fmt.Sprint(e.cause)),
		slog.String("token", jose.Fingerprint(raw)), slog.String("request_id", id))
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	if e.status == http.StatusMethodNotAllowed {
		header.Set("Allow", h.allow())
	}
	if e.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	w.WriteHeader(e.status)
	fmt.Fprintf(w, handoffPage, html.EscapeString(e.sentence), html.EscapeString(h.path), id)
}

func (h *HandoffHandler) allow() string {
	if h.config.Mode == HandoffForm {
		return "GET, POST"
	}
	return "GET"
}
