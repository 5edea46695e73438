package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
	"github.com/gatehouse-auth/gatehouse/internal/relying"
	"github.com/gatehouse-auth/gatehouse/internal/visit"
)

const (
	// renewBefore is how long before its end an access token is renewed.
	renewBefore = 30 * time.Second
	// renewPause is between two refreshes of a session of which the first did not
	// help: a token that is refused again is not the issuer's to mend.
	renewPause = 10 * time.Second
	// revokedPause is the same for a token that was revoked: the issuer either
	// gives one that says what is true now, as after a change of roles, or it ends
	// the session.
	revokedPause = time.Second
	// issuerPatience is how long a refresh may take.
	issuerPatience = 15 * time.Second
)

// pass forwards a request with the token of its session, decided by the policy
// like any other.
func (b *bff) pass(w http.ResponseWriter, r *http.Request, rules *rules, id string, trusted bool) {
	cookie := cookieValue(r, b.cookies.session)
	if cookie == "" {
		b.anonymous(w, r, rules, id, trusted)
		return
	}
	key := b.visits.KeyOf(cookie)
	// Registered before it is looked up: a logout meanwhile ends it either way.
	ctx, over := b.streams.begin(r.Context(), key)
	defer over()
	s, err := b.use(ctx, rules, key)
	switch {
	case errors.Is(err, visit.ErrNone), errors.Is(context.Cause(ctx), errSessionEnded):
		b.cookies.clearSession(w)
		b.anonymous(w, r, rules, id, trusted)
		return
	case err != nil:
		b.logger.Warn("session cannot be used", "cause", err, "request_id", id)
		b.gateway.refuse(w, id, refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", sentence: "Your session cannot be renewed at the moment.", wait: retryAfter})
		return
	}
	r.Header["Authorization"] = []string{"Bearer " + s.Access}
	b.gateway.proxy(w, r.WithContext(ctx), rules, id, trusted)
}

// anonymous is for requests without a session: public routes pass, a page that
// needs a sign-in leads to it, and everything else hears how.
func (b *bff) anonymous(w http.ResponseWriter, r *http.Request, rules *rules, id string, trusted bool) {
	req, err := policy.Canonicalize(r.Method, r.RequestURI)
	if err == nil {
		d := rules.policy.Decide(req, nil, b.gateway.now())
		if !d.Allow && d.Reason == policy.MissingToken && r.Method != http.MethodOptions {
			b.gateway.record(asked{id: id, method: r.Method, target: r.RequestURI}, req, nil, d)
			b.askToSignIn(w, r, id)
			return
		}
	}
	b.gateway.proxy(w, r, rules, id, trusted)
}

// askToSignIn leads a page to the sign-in. One that another site led to came
// without the Strict cookie whoever is signed in: a page of ours asks again.
func (b *bff) askToSignIn(w http.ResponseWriter, r *http.Request, id string) {
	mode, site := r.Header["Sec-Fetch-Mode"], r.Header["Sec-Fetch-Site"]
	if r.Method != http.MethodGet || len(mode) != 1 || mode[0] != "navigate" {
		b.gateway.refuse(w, id, refusal{status: http.StatusUnauthorized, code: "missing_session", sentence: "Nobody is signed in. Send the browser to " + bffLoginPath + "?return=PATH."})
		return
	}
	bffHeaders(w.Header(), r)
	if back, ok := returnPath(r.RequestURI); ok && len(site) == 1 && site[0] == "cross-site" {
		b.page(w, http.StatusOK, bffPage{Title: "One moment", Link: back, Label: "Go on", Go: true})
		return
	}
	w.Header().Set("Location", loginFor(r.RequestURI))
	w.WriteHeader(http.StatusSeeOther)
}

// use returns a session with an access token that the guard takes, renewed if
// need be. One that was revoked, as when a role was given or taken, is renewed
// too: the next one says what is true now.
func (b *bff) use(ctx context.Context, rules *rules, key visit.Key) (visit.Session, error) {
	s, err := b.visits.Find(ctx, key)
	if err != nil {
		return s, err
	}
	if err := b.visits.Touch(ctx, s); err != nil {
		return s, err
	}
	return b.fresh(ctx, rules, s)
}

// fresh renews the tokens of a session where they are old or refused.
func (b *bff) fresh(ctx context.Context, rules *rules, s visit.Session) (visit.Session, error) {
	now := b.gateway.now()
	if s.Expires.Sub(now) > renewBefore {
		_, refused := rules.guard.VerifyUnconfirmed(ctx, s.Access)
		pause := renewPause
		if errors.Is(refused, guard.ErrRevoked) {
			pause = revokedPause
		}
		if refused == nil || errors.Is(refused, guard.ErrUnavailable) || now.Sub(s.Got) < pause {
			return s, nil // the gateway's own check says what is wrong
		}
	}
	next, err := b.flights.do(ctx, s.Key(), func() (visit.Session, error) { return b.renew(s.Key(), s.Generation()) })
	if err != nil && !errors.Is(err, visit.ErrNone) && s.Expires.After(b.gateway.now()) {
		return s, nil // the issuer has trouble, and the token is good for some seconds more
	}
	return next, err
}

// renew refreshes the tokens of a session that is still at generation gen. It is
// not bound to a request: the issuer's answer must be kept, or the login is lost.
func (b *bff) renew(key visit.Key, gen int64) (visit.Session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), issuerPatience)
	defer cancel()
	s, mine, err := b.turn(ctx, key, gen)
	if err != nil || !mine {
		return s, err // somebody was here before
	}
	if s.Refresh == "" {
		b.finish(ctx, key)
		return visit.Session{}, visit.ErrNone
	}
	tokens, err := b.party.Refresh(ctx, s.Refresh)
	if relying.HasEnded(err) {
		b.logger.Info("session ended: the issuer does not renew it", "sub", s.Subject, "cause", err)
		b.finish(ctx, key)
		return visit.Session{}, visit.ErrNone
	}
	if err != nil {
		if b.visits.Shared() {
			err = errors.Join(err, b.visits.Release(context.WithoutCancel(ctx), s))
		}
		return visit.Session{}, err
	}
	now := b.gateway.now()
	s.Access, s.Refresh, s.Expires, s.Got = tokens.AccessToken, tokens.RefreshToken, expiry(tokens.Expiry, now), now
	next, err := b.keep(ctx, s)
	if errors.Is(err, visit.ErrNone) { // a logout was faster: what was just issued ends too
		b.revoke(s.Refresh)
	}
	return next, err
}

// turnEvery is how often a gateway looks whether another has refreshed.
const turnEvery = 100 * time.Millisecond

// turn takes the turn to refresh a session that is still at generation gen. Of
// several gateways one gets it; the others wait for what it brings.
func (b *bff) turn(ctx context.Context, key visit.Key, gen int64) (s visit.Session, mine bool, err error) {
	for {
		if s, err = b.visits.Find(ctx, key); err != nil || s.Generation() != gen {
			return s, false, err
		}
		if !b.visits.Shared() {
			return s, true, nil
		}
		if mine, err = b.visits.Claim(ctx, s); err != nil || mine {
			return s, mine, err
		}
		select {
		case <-ctx.Done():
			return s, false, ctx.Err()
		case <-time.After(turnEvery):
		}
	}
}

// keep stores refreshed tokens, again and again while the database has trouble:
// those before them are spent. Where nobody knows whether it was done, the
// session itself says so.
func (b *bff) keep(ctx context.Context, s visit.Session) (visit.Session, error) {
	for {
		next, err := b.visits.Renew(ctx, s)
		if errors.Is(err, visit.ErrNone) {
			if found, lost := b.visits.Find(ctx, s.Key()); lost == nil && found.Refresh == s.Refresh && found.Access == s.Access {
				return found, nil
			}
		}
		if err == nil || errors.Is(err, visit.ErrNone) || ctx.Err() != nil {
			return next, err
		}
		select {
		case <-ctx.Done():
			return next, err
		case <-time.After(turnEvery):
		}
	}
}

// finish ends a session here, with all that runs under it.
func (b *bff) finish(ctx context.Context, key visit.Key) {
	if err := b.visits.End(context.WithoutCancel(ctx), key); err != nil {
		b.logger.Error("session not ended", "cause", err)
	}
	b.streams.end(key)
}

func revoked(ctx context.Context, rules *rules, s visit.Session) error {
	_, err := rules.guard.VerifyUnconfirmed(ctx, s.Access)
	return err
}

// session tells a page who is signed in. It is no use of the session, so a page
// that asks now and then keeps nobody signed in.
func (b *bff) session(w http.ResponseWriter, r *http.Request, id string) {
	cookie := cookieValue(r, b.cookies.session)
	s, err := b.visits.Find(r.Context(), b.visits.KeyOf(cookie))
	if err == nil { // a session that was revoked is over, also for who only looks
		if rules := b.gateway.rules.Load(); errors.Is(revoked(r.Context(), rules, s), guard.ErrRevoked) {
			s, err = b.fresh(r.Context(), rules, s)
		}
	}
	switch {
	case cookie == "" || errors.Is(err, visit.ErrNone):
		b.gateway.refuse(w, id, refusal{status: http.StatusUnauthorized, code: "missing_session", sentence: "Nobody is signed in. Send the browser to " + bffLoginPath + "?return=PATH."})
	case err != nil:
		b.logger.Error("session not found", "cause", err, "request_id", id)
		b.gateway.refuse(w, id, refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", sentence: "Your session cannot be read at the moment.", wait: retryAfter})
	default:
		writeJSON(w, http.StatusOK, map[string]string{"sub": s.Subject, "name": s.Name, "expires": s.Ends().UTC().Format(time.RFC3339)})
	}
}

// logout ends the session here and its tokens at the issuer, and says where the
// browser goes to end the session there: the issuer asks, because an ID token
// that spares the question would reach the browser.
func (b *bff) logout(w http.ResponseWriter, r *http.Request, id string) {
	if cookie := cookieValue(r, b.cookies.session); cookie != "" {
		key := b.visits.KeyOf(cookie)
		if s, err := b.visits.Find(r.Context(), key); err == nil {
			b.finish(r.Context(), key)
			b.revoke(s.Refresh)
		}
	}
	b.cookies.clearSession(w)
	to, err := b.party.EndSessionURL(r.Context(), b.ExternalURL+bffSignedOutPath, "")
	if err != nil {
		b.logger.Warn("issuer cannot be asked where to sign out", "cause", err, "request_id", id)
		to = bffSignedOutPath
	}
	writeJSON(w, http.StatusOK, map[string]string{"continue": to})
}

// revoke ends the tokens at the issuer. Should it not answer, they end by
// themselves; here they are gone.
func (b *bff) revoke(refresh string) {
	if refresh == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), issuerPatience)
	defer cancel()
	if err := b.party.Revoke(ctx, refresh); err != nil {
		b.logger.Warn("tokens not revoked at the issuer", "cause", err)
	}
}

// backchannel hears that a session ended (OpenID Connect Back-Channel Logout
// §2.5). Who calls is proven by the token alone.
func (b *bff) backchannel(w http.ResponseWriter, r *http.Request, id string) {
	bffHeaders(w.Header(), r)
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	ended, err := b.party.ReadLogoutToken(r.Context(), r.PostFormValue("logout_token"))
	if err != nil {
		b.logger.Info("logout token refused", "cause", err, "request_id", id)
		b.gateway.refuse(w, id, refusal{status: http.StatusBadRequest, code: "invalid_request", sentence: "The logout token is not valid here."})
		return
	}
	keys, err := b.visits.EndAll(r.Context(), visit.Ending{SID: ended.Session, Subject: ended.Subject, ID: ended.ID, For: ended.Expires.Sub(b.gateway.now()) + time.Minute})
	b.streams.end(keys...)
	if err != nil {
		b.logger.Error("sessions not ended", "cause", err, "request_id", id)
		b.gateway.refuse(w, id, refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", sentence: "Try again.", wait: retryAfter})
		return
	}
	w.WriteHeader(http.StatusOK)
}
