package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
	"github.com/gatehouse-auth/gatehouse/internal/relying"
	"github.com/gatehouse-auth/gatehouse/internal/visit"
)

// BFF makes the gateway the backend of a browser app: it signs people in and
// keeps their tokens, and the browser has nothing but a cookie.
type BFF struct {
	// ExternalURL is the origin that browsers see, the only name that the
	// gateway then answers to: https, or http on loopback.
	ExternalURL string
	// ClientID and ClientSecret are the gateway's own at the issuer.
	ClientID, ClientSecret string
	// Issuer may be empty where the policy has one only.
	Issuer string
	// Scopes to ask for. Empty: openid and profile.
	Scopes []string
}

// Paths that a BFF answers. Nothing below bffPrefix reaches the upstream.
const (
	bffPrefix          = "/.gatehouse/"
	bffLoginPath       = bffPrefix + "login"
	bffCallbackPath    = bffPrefix + "callback"
	bffLogoutPath      = bffPrefix + "logout"
	bffSignedOutPath   = bffPrefix + "signed-out"
	bffSessionPath     = bffPrefix + "session"
	bffBackchannelPath = bffPrefix + "backchannel-logout"
)

// CSRFHeader is what a page must send with every request that may change
// something. A form cannot send it, and another site's script only after a
// preflight, which nobody grants.
const CSRFHeader = "Gatehouse-Csrf"

// bff is a running BFF.
type bff struct {
	BFF
	host    string // of the external URL
	gateway *Gateway
	logger  *slog.Logger
	party   *relying.Party
	visits  *visit.Store
	cookies bffCookies
	flights flights
	streams streams
}

// openBFF checks the configuration and opens the sessions.
func (g *Gateway) openBFF(c BFF) (*bff, error) {
	origin, err := url.Parse(c.ExternalURL)
	switch {
	case err != nil || origin.Host == "" || origin.User != nil || origin.Path != "" || origin.RawQuery != "" || origin.Fragment != "" || origin.Scheme != schemeHTTP && origin.Scheme != schemeHTTPS:
		return nil, fmt.Errorf("the external URL %q is not an origin such as https://app.example.com, without a path", c.ExternalURL)
	case origin.Scheme == schemeHTTP && !loopbackName(origin.Hostname()):
		return nil, fmt.Errorf("the external URL %s is not https: anybody on the way could take the cookie. http is for loopback", c.ExternalURL)
	case c.ExternalURL != strings.ToLower(c.ExternalURL):
		return nil, fmt.Errorf("the external URL %s has capital letters, and browsers send small ones", c.ExternalURL)
	case c.ClientID == "" || c.ClientSecret == "":
		return nil, errors.New("a BFF is a confidential client: it needs a client id and a secret")
	case g.config.Data == "":
		return nil, errors.New("a BFF keeps sessions: give it a folder of its own with --data")
	case g.config.ForwardAuth != (Carrier{}):
		return nil, errors.New("a BFF answers browsers, not other proxies: leave out --forward-auth")
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"openid", "profile"}
	}
	if !slices.Contains(c.Scopes, "openid") {
		return nil, errors.New("the scopes of a BFF lack openid: without it nobody says who signed in")
	}
	b := &bff{BFF: c, host: origin.Host, gateway: g, logger: g.logger, cookies: nameCookies(origin)}
	b.party, err = relying.New(relying.Config{Issuer: c.Issuer, ClientID: c.ClientID, Secret: c.ClientSecret, RedirectURL: c.ExternalURL + bffCallbackPath, Scopes: c.Scopes, Logger: g.logger, Now: g.now})
	if err != nil {
		return nil, err
	}
	if b.visits, err = visit.Open(context.Background(), visit.Config{Dir: g.config.Data, KeyFile: g.config.KeyFile, Database: g.config.Database, Password: g.config.DatabasePassword, Now: g.clock}); err != nil {
		return nil, errors.Join(err, b.party.Close())
	}
	if b.visits.Shared() {
		g.tending.Go(b.follow)
	}
	return b, nil
}

// followEvery is how often a gateway looks whether another has ended sessions
// with requests under way here.
const followEvery = time.Second

// follow ends requests of sessions that ended at another gateway.
func (b *bff) follow() {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.gateway.closed:
			return
		case <-tick.C:
		}
		open := b.streams.keys()
		if len(open) == 0 {
			continue
		}
		gone, err := b.visits.Gone(context.Background(), open)
		if err != nil {
			b.logger.Warn("sessions of requests under way cannot be looked up", "cause", err)
		}
		b.streams.end(gone...)
	}
}

func loopbackName(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (b *bff) close() error {
	if b == nil {
		return nil
	}
	return errors.Join(b.party.Close(), b.visits.Close())
}

// bffIssuer is where people log in: the issuer that is configured, or the only
// one whose tokens the policy takes.
func (g *Gateway) bffIssuer(tokens []policy.Token) (string, error) {
	want := g.config.BFF.Issuer
	switch {
	case want == "" && len(tokens) == 1:
		return tokens[0].Issuer, nil
	case want == "":
		return "", errors.New("the policy takes tokens of several issuers: say with --issuer at which of them people log in")
	case !slices.ContainsFunc(tokens, func(t policy.Token) bool { return t.Issuer == want }):
		return "", fmt.Errorf("people log in at %s, whose tokens the policy does not take", want)
	}
	return want, nil
}

// reserved tells whether a path is the BFF's own, whatever is behind the prefix.
func reserved(path string) bool {
	return path+"/" == bffPrefix || strings.HasPrefix(path, bffPrefix)
}

// serve answers browsers. Whatever changes something is checked first, whichever
// route it is for: a list of exceptions is how such checks are lost.
func (b *bff) serve(w http.ResponseWriter, r *http.Request, rules *rules, id string, trusted bool) {
	p := path(r.RequestURI)
	if p == bffBackchannelPath && r.Method == http.MethodPost { // the issuer's server calls: no cookie is read
		b.backchannel(w, r, id)
		return
	}
	if fault := b.crossSite(r); fault != "" {
		b.logger.Info("request refused", "reason", "csrf", "cause", fault, "request_id", id)
		b.gateway.refuse(w, id, refusal{status: http.StatusForbidden, code: "csrf", sentence: "This request did not come from the app's own page: " + fault + "."})
		return
	}
	if reserved(p) {
		b.own(w, r, id)
		return
	}
	if len(r.Header["Authorization"]) > 0 {
		b.gateway.refuse(w, id, refusal{status: http.StatusBadRequest, code: "invalid_request", sentence: "Browsers sign in here with a cookie. An Authorization header is not taken."})
		return
	}
	b.pass(w, r, rules, id, trusted)
}

// own answers the BFF's own paths.
func (b *bff) own(w http.ResponseWriter, r *http.Request, id string) {
	bffHeaders(w.Header(), r)
	switch route := r.Method + " " + path(r.RequestURI); route {
	case "GET " + bffLoginPath:
		b.login(w, r, id)
	case "GET " + bffCallbackPath:
		b.callback(w, r, id)
	case "GET " + bffSignedOutPath:
		b.page(w, http.StatusOK, bffPage{Title: "You are signed out", Link: "/", Label: "Back to the app"})
	case "GET " + bffSessionPath:
		b.session(w, r, id)
	case "POST " + bffLogoutPath:
		b.logout(w, r, id)
	default:
		b.gateway.refuse(w, id, refusal{status: http.StatusNotFound, code: "not_found", sentence: "There is nothing at this address."})
	}
}

// bffHeaders are on every answer of the BFF's own.
func bffHeaders(h http.Header, r *http.Request) {
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if r.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	}
}

// crossSite says why a request may be another site's, "" when it is not or
// changes nothing. Where headers disagree, the request is refused.
func (b *bff) crossSite(r *http.Request) string {
	upgrade := len(r.Header["Upgrade"]) > 0
	if !upgrade && (reading(r) || r.Method == http.MethodOptions) {
		return ""
	}
	origins, sites := r.Header["Origin"], r.Header["Sec-Fetch-Site"]
	switch {
	case len(origins) > 1 || len(sites) > 1:
		return "Origin or Sec-Fetch-Site is there twice"
	case len(origins) == 1 && origins[0] != b.ExternalURL:
		return "Origin is not " + b.ExternalURL
	case len(sites) == 1 && sites[0] != "same-origin":
		return "Sec-Fetch-Site is not same-origin"
	case upgrade && len(origins) == 0: // a WebSocket cannot carry a header of ours
		return "an upgrade needs Origin"
	case len(origins)+len(sites) == 0:
		return "neither Origin nor Sec-Fetch-Site is there"
	}
	if sent := r.Header[CSRFHeader]; !upgrade && (len(sent) != 1 || sent[0] != "1") {
		return "the header Gatehouse-CSRF: 1 is missing"
	}
	return ""
}

// named tells whether a request is for the name that browsers know (C22).
func (b *bff) named(host string) bool {
	port := ":80"
	if strings.HasPrefix(b.ExternalURL, "https:") {
		port = ":443"
	}
	return strings.EqualFold(strings.TrimSuffix(host, port), strings.TrimSuffix(b.host, port))
}

// streams are requests under way, by session: a logout ends them.
type streams struct {
	mu   sync.Mutex
	open map[visit.Key]map[*context.CancelCauseFunc]struct{}
}

// begin registers a request; the function that it returns says that it is over.
func (s *streams) begin(ctx context.Context, key visit.Key) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	handle := &cancel
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[visit.Key]map[*context.CancelCauseFunc]struct{}{}
	}
	if s.open[key] == nil {
		s.open[key] = map[*context.CancelCauseFunc]struct{}{}
	}
	s.open[key][handle] = struct{}{}
	return ctx, func() {
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open[key], handle)
		if len(s.open[key]) == 0 {
			delete(s.open, key)
		}
	}
}

// keys of the sessions with requests under way.
func (s *streams) keys() []visit.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.open))
}

func (s *streams) end(keys ...visit.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		for cancel := range s.open[k] {
			(*cancel)(errSessionEnded)
		}
	}
}

// flights let one request of a session refresh its tokens while the others wait.
type flights struct {
	mu   sync.Mutex
	open map[visit.Key]*flight
}

type flight struct {
	done    chan struct{}
	session visit.Session
	err     error
}

// do runs f once for all that ask at the same time. Whoever waits may give up.
func (f *flights) do(ctx context.Context, key visit.Key, run func() (visit.Session, error)) (visit.Session, error) {
	f.mu.Lock()
	if f.open == nil {
		f.open = map[visit.Key]*flight{}
	}
	current, flying := f.open[key]
	if !flying {
		current = &flight{done: make(chan struct{})}
		f.open[key] = current
		go func() { // not of the request: a browser that leaves must not lose the tokens of the others
			current.session, current.err = run()
			f.mu.Lock()
			delete(f.open, key)
			f.mu.Unlock()
			close(current.done)
		}()
	}
	f.mu.Unlock()
	select {
	case <-current.done:
		return current.session, current.err
	case <-ctx.Done():
		return visit.Session{}, ctx.Err()
	}
}
