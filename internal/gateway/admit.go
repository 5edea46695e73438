package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// Reasons beside those of the policy.
const (
	reasonInvalidRequest = "invalid_request"
	reasonInvalidToken   = "invalid_token"
	reasonExpired        = "expired_token"
	reasonRevoked        = "revoked_token"
	reasonStale          = "stale"
	reasonUnavailable    = "unavailable"
	reasonIdentity       = "identity"
	reasonRate           = "rate_limited"
)

// retryAfter is when to come back while an issuer's keys cannot be had.
const retryAfter = 2 * time.Second

// asked is a request as it arrived, here or at another proxy.
type asked struct {
	id            string
	method        string
	target        string
	authorization []string
}

// admission is a request that may pass, and what the upstream hears with it.
type admission struct {
	id       string
	rules    *rules
	path     string // as received
	query    string
	mark     bool // there was a "?"
	identity []header
	forward  struct{ authorization, cookie bool }
	expires  time.Time // of the token; zero: there is none
	caller   guard.Caller
	client   string // address
	proto    string
	cors     bool
	metadata string

	// Of a request under way: see running.
	ctx           context.Context
	end           context.CancelCauseFunc
	looks         int
	at            int
	before, after *admission
}

type admissionKey struct{}

func admissionOf(ctx context.Context) *admission {
	a, _ := ctx.Value(admissionKey{}).(*admission)
	return a
}

// admit decides about a request: it verifies the token, asks the policy, and
// gathers what the upstream shall hear. Both faces of the gateway come here.
func (g *Gateway) admit(ctx context.Context, r *rules, q asked) (*admission, *refusal) {
	req, err := policy.Canonicalize(q.method, q.target)
	if err != nil {
		return nil, g.reject(q, err)
	}
	if tokenInQuery(req.RawQuery) {
		g.record(q, req, nil, policy.Decision{Reason: reasonInvalidRequest})
		return nil, &refusal{status: http.StatusBadRequest, code: "invalid_request", sentence: "A token in the query is not taken: send it as Authorization: Bearer TOKEN.", challenge: true, metadata: r.challenge}
	}
	caller, tokenErr := r.verify(ctx, q.authorization)
	var who *policy.Caller
	if caller != nil {
		who = &caller.policy
	}
	d := r.policy.Decide(req, who, g.now())
	if d.Allow && caller != nil && !d.Public {
		if tokenErr = r.confirm(ctx, caller, q.authorization, &d); tokenErr != nil { // as if there were no caller
			caller = nil
			d.Allow, d.Status, d.Reason = d.Shadow, http.StatusUnauthorized, policy.MissingToken
		}
	}
	refused := g.hold(r, q, caller, tokenErr, &d)
	g.record(q, req, who, d)
	if refused != nil {
		return nil, refused
	}
	a := &admission{id: q.id, rules: r, path: req.RawPath, query: req.RawQuery, mark: req.HasQuery, metadata: r.challenge}
	a.forward.authorization, a.forward.cookie = d.Route.ForwardToken, d.Route.ForwardCookie
	if caller == nil {
		return a, nil
	}
	a.identity, a.expires, a.caller = caller.identity, caller.caller.Expires(), caller.caller
	if r.identity != nil {
		signed, err := r.identity.sign(caller.caller, req.Method, req.RawPath, g.now())
		if err != nil {
			g.logger.Error("identity not signed", "cause", err, "request_id", q.id)
			return nil, &refusal{status: http.StatusInternalServerError, code: "server_error", sentence: "Something went wrong on our side."}
		}
		a.identity = append(slices.Clone(caller.identity), header{IdentityHeader, []string{signed}})
	}
	return a, nil
}

// verify finds the request's token, and what these rules make of it.
func (r *rules) verify(ctx context.Context, authorization []string) (*known, error) {
	raw, err := oauth.ParseBearer(authorization)
	if err != nil {
		return nil, err
	}
	caller, err := r.guard.VerifyUnconfirmed(ctx, raw) // confirm follows, when the route is known
	if err != nil {
		return nil, err
	}
	k := r.know(caller, raw)
	if list := r.algorithms[k.policy.Issuer]; len(list) > 0 && !slices.Contains(list, k.algorithm) {
		return nil, errAlgorithm
	}
	return k, nil
}

var errAlgorithm = errors.New("the policy does not take the token's algorithm: The token is signed with an algorithm that is not taken here")

// hold turns a decision into a refusal, or into nil. It writes into the
// decision what the policy cannot know: why there is no caller, and what
// remains to be said about one.
func (g *Gateway) hold(r *rules, q asked, caller *known, tokenErr error, d *policy.Decision) *refusal {
	if caller == nil && d.Reason == policy.MissingToken && !errors.Is(tokenErr, oauth.ErrNoToken) {
		return g.holdToken(r, q, tokenErr, d)
	}
	if !d.Allow {
		return explain(r, d)
	}
	if caller == nil {
		return nil
	}
	if caller.fault != nil {
		g.logger.Warn("identity cannot be handed over", "cause", caller.fault, "sub", caller.policy.Subject, "request_id", q.id)
		d.Allow, d.Status, d.Reason = false, http.StatusForbidden, reasonIdentity
		return &refusal{status: http.StatusForbidden, code: "access_denied", sentence: "A claim of the token cannot be handed over to the API."}
	}
	if wait := max(r.perSubject.take(caller.policy.Issuer, caller.policy.Subject), r.perClient.take(caller.policy.Issuer, caller.policy.ClientID)); wait > 0 {
		d.Allow, d.Status, d.Reason = false, http.StatusTooManyRequests, reasonRate
		return &refusal{status: http.StatusTooManyRequests, code: "rate_limited", sentence: "Too many requests. Try again later.", wait: wait}
	}
	return nil
}

// holdToken is about a token that was sent and is no good.
func (g *Gateway) holdToken(r *rules, q asked, err error, d *policy.Decision) *refusal {
	token, _ := oauth.ParseBearer(q.authorization)
	answer := refusal{status: http.StatusUnauthorized, code: "invalid_token", sentence: sentenceOf(err), challenge: true, scope: d.Scope, metadata: r.challenge}
	d.Reason = reasonInvalidToken
	var malformed *oauth.Error
	switch {
	case errors.As(err, &malformed):
		d.Reason = reasonInvalidRequest
		answer.status, answer.code, answer.sentence = http.StatusBadRequest, malformed.Code, malformed.Description
	case errors.Is(err, guard.ErrUnavailable):
		d.Reason = reasonUnavailable
		if errors.Is(err, errStale) {
			d.Reason = reasonStale
		}
		answer = refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", sentence: sentenceOf(err), wait: retryAfter}
	case errors.Is(err, guard.ErrExpired):
		d.Reason = reasonExpired
	case errors.Is(err, guard.ErrRevoked):
		d.Reason = reasonRevoked
	}
	g.logger.LogAttrs(context.Background(), slog.LevelInfo, "token refused", slog.String("reason", d.Reason), slog.String("cause", causes(err)),
		slog.String("token", jose.Fingerprint(token)), slog.String("request_id", q.id))
	if d.Shadow {
		return nil
	}
	d.Status = answer.status
	return &answer
}

// causes is the text of an error with what it wraps, which its own text keeps
// from callers.
func causes(err error) string {
	for {
		many, ok := err.(interface{ Unwrap() []error })
		if !ok {
			return err.Error()
		}
		all := many.Unwrap()
		if len(all) == 0 || all[len(all)-1] == nil {
			return err.Error()
		}
		err = all[len(all)-1]
	}
}

// explain is the answer to what the policy denies.
func explain(r *rules, d *policy.Decision) *refusal {
	a := &refusal{status: d.Status, scope: d.Scope, metadata: r.challenge}
	switch d.Reason {
	case policy.MissingToken:
		a.code, a.sentence, a.challenge, a.bare = "missing_token", "This needs a token.", true, true
	case policy.MaxTokenAge:
		a.code, a.sentence, a.challenge, a.maxAge = "invalid_token", "The token is too old for this. Get a new one.", true, d.Route.MaxTokenAge
	case policy.InsufficientScope:
		a.code, a.sentence, a.challenge = oauth.CodeInsufficientScope, "The token does not hold the scope that this needs: "+d.Scope+".", true
	case policy.NoRoute:
		a.code, a.sentence = "access_denied", "Nobody may do this here."
	default: // role, where: what would have been right is nobody's business
		a.code, a.sentence = "access_denied", "The token may not do this."
	}
	return a
}

// reject is about a request that has more than one reading.
func (g *Gateway) reject(q asked, err error) *refusal {
	var rejected *policy.Rejected
	d := policy.Decision{Status: http.StatusBadRequest, Reason: policy.BadPath}
	if errors.As(err, &rejected) {
		d = policy.Deny(rejected)
	}
	g.record(q, policy.Canonical{Method: clip(q.method), RawPath: clip(path(q.target))}, nil, d)
	g.logger.LogAttrs(context.Background(), slog.LevelInfo, "request refused", slog.String("reason", d.Reason), slog.String("cause", err.Error()), slog.String("request_id", q.id))
	return &refusal{status: http.StatusBadRequest, code: d.Reason, sentence: "The request's method or address can be read in more than one way, so it is not forwarded."}
}

// clip bounds what a client can write into a log.
func clip(s string) string { return s[:min(len(s), 256)] }

func (g *Gateway) record(q asked, req policy.Canonical, who *policy.Caller, d policy.Decision) {
	g.counts.add(d)
	if g.decisions != nil {
		record := policy.NewRecord(g.now(), q.id, req, who, d)
		if age, heard := g.rules.Load().guard.FeedAge(); heard && age > healthyFeed {
			record.FeedAge = age.Round(100 * time.Millisecond).Seconds()
		}
		g.decisions.write(record)
	}
}

// tokenInQuery tells whether a query carries a token by RFC 6750 §2.3, which
// lands in logs and histories, and which an upstream might believe over the
// header that was verified.
func tokenInQuery(query string) bool {
	if len(query) < len("access_token") {
		return false
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil && strings.EqualFold(decoded, "access_token") {
			return true
		}
	}
	return false
}
