package demo

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
)

// provider is the issuer as a web app sees it: its addresses, found by
// discovery, and its keys. It knows nothing but the issuer's URL.
type provider struct {
	issuer   string
	clientID string
	client   *http.Client
	keys     *jwks.Cache
	now      func() time.Time

	mu    sync.Mutex
	found *endpoints
}

// endpoints are what the app uses of the discovery document (OpenID Connect
// Discovery §3).
type endpoints struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	UserInfo      string `json:"userinfo_endpoint"`
	EndSession    string `json:"end_session_endpoint"`
}

// leeway is for clocks that differ.
const leeway = 30 * time.Second

// discover reads the document once; a failure is tried again by the next caller.
func (p *provider) discover(ctx context.Context) (endpoints, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return *p.found, nil
	}
	var e endpoints
	if err := p.get(ctx, strings.TrimSuffix(p.issuer, "/")+"/.well-known/openid-configuration", "", &e); err != nil {
		return endpoints{}, fmt.Errorf("discover the issuer: %w", err)
	}
	if e.Issuer != p.issuer || e.Authorization == "" || e.Token == "" || e.UserInfo == "" || e.EndSession == "" {
		return endpoints{}, fmt.Errorf("discover the issuer: the document is of %q, or lacks an endpoint", e.Issuer)
	}
	p.found = &e
	return e, nil
}

// statusError is an answer that is not 200.
type statusError struct{ status int }

func (e *statusError) Error() string { return fmt.Sprintf("the answer is %d", e.status) }

// get reads JSON, with an access token if one is given.
func (p *provider) get(ctx context.Context, address, token string, into any) error {
	return p.call(ctx, http.MethodGet, address, token, nil, into)
}

// maxAnswer bounds what an app reads of an answer.
const maxAnswer = 1 << 20

func (p *provider) call(ctx context.Context, method, address, token string, body io.Reader, into any) error {
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
		return &statusError{response.StatusCode}
	}
	return json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(into)
}

// identity is what an ID token says.
type identity struct {
	Subject string
	Session string // sid, which a logout token will name
	ACR     string
	Issued  time.Time
	raw     string // to prove at the logout whose session it is
}

// readIDToken checks an ID token by OpenID Connect Core §3.1.3.7.
func (p *provider) readIDToken(ctx context.Context, raw, nonce, accessToken string) (identity, error) {
	claims, err := p.verify(ctx, raw, "jwt")
	if err != nil {
		return identity{}, fmt.Errorf("read ID token: %w", err)
	}
	var text [5]string
	for i, name := range []string{"nonce", "at_hash", "azp", "sid", "acr"} {
		if text[i], err = claims.String(name); err != nil {
			return identity{}, fmt.Errorf("read ID token: %w", err)
		}
	}
	switch {
	case len(claims.Audience) != 1:
		return identity{}, errors.New("read ID token: it is for others too")
	case claims.Subject == "" || !claims.Has("iat"):
		return identity{}, errors.New("read ID token: sub or iat is missing")
	case subtle.ConstantTimeCompare([]byte(text[0]), []byte(nonce)) != 1:
		return identity{}, errors.New("read ID token: the nonce is not the one of this sign-in")
	case text[1] != leftHalf(accessToken):
		return identity{}, errors.New("read ID token: it came with another access token")
	case text[2] != "" && text[2] != p.clientID:
		return identity{}, errors.New("read ID token: another client asked for it")
	}
	return identity{Subject: claims.Subject, Session: text[3], ACR: text[4], Issued: claims.IssuedAt, raw: raw}, nil
}

// leftHalf is the at_hash for RS256 and ES256 (OpenID Connect Core §3.1.3.6).
func leftHalf(accessToken string) string {
	digest := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}

// logoutEvent marks a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// readLogoutToken checks a logout token (OpenID Connect Back-Channel Logout
// §2.6) and returns the session or the user whose sessions ended.
func (p *provider) readLogoutToken(ctx context.Context, raw string) (session, subject string, err error) {
	claims, err := p.verify(ctx, raw, "logout+jwt")
	if err != nil {
		return "", "", fmt.Errorf("read logout token: %w", err)
	}
	var events map[string]struct{}
	if err := json.Unmarshal(claims.Raw("events"), &events); err != nil {
		return "", "", errors.New("read logout token: events is not an object of objects")
	}
	if session, err = claims.String("sid"); err != nil {
		return "", "", fmt.Errorf("read logout token: %w", err)
	}
	_, ended := events[logoutEvent]
	switch {
	case !ended:
		return "", "", errors.New("read logout token: it tells of no logout")
	case claims.Has("nonce"):
		return "", "", errors.New("read logout token: it has a nonce, as only an ID token may")
	case !claims.Has("iat") || !claims.Has("jti"):
		return "", "", errors.New("read logout token: iat or jti is missing")
	case session == "" && claims.Subject == "":
		return "", "", errors.New("read logout token: it names neither a session nor a user")
	}
	return session, claims.Subject, nil
}

// verify checks signature, type, issuer, audience and times.
func (p *provider) verify(ctx context.Context, raw, kind string) (jose.Claims, error) {
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
	return claims, jose.Expect{Type: kind, Issuer: p.issuer, Audience: p.clientID, Now: p.now(), Leeway: leeway}.Check(t, claims)
}
