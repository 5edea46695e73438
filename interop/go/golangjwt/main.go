// An API with golang-jwt, and keyfunc for the keys.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// [guide: verify]
type claims struct {
	Scope string `json:"scope"`
	jwt.RegisteredClaims
}

// Validate is called by the parser, after the registered claims were checked.
func (c claims) Validate() error {
	if c.Subject == "" {
		return errors.New("no sub")
	}
	return nil
}

type gate struct {
	parser *jwt.Parser
	keys   keyfunc.Keyfunc
}

func newGate(ctx context.Context, issuer, audience string) (*gate, error) {
	// The set is fetched every hour, and for a kid that is not known at once; the
	// library allows that every 5 minutes, here it is every 30 seconds.
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{issuer + "/.well-known/jwks.json"},
		keyfunc.Override{RefreshUnknownKID: rate.NewLimiter(rate.Every(30*time.Second), 1), RateLimitWaitMax: time.Second, HTTPTimeout: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	// None of these is checked unless it is asked for.
	return &gate{keys: keys, parser: jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithLeeway(30*time.Second))}, nil
}

func (g *gate) verify(raw string) (*claims, error) {
	c := &claims{}
	token, err := g.parser.ParseWithClaims(raw, c, g.keys.Keyfunc)
	if err != nil {
		return nil, err
	}
	// golang-jwt does not look at typ: without this line an ID token with the API's audience would do.
	// Nor at crit, which names what must be understood (RFC 7515 §4.1.11).
	if _, critical := token.Header["crit"]; critical || token.Header["typ"] != "at+jwt" {
		return nil, errors.New("not an access token")
	}
	return c, nil
}

type callerKey struct{}

func (g *gate) require(scope string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		scheme, raw, found := strings.Cut(r.Header.Get("Authorization"), " ")
		if !found || !strings.EqualFold(scheme, "Bearer") {
			refuse(w, http.StatusUnauthorized, `Bearer`)
			return
		}
		c, err := g.verify(raw)
		if err != nil {
			refuse(w, http.StatusUnauthorized, `Bearer error="invalid_token"`)
			return
		}
		if !slices.Contains(strings.Split(c.Scope, " "), scope) {
			refuse(w, http.StatusForbidden, fmt.Sprintf(`Bearer error="insufficient_scope", scope=%q`, scope))
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
	}
}

func refuse(w http.ResponseWriter, status int, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(status)
}

// [end]

func main() {
	g, err := newGate(context.Background(), os.Getenv("ISSUER"), os.Getenv("AUDIENCE"))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	// [guide: routes]
	mux.HandleFunc("GET /orders", g.require("orders:read", orders))
	mux.HandleFunc("POST /orders", g.require("orders:write", place))
	// [end]
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux))
}

func orders(w http.ResponseWriter, r *http.Request) {
	json.NewEncoder(w).Encode(map[string]any{"orders": []string{}, "for": r.Context().Value(callerKey{}).(*claims).Subject})
}

func place(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]string{"by": r.Context().Value(callerKey{}).(*claims).Subject})
}
