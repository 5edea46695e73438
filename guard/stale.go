package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// OnStale says what a route does while it is not known whether tokens were
// revoked lately: the issuer has a revocation feed, and it has not been heard
// for 5 seconds, or never yet. Revocations that are known by then are honoured
// whatever a route says, and an issuer without a feed is never stale.
type OnStale int

const (
	// StaleDefault is StaleBriefly for GET and HEAD, and StaleIntrospect for
	// everything else. Without a Config.Reader nobody can be asked, and it is
	// StaleAllow: a token that was revoked meanwhile then ends with its `exp`, as
	// at every verifier without a feed.
	StaleDefault OnStale = iota
	// StaleAllow lets the token through, until its `exp`.
	StaleAllow
	// StaleBriefly lets the token through for a minute, and is then StaleIntrospect.
	StaleBriefly
	// StaleIntrospect asks the issuer about the token (RFC 7662), with
	// Config.Reader. ErrUnavailable when it does not answer.
	StaleIntrospect
	// StaleDeny refuses with ErrUnavailable: for what must not be done with a
	// revoked token.
	StaleDeny
)

// staleRead is StaleDefault of a GET or HEAD.
const staleRead OnStale = -1

// briefly is how long StaleBriefly lets tokens through.
const briefly = time.Minute

var staleNames = []string{"StaleDefault", "StaleAllow", "StaleBriefly", "StaleIntrospect", "StaleDeny"}

// String is the name of the constant.
func (s OnStale) String() string {
	if s < 0 || int(s) >= len(staleNames) {
		return fmt.Sprintf("OnStale(%d)", int(s))
	}
	return staleNames[s]
}

// errStale is the cause of refusals because revocations are not known.
var errStale = errors.New("the revocation feed is stale")

// Confirm decides about a caller of VerifyUnconfirmed while revocations are not
// known. While they are it answers nil at once. StaleDefault counts as for an
// unsafe method. The error is ErrUnavailable, or ErrRevoked when the issuer says
// that the token is not active.
func (g *Guard) Confirm(ctx context.Context, c Caller, raw string, on OnStale) error {
	if c.v == nil {
		return ErrNoToken
	}
	return c.v.by.confirm(ctx, c.v, func() (string, error) { return raw, nil }, on)
}

// confirm is Confirm; the raw token is wanted only when the issuer is asked.
func (g *Guard) confirm(ctx context.Context, v *verified, raw func() (string, error), on OnStale) error {
	age, stale := g.feed.Stale()
	if !stale {
		return nil
	}
	if on = g.resolve(on, age); on == StaleAllow {
		return nil
	}
	if !g.feed.Calm() { // a first request: the word that all is known is on its way
		g.feed.WaitFresh(ctx, requestPatience)
		if age, stale = g.feed.Stale(); !stale {
			return nil
		}
	}
	if on == StaleIntrospect && g.feed.CanAsk() {
		return g.ask(ctx, raw)
	}
	return refuse(fmt.Errorf("%w: %w, last heard %s ago", ErrUnavailable, errStale, age.Round(time.Second)))
}

// resolve reduces a rule to StaleAllow, StaleIntrospect or StaleDeny.
func (g *Guard) resolve(on OnStale, age time.Duration) OnStale {
	switch {
	case (on == StaleDefault || on == staleRead) && !g.feed.CanAsk():
		return StaleAllow
	case on == StaleDefault:
		return StaleIntrospect
	case on == staleRead:
		on = StaleBriefly
	}
	if on == StaleBriefly {
		on = StaleAllow
		if age > briefly {
			on = StaleIntrospect
		}
	}
	return on
}

func (g *Guard) ask(ctx context.Context, raw func() (string, error)) error {
	token, err := raw()
	if err != nil {
		return refuse(fmt.Errorf("%w: %w: %w", ErrUnavailable, errStale, err))
	}
	active, err := g.feed.Ask(ctx, token)
	switch {
	case err != nil:
		return refuse(fmt.Errorf("%w: %w: %w", ErrUnavailable, errStale, err))
	case !active:
		return refuse(fmt.Errorf("%w: introspection says so", errRevoked))
	}
	return nil
}

// confirmed holds a request's caller against its rule's OnStale.
func (g *Guard) confirmed(ctx context.Context, c Caller, authorization []string, on OnStale) error {
	return c.v.by.confirm(ctx, c.v, func() (string, error) { return oauth.ParseBearer(authorization) }, on)
}

// forMethod is a rule for one request: the default differs for reads.
func (s OnStale) forMethod(method string) OnStale {
	if s == StaleDefault && (method == http.MethodGet || method == http.MethodHead) {
		return staleRead
	}
	return s
}
