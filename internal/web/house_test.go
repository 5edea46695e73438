package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/dial"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

const (
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	callback = "https://wiki.example.com/cb"
)

// house is a whole authority on loopback, with two users and apps of each kind.
type house struct {
	t      *testing.T
	url    string
	parts  *server.Parts
	clock  *storetest.Clock
	log    *lockedLog
	wiki   string // secret of the first-party app
	guest  string // secret of the third-party app
	ada    iam.User
	bob    iam.User
	handle http.Handler
}

// lockedLog is written by requests that run at the same time.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, clock: storetest.NewClock(), log: &lockedLog{}}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.handle.ServeHTTP(w, r) }))
	t.Cleanup(site.Close)
	h.url = site.URL
	kek, _ := keys.GenerateKEK()
	ctx := context.Background()
	var err error
	h.parts, err = server.Assemble(ctx, server.Config{Issuer: h.url, Dir: t.TempDir(), Database: storetest.Database(t, t.TempDir()), KEKs: []keys.KEK{kek}, Now: h.clock.Now,
		Outgoing: dial.Config{InsecureLoopback: true}, Logger: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	h.must(err)
	t.Cleanup(func() { h.parts.Close() })
	h.handle = h.parts.Handler
	d := h.parts.Directory
	_, err = d.CreateAPI(ctx, "test", iam.API{Name: "orders", Audience: "https://orders.example.com", Scopes: []iam.Scope{{Name: "orders:read", Description: "Read your orders"}}})
	h.must(err)
	_, err = d.CreateRole(ctx, "test", iam.Role{Name: "viewer", Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:read"}}})
	h.must(err)
	h.ada, err = d.CreateUser(ctx, "test", iam.User{Username: "ada", Name: "Ada Lovelace", Email: "ada@example.com", EmailVerified: true, Phone: "+4930123456", Address: "1 Main Street",
		Profile: map[string]string{"given_name": "Ada", "locale": "en-GB"}, Roles: []string{"viewer"}}, password)
	h.must(err)
	h.bob, err = d.CreateUser(ctx, "test", iam.User{Username: "bob"}, password)
	h.must(err)
	all := []string{"openid", "profile", "email", "address", "phone", "offline_access", "orders:read"}
	both := []string{iam.AuthorizationCode, iam.RefreshToken}
	_, h.wiki, err = d.CreateClient(ctx, "test", iam.Client{ID: "wiki", Name: "Wiki", Type: iam.Confidential, FirstParty: true, RedirectURIs: []string{callback}, Scopes: all,
		GrantTypes: append([]string{iam.DeviceCode}, both...), PostLogoutRedirectURIs: []string{"https://wiki.example.com/bye"}})
	h.must(err)
	_, h.guest, err = d.CreateClient(ctx, "test", iam.Client{ID: "guest", Name: "Guest book", Type: iam.Confidential, RedirectURIs: []string{"https://guest.example.com/cb"}, Scopes: all, GrantTypes: both})
	h.must(err)
	_, _, err = d.CreateClient(ctx, "test", iam.Client{ID: "native", Name: "Native", Type: iam.Public, FirstParty: true, RedirectURIs: []string{"http://127.0.0.1/cb", "com.example.app:/cb"}, Scopes: all, GrantTypes: append([]string{iam.DeviceCode}, both...)})
	h.must(err)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// browser keeps cookies and follows no redirect by itself.
type browser struct {
	*house
	client *http.Client
	header http.Header
}

func (h *house) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{house: h, header: http.Header{}, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// page is an answer with its body read.
type page struct {
	*http.Response
	body string
}

func (b *browser) send(method, target string, form url.Values) page {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.url + target
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, target, body)
	b.must(err)
	for name, values := range b.header {
		r.Header[name] = values
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	answer, err := b.client.Do(r)
	b.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	b.must(err)
	return page{answer, string(text)}
}

func (b *browser) get(target string) page { b.t.Helper(); return b.send("GET", target, nil) }

func (b *browser) post(target string, form url.Values) page {
	b.t.Helper()
	return b.send("POST", target, form)
}

var fieldPattern = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// field is the value of a hidden field of a page.
func (p page) field(name string) string {
	for _, m := range fieldPattern.FindAllStringSubmatch(p.body, -1) {
		if m[1] == name {
			return m[2]
		}
	}
	return ""
}

// request is a good authorization request of the wiki, with changes as pairs;
// an empty value removes a parameter.
func request(pairs ...string) url.Values {
	digest := sha256.Sum256([]byte(verifier))
	q := url.Values{"client_id": {"wiki"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s1"}, "nonce": {"n1"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(digest[:])}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return q
}

func (b *browser) authorize(pairs ...string) page {
	b.t.Helper()
	return b.get("/oauth/authorize?" + request(pairs...).Encode())
}

// signIn sends the login form of a page and follows to the page behind it.
func (b *browser) signIn(p page, username string) page {
	b.t.Helper()
	if p.field("flow") == "" || !strings.Contains(p.body, `action="/login"`) {
		b.t.Fatalf("no login page: %d %s", p.StatusCode, p.body)
	}
	return b.follow(b.post("/login", url.Values{"flow": {p.field("flow")}, "username": {username}, "password": {password}}))
}

// follow goes where a form leads: to a page of ours.
func (b *browser) follow(p page) page {
	b.t.Helper()
	to := p.Header.Get("Location")
	if p.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/continue?flow=") {
		b.t.Fatalf("not sent on: %d %s %s", p.StatusCode, to, p.body)
	}
	return b.get(to)
}

// The page goes on by itself, or for an app with a scheme of its own by a button.
var refreshPattern = regexp.MustCompile(`(?:http-equiv="refresh" content="[0-9]+; ?url=|class="button primary" href=")([^"]+)"`)

// sent is the address that an answer sends the browser to, by redirect or by a
// page (C30).
func (p page) sent(t *testing.T) *url.URL {
	t.Helper()
	to := p.Header.Get("Location")
	if to == "" {
		m := refreshPattern.FindStringSubmatch(p.body)
		if m == nil {
			t.Fatalf("sent nowhere: %d %s", p.StatusCode, p.body)
		}
		to = unescape(m[1])
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

var unescape = strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#34;", `"`).Replace

// tokens is an answer of the token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
	Error   string `json:"error"`
	Status  int    `json:"-"`
	Body    string `json:"-"`
}

// call posts a form to a machine endpoint.
func (h *house) call(path string, pairs ...string) tokens {
	h.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	answer, err := http.PostForm(h.url+path, form)
	h.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	h.must(err)
	got := tokens{Status: answer.StatusCode, Body: string(body)}
	_ = json.Unmarshal(body, &got)
	return got
}

// redeem exchanges the code of an answer.
func (h *house) redeem(sent *url.URL, pairs ...string) tokens {
	h.t.Helper()
	return h.call("/oauth/token", append([]string{"grant_type", "authorization_code", "code", sent.Query().Get("code"), "code_verifier", verifier, "redirect_uri", callback, "client_id", "wiki", "client_secret", h.wiki}, pairs...)...)
}

// claims of a token that is checked with the published keys.
func (h *house) claims(raw, kind string) jose.Claims {
	h.t.Helper()
	token, err := jose.Parse(raw)
	h.must(err)
	key, ok := h.parts.Keys.Published().Key(token.KeyID())
	if !ok || token.Verify(key) != nil || token.Type() != kind {
		h.t.Fatalf("not a %s of ours: %s", kind, token.Type())
	}
	claims, err := token.Claims()
	h.must(err)
	return claims
}
