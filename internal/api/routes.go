package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/broadcast"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// published is the key set that verifiers may use now, and whether its keys sign.
type published interface {
	Published() jose.KeySet
	PublishedFeed() jose.KeySet
	Ready(ctx context.Context) error
}

// records tells whether the store answers, which scopes exist, and which
// origins any client allows.
type records interface {
	Ping(ctx context.Context) error
	APIs(ctx context.Context) ([]iam.API, error)
	OriginKnown(ctx context.Context, origin string) (bool, error)
}

// Config of the machine endpoints. Locales and FeedAccess may be left out.
type Config struct {
	Issuer  string
	Tokens  *token.Service
	Logins  *login.Service
	Keys    published
	Records records
	Feed    *broadcast.Hub
	Logger  *slog.Logger
	Locales []string // that the pages speak
	// FeedAccess says who may read the revocation feed; zero: everybody (C19).
	FeedAccess FeedAccess
	// Troubles are mentioned by /readyz; nil: none.
	Troubles troubles
	feed     feedTimes // tests make them short
}

// troubles are what somebody should know of a server that is ready all the same.
type troubles interface {
	Troubles() []string
	// Durability is what a change that was answered survives; "" when the
	// database is a file, or does not say now.
	Durability() string
}

type handler struct {
	issuer  string
	tokens  *token.Service
	logins  *login.Service
	keys    published
	records records
	feed    feedDoor
	locales []string
	trouble troubles
}

// Routes returns the machine endpoints. Patterns carry no method: respond.Method
// answers 405 in the words of the protocol.
func Routes(c Config) (*http.ServeMux, error) {
	if c.Issuer == "" || c.Tokens == nil || c.Logins == nil || c.Keys == nil || c.Records == nil || c.Feed == nil || c.Logger == nil {
		return nil, errors.New("api: Issuer, Tokens, Logins, Keys, Records, Feed and Logger are required")
	}
	h := handler{issuer: c.Issuer, tokens: c.Tokens, logins: c.Logins, keys: c.Keys, records: c.Records, feed: newFeedDoor(c), locales: c.Locales, trouble: c.Troubles}
	mux := http.NewServeMux()
	for _, route := range []struct {
		path, method string
		readers      readers
		handle       respond.Handler
	}{
		{"/oauth/token", http.MethodPost, clientPages, h.token},
		{"/oauth/par", http.MethodPost, noPages, h.push},
		{"/oauth/device_authorization", http.MethodPost, noPages, h.deviceAuthorization},
		{"/oauth/authorize-challenge", http.MethodPost, noPages, h.challenge},
		{oauth.HandoffRedeemPath, http.MethodPost, noPages, h.redeemHandoff},
		{"/oauth/revoke", http.MethodPost, clientPages, h.revoke},
		{"/oauth/introspect", http.MethodPost, noPages, h.introspect},
		{"/.well-known/oauth-authorization-server", http.MethodGet, allPages, h.metadata},
		{"/.well-known/openid-configuration", http.MethodGet, allPages, h.metadata},
		{"/.well-known/jwks.json", http.MethodGet, allPages, h.jwks},
		{oauth.FeedKeysPath, http.MethodGet, allPages, h.feedKeys},
		{oauth.FeedPath, http.MethodGet, noPages, h.revocations},
		{"/healthz", http.MethodGet, noPages, h.healthz},
		{"/readyz", http.MethodGet, noPages, h.readyz},
	} {
		endpoint := respond.Method(respond.With(c.Logger, route.handle), route.method)
		preflight := respond.With(c.Logger, h.preflight(route.readers, route.method))
		mux.Handle(route.path, cors(route.readers, preflight, endpoint))
	}
	mux.Handle("/oauth/userinfo", cors(clientPages, respond.With(c.Logger, h.preflight(clientPages, "GET, POST")),
		respond.Method(respond.With(c.Logger, h.userinfo), http.MethodGet, http.MethodPost)))
	return mux, nil
}
