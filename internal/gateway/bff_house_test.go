package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/dial"
	"github.com/gatehouse-auth/gatehouse/internal/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

const (
	bffPassword = "lantern drawbridge violet otter sundial"
	bffPolicy   = `version: 1
tokens:
  - issuer: ISSUER
    audience: https://api.example.com
identity_headers: { X-User-Id: token.sub, X-Roles: token.roles }
routes:
  - GET,HEAD,POST /public/**: { public: true }
  - GET,HEAD,POST,PUT,PATCH,DELETE /orders/**: { scope: orders:read }
  - GET,POST /cookies: { forward: [cookie] }
  - GET,POST /private/**: { scope: never:granted }
`
)

// app is a browser app: a real authority, a gateway with sessions, an upstream.
type app struct {
	t         *testing.T
	parts     *server.Parts
	authority *httptest.Server
	gateway   *gateway.Gateway
	site      *httptest.Server
	upstream  *lenient
	config    gateway.Config
	url       string
	cookie    string // name of the session cookie
	secret    string

	mu        sync.Mutex
	secrets   map[string]string                          // tokens that the issuer gave, by kind and number
	refreshes int                                        // how often the gateway asked
	answer    func(r *http.Request, body map[string]any) // may change what the token endpoint says
	slow      time.Duration
	down      bool
	logouts   []string // logout tokens that came
	ahead     time.Duration
}

func newApp(t *testing.T, change ...func(*gateway.Config)) *app {
	t.Helper()
	a := &app{t: t, secrets: map[string]string{}, upstream: newLenient(t)}
	var authority http.Handler
	a.authority = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.watch(w, r, authority) }))
	t.Cleanup(a.authority.Close)
	kek, _ := keys.GenerateKEK()
	ctx, stop := context.WithCancel(context.Background())
	var err error
	a.parts, err = server.Assemble(ctx, server.Config{Issuer: a.authority.URL, Dir: t.TempDir(), Database: storetest.Database(t, t.TempDir()), KEKs: []keys.KEK{kek}, Outgoing: dial.Config{InsecureLoopback: true}, Logger: discard()})
	a.must(err)
	spare, err := net.Listen("tcp", "127.0.0.1:0") // what runs beside: the delivery of logouts
	a.must(err)
	var running sync.WaitGroup
	running.Go(func() { _ = a.parts.Run(ctx, spare) })
	t.Cleanup(func() { stop(); running.Wait(); a.parts.Close() })
	authority = a.parts.Handler
	a.site = httptest.NewUnstartedServer(nil)
	a.url = "http://" + a.site.Listener.Addr().String()
	_, port, _ := strings.Cut(a.site.Listener.Addr().String(), ":")
	a.cookie = "gatehouse-app-" + port
	d := a.parts.Directory
	_, err = d.CreateAPI(ctx, "test", iam.API{Name: "orders", Audience: audience, Scopes: []iam.Scope{{Name: "orders:read", Description: "Read orders"}}})
	a.must(err)
	_, err = d.CreateRole(ctx, "test", iam.Role{Name: "clerk", Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:read"}}})
	a.must(err)
	_, err = d.CreateUser(ctx, "test", iam.User{Username: "ada", Name: "Ada Lovelace", Roles: []string{"clerk"}}, bffPassword)
	a.must(err)
	_, a.secret, err = d.CreateClient(ctx, "test", iam.Client{ID: "app", Name: "App", Type: iam.Confidential, FirstParty: true, Scopes: []string{"openid", "profile", "orders:read"},
		RedirectURIs: []string{a.url + "/.gatehouse/callback"}, PostLogoutRedirectURIs: []string{a.url + "/.gatehouse/signed-out"}, BackchannelLogoutURI: a.url + "/.gatehouse/backchannel-logout",
		GrantTypes: []string{iam.AuthorizationCode, iam.RefreshToken}})
	a.must(err)
	a.config = gateway.Config{Policy: []byte(strings.ReplaceAll(bffPolicy, "ISSUER", a.authority.URL)), Upstream: a.upstream.url, Logger: discard(), Data: t.TempDir(),
		BFF: &gateway.BFF{ExternalURL: a.url, ClientID: "app", ClientSecret: a.secret, Scopes: []string{"openid", "profile", "orders:read"}}}
	a.config.SetNow(func() time.Time { a.mu.Lock(); defer a.mu.Unlock(); return time.Now().Add(a.ahead) })
	for _, c := range change {
		c(&a.config)
	}
	a.gateway, err = gateway.New(a.config)
	a.must(err)
	a.site.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.gatehouse/backchannel-logout" {
			body, _ := io.ReadAll(r.Body)
			form, _ := url.ParseQuery(string(body))
			a.mu.Lock()
			a.logouts = append(a.logouts, form.Get("logout_token"))
			a.mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		a.gateway.ServeHTTP(w, r)
	})
	a.site.Start()
	t.Cleanup(func() { a.site.CloseClientConnections(); a.site.Close(); a.gateway.Close() })
	return a
}

func (a *app) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// watch notes every token that the token endpoint gives to the gateway.
func (a *app) watch(w http.ResponseWriter, r *http.Request, h http.Handler) {
	if r.URL.Path != "/oauth/token" {
		h.ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	a.mu.Lock()
	if form.Get("grant_type") == "refresh_token" {
		a.refreshes++
	}
	slow, down, change := a.slow, a.down, a.answer
	a.mu.Unlock()
	time.Sleep(slow)
	if down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	recorded := httptest.NewRecorder()
	h.ServeHTTP(recorded, r)
	var said map[string]any
	_ = json.Unmarshal(recorded.Body.Bytes(), &said)
	a.mu.Lock()
	for _, kind := range []string{"access_token", "refresh_token", "id_token"} {
		if token, _ := said[kind].(string); token != "" {
			a.secrets[fmt.Sprintf("%s %d", kind, len(a.secrets))] = token
		}
	}
	a.mu.Unlock()
	if change != nil {
		change(r, said)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(recorded.Code)
	_ = json.NewEncoder(w).Encode(said)
}

// set changes what the authority does from now on.
func (a *app) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// person is a browser that remembers all that it saw.
type person struct {
	*app
	client *http.Client
	seen   bytes.Buffer
}

func (a *app) person() *person {
	jar, _ := cookiejar.New(nil)
	return &person{app: a, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type reply struct {
	*http.Response
	body string
}

// send does what a browser does; a path is one of the app.
func (p *person) send(method, target string, form url.Values, headers ...string) reply {
	p.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = p.url + target
	}
	r, err := http.NewRequest(method, target, strings.NewReader(form.Encode()))
	p.must(err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	answer, err := p.client.Do(r)
	p.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	p.must(err)
	p.seen.WriteString(target + "\n")
	_ = r.Header.Write(&p.seen)
	_ = answer.Header.Write(&p.seen)
	p.seen.Write(body)
	return reply{answer, string(body)}
}

func (p *person) get(target string, headers ...string) reply {
	p.t.Helper()
	return p.send("GET", target, nil, headers...)
}

// own is a request of the app's own page that may change something.
func (p *person) own(method, target string) reply {
	p.t.Helper()
	return p.send(method, target, nil, "Origin", p.url, "Sec-Fetch-Site", "same-origin", "Gatehouse-Csrf", "1")
}

var (
	flowField = regexp.MustCompile(`name="flow" value="([^"]*)"`)
	goesOn    = regexp.MustCompile(`http-equiv="refresh" content="[0-9]+; ?url=([^"]+)"`)
)

// begin starts a login and returns where the issuer sends the browser back to.
func (p *person) begin(back string) string {
	p.t.Helper()
	r := p.get("/.gatehouse/login?return=" + url.QueryEscape(back))
	if r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), p.authority.URL+"/oauth/authorize?") {
		p.t.Fatalf("login: %d %v %s", r.StatusCode, r.Header, r.body)
	}
	r = p.get(r.Header.Get("Location"))
	if m := flowField.FindStringSubmatch(r.body); m != nil {
		r = p.send("POST", p.authority.URL+"/login", url.Values{"flow": {m[1]}, "username": {"ada"}, "password": {bffPassword}}, "Sec-Fetch-Site", "same-origin")
		r = p.get(p.authority.URL + r.Header.Get("Location"))
	}
	to := r.Header.Get("Location")
	if m := goesOn.FindStringSubmatch(r.body); to == "" && m != nil {
		to = strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(m[1])
	}
	if !strings.HasPrefix(to, p.url+"/.gatehouse/callback?") {
		p.t.Fatalf("not sent back: %d %s %s", r.StatusCode, to, r.body)
	}
	return to
}

// signIn does a whole login.
func (p *person) signIn() {
	p.t.Helper()
	r := p.get(p.begin("/orders/7"))
	if m := goesOn.FindStringSubmatch(r.body); r.StatusCode != http.StatusOK || m == nil || m[1] != "/orders/7" {
		p.t.Fatalf("callback: %d %s", r.StatusCode, r.body)
	}
	if !p.signedIn() {
		p.t.Fatal("not signed in")
	}
}

func (p *person) signedIn() bool {
	p.t.Helper()
	return p.get("/.gatehouse/session").StatusCode == http.StatusOK
}

// value of the session cookie in the browser.
func (p *person) value() string {
	u, _ := url.Parse(p.url)
	for _, c := range p.client.Jar.Cookies(u) {
		if c.Name == p.cookie {
			return c.Value
		}
	}
	return ""
}
