package relying

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
)

// Config of a Party. All but Now is required.
type Config struct {
	Issuer      string
	ClientID    string
	Secret      string
	RedirectURL string
	Scopes      []string
	Logger      *slog.Logger
	Now         func() time.Time // nil: time.Now
}

// Party is one client at one issuer, of which it knows nothing but the URL.
// Safe for concurrent use.
type Party struct {
	config Config
	client *http.Client
	keys   *jwks.Cache

	mu    sync.Mutex
	found *Endpoints
}

// patience is how long the issuer may take to answer.
const patience = 10 * time.Second

// New asks the issuer nothing before the first use.
func New(c Config) (*Party, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	// A redirect would carry codes and tokens to where nobody configured.
	client := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	cache, err := jwks.New(jwks.Config{Issuer: c.Issuer, HTTPClient: client, Now: c.Now, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	return &Party{config: c, client: client, keys: cache}, nil
}

// Close ends the background work.
func (p *Party) Close() error { return p.keys.Close() }

// Endpoints are what is used of the discovery document (OpenID Connect
// Discovery §3).
type Endpoints struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	UserInfo      string `json:"userinfo_endpoint"`
	EndSession    string `json:"end_session_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
}

// leeway is for clocks that differ.
const leeway = 30 * time.Second

// Discover reads the document once; a failure is tried again by the next caller.
func (p *Party) Discover(ctx context.Context) (Endpoints, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return *p.found, nil
	}
	var e Endpoints
	if err := p.Get(ctx, strings.TrimSuffix(p.config.Issuer, "/")+"/.well-known/openid-configuration", "", &e); err != nil {
		return Endpoints{}, fmt.Errorf("discover the issuer: %w", err)
	}
	if e.Issuer != p.config.Issuer || e.Authorization == "" || e.Token == "" || e.UserInfo == "" || e.EndSession == "" {
		return Endpoints{}, fmt.Errorf("discover the issuer: the document is of %q, or lacks an endpoint", e.Issuer)
	}
	for _, address := range []string{e.Authorization, e.Token, e.UserInfo, e.EndSession, e.Revocation} {
		if strings.HasPrefix(p.config.Issuer, "https:") && address != "" && !strings.HasPrefix(address, "https:") {
			return Endpoints{}, fmt.Errorf("discover the issuer: %s is not https", address)
		}
	}
	p.found = &e
	return e, nil
}

// StatusError is an answer that is not 2xx.
type StatusError struct{ Status int }

func (e *StatusError) Error() string { return fmt.Sprintf("the answer is %d", e.Status) }

// Get reads JSON, with an access token if one is given.
func (p *Party) Get(ctx context.Context, address, token string, into any) error {
	return p.Call(ctx, http.MethodGet, address, token, nil, into)
}

// maxAnswer bounds what an app reads of an answer.
const maxAnswer = 1 << 20

// Call sends JSON, or nothing, and reads JSON.
func (p *Party) Call(ctx context.Context, method, address, token string, body io.Reader, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return &StatusError{response.StatusCode}
	}
	return json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(into)
}

// Identity is what an ID token says.
type Identity struct {
	Subject string
	Session string // sid, which a logout token will name
	ACR     string
	Issued  time.Time
	Raw     string // the token, which proves at the logout whose session it is
}

// ReadIDToken checks an ID token by OpenID Connect Core §3.1.3.7.
func (p *Party) ReadIDToken(ctx context.Context, raw, nonce, accessToken string) (Identity, error) {
	claims, err := p.verify(ctx, raw, "jwt")
	if err != nil {
		return Identity{}, fmt.Errorf("read ID token: %w", err)
	}
	var text [5]string
	for i, name := range []string{"nonce", "at_hash", "azp", "sid", "acr"} {
		if text[i], err = claims.String(name); err != nil {
			return Identity{}, fmt.Errorf("read ID token: %w", err)
		}
	}
	switch {
	case len(claims.Audience) != 1:
		return Identity{}, errors.New("read ID token: it is for others too")
	case claims.Subject == "" || !claims.Has("iat"):
		return Identity{}, errors.New("read ID token: sub or iat is missing")
	case subtle.ConstantTimeCompare([]byte(text[0]), []byte(nonce)) != 1:
		return Identity{}, errors.New("read ID token: the nonce is not the one of this sign-in")
	case text[1] != LeftHalf(accessToken):
		return Identity{}, errors.New("read ID token: it came with another access token")
	case text[2] != "" && text[2] != p.config.ClientID:
		return Identity{}, errors.New("read ID token: another client asked for it")
	}
	return Identity{Subject: claims.Subject, Session: text[3], ACR: text[4], Issued: claims.IssuedAt, Raw: raw}, nil
}

// LeftHalf is the at_hash for RS256 and ES256 (OpenID Connect Core §3.1.3.6).
func LeftHalf(accessToken string) string {
	digest := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}

// logoutEvent marks a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Ended is what a logout token says.
type Ended struct {
	Session string // sid; empty: all sessions of Subject
	Subject string
	ID      string    // jti
	Expires time.Time // of the token
}

// ReadLogoutToken checks a logout token (OpenID Connect Back-Channel Logout
// §2.6).
func (p *Party) ReadLogoutToken(ctx context.Context, raw string) (Ended, error) {
	claims, err := p.verify(ctx, raw, "logout+jwt")
	if err != nil {
		return Ended{}, fmt.Errorf("read logout token: %w", err)
	}
	var events map[string]struct{}
	if err := json.Unmarshal(claims.Raw("events"), &events); err != nil {
		return Ended{}, errors.New("read logout token: events is not an object of objects")
	}
	session, err := claims.String("sid")
	if err != nil {
		return Ended{}, fmt.Errorf("read logout token: %w", err)
	}
	_, ended := events[logoutEvent]
	switch {
	case !ended:
		return Ended{}, errors.New("read logout token: it tells of no logout")
	case claims.Has("nonce"):
		return Ended{}, errors.New("read logout token: it has a nonce, as only an ID token may")
	case !claims.Has("iat") || !claims.Has("jti"):
		return Ended{}, errors.New("read logout token: iat or jti is missing")
	case session == "" && claims.Subject == "":
		return Ended{}, errors.New("read logout token: it names neither a session nor a user")
	}
	return Ended{Session: session, Subject: claims.Subject, ID: claims.ID, Expires: claims.Expires}, nil
}

// verify checks signature, type, issuer, audience and times.
func (p *Party) verify(ctx context.Context, raw, kind string) (jose.Claims, error) {
	t, err := jose.Parse(raw)
	if err != nil {
		return jose.Claims{}, err
	}
	key, err := p.keys.Find(ctx, t.KeyID())
	if err != nil {
		return jose.Claims{}, err
	}
	if err := t.Verify(key); err != nil {
		return jose.Claims{}, err
	}
	claims, err := t.Claims()
	if err != nil {
		return jose.Claims{}, err
	}
	return claims, jose.Expect{Type: kind, Issuer: p.config.Issuer, Audience: p.config.ClientID, Now: p.config.Now(), Leeway: leeway}.Check(t, claims)
}
