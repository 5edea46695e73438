package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// healthyFeed is what the age of a feed stays below (FeedAge of package guard).
const healthyFeed = 2 * time.Second

// staleFeed is above which a feed is stale.
const staleFeed = 5 * time.Second

// errStale marks refusals because revocations are not known.
var errStale = errors.New("revocations are not known")

// confirm asks what the route wants while revocations are not known: what it says
// (on_stale, sensitive), or the default of its method.
func (r *rules) confirm(ctx context.Context, k *known, authorization []string, d *policy.Decision) error {
	raw, err := oauth.ParseBearer(authorization)
	if err != nil {
		return err
	}
	err = r.guard.Confirm(ctx, k.caller, raw, r.onStale(d, k.policy.Issuer))
	if errors.Is(err, guard.ErrUnavailable) {
		return fmt.Errorf("%w: %w", errStale, err)
	}
	return err
}

// onStale is a decision's rule in guard's words. The defaults ask only where
// somebody can be asked: without a client for it, a token that was revoked
// meanwhile ends with its exp, as it would without a feed.
func (r *rules) onStale(d *policy.Decision, issuer string) guard.OnStale {
	switch d.OnStale {
	case policy.StaleDeny:
		return guard.StaleDeny
	case policy.StaleIntrospect:
		if d.Route.OnStale == "" {
			return guard.StaleDefault
		}
		return guard.StaleIntrospect
	case policy.StaleBriefly:
		if r.asks[issuer] {
			return guard.StaleBriefly
		}
	}
	return guard.StaleAllow
}
