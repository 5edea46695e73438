package guard

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Caller is who calls: the verified content of an access token. It is
// immutable and made by Verify only. The zero Caller has no scope and no role.
type Caller struct{ v *verified }

// verified is shared between requests with the same token, so nothing in it
// is ever handed out without a copy.
type verified struct {
	claims   jose.Claims
	client   string
	scopes   []string
	roles    []string
	acr      string
	sid      string
	tokenID  string
	service  bool
	authTime time.Time
	// key is the key that verified it (C17).
	key jose.Key
	// by is the guard that verified it, whose feed speaks about it.
	by *Guard
	// subject is what the feed may name of it, and marks its fingerprints, which
	// are computed once (C15, C16). fault: a claim that the feed speaks about has
	// the wrong type.
	subject feed.Subject
	fault   error
	marks   atomic.Pointer[marks]
}

func (c Caller) claims() jose.Claims {
	if c.v == nil {
		return jose.Claims{}
	}
	return c.v.claims
}

// Issuer is the `iss` claim.
func (c Caller) Issuer() string { return c.claims().Issuer }

// Subject is the `sub` claim: a user id, or the id of a service account.
func (c Caller) Subject() string { return c.claims().Subject }

// TokenID is the `jti` claim, empty where a Profile's tokens have none.
func (c Caller) TokenID() string {
	if c.v == nil {
		return ""
	}
	return c.v.tokenID
}

// Expires is the `exp` claim.
func (c Caller) Expires() time.Time { return c.claims().Expires }

// ClientID is the application that the token was issued to.
func (c Caller) ClientID() string {
	if c.v == nil {
		return ""
	}
	return c.v.client
}

// IsService tells whether a service account calls, for itself and not for a user.
func (c Caller) IsService() bool { return c.v != nil && c.v.service }

// HasScope tells whether the token holds a scope; case matters.
func (c Caller) HasScope(scope string) bool { return c.v != nil && slices.Contains(c.v.scopes, scope) }

// HasRole tells whether the token names a role. A role is a further condition,
// never a substitute for a scope.
func (c Caller) HasRole(role string) bool { return c.v != nil && slices.Contains(c.v.roles, role) }

// Scopes is a copy of the token's scopes.
func (c Caller) Scopes() []string {
	if c.v == nil {
		return []string{}
	}
	return append([]string{}, c.v.scopes...)
}

// Roles is a copy of the token's roles.
func (c Caller) Roles() []string {
	if c.v == nil {
		return []string{}
	}
	return append([]string{}, c.v.roles...)
}

// ACR is how strongly the user logged in: pwd, mfa or phr; empty for a service account.
func (c Caller) ACR() string {
	if c.v == nil {
		return ""
	}
	return c.v.acr
}

// SessionID is the `sid` claim, empty outside a session.
func (c Caller) SessionID() string {
	if c.v == nil {
		return ""
	}
	return c.v.sid
}

// Claims reads the token's claims into a struct of yours. Names are matched
// exactly: a claim "Tenant" never fills a field named `json:"tenant"`.
func Claims[T any](c Caller) (T, error) {
	var into T
	if c.v == nil {
		return into, ErrNoToken
	}
	err := c.v.claims.Decode(&into)
	return into, err
}

type callerKey struct{}

// attached is what the context carries: the caller, and which Guard verified it.
type attached struct {
	caller Caller
	by     *Guard
}

func attach(ctx context.Context, c Caller, by *Guard) context.Context {
	return context.WithValue(ctx, callerKey{}, attached{caller: c, by: by})
}

// NewContext returns a context that carries a caller, for transports that call
// Verify or Check themselves. It panics on the zero Caller, who is nobody.
func NewContext(ctx context.Context, c Caller) context.Context {
	if c.v == nil {
		panic("guard: the zero Caller is nobody")
	}
	return attach(ctx, c, nil)
}

// FromContext returns the caller of a request that went through a Guard.
func FromContext(ctx context.Context) (Caller, bool) {
	a, ok := ctx.Value(callerKey{}).(attached)
	return a.caller, ok
}

// MustFromContext is FromContext for handlers that are always guarded. It
// panics on a route that is not.
func MustFromContext(ctx context.Context) Caller {
	c, ok := FromContext(ctx)
	if !ok {
		panic("guard: route is not guarded")
	}
	return c
}
