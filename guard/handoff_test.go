package guard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

const handoffURL = "https://intranet.example.com/handoff"

// desk is an app that takes hand-offs of an issuer, and a browser that began.
type desk struct {
	t       *testing.T
	iss     *issuer
	log     bytes.Buffer
	handler *guard.HandoffHandler
	mode    guard.HandoffMode
	signed  []guard.Caller
	fail    error
	cookies []*http.Cookie // of the browser
	hash    string
}

func newDesk(t *testing.T, change ...func(*guard.HandoffConfig)) *desk {
	t.Helper()
	d := &desk{t: t, iss: newIssuer(t)}
	c := guard.HandoffConfig{Issuer: d.iss.url(), ClientID: "intranet", URL: handoffURL, Logger: slog.New(slog.NewTextHandler(&d.log, nil)),
		SignedIn: func(w http.ResponseWriter, r *http.Request, c guard.Caller) error {
			d.signed = append(d.signed, c)
			return d.fail
		}}
	for _, edit := range change {
		edit(&c)
	}
	var err error
	if d.handler, err = guard.Handoff(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.handler.Close() })
	d.mode = c.Mode
	return d
}

func mode(m guard.HandoffMode) func(*guard.HandoffConfig) {
	return func(c *guard.HandoffConfig) {
		if c.Mode = m; m == guard.HandoffCookie {
			c.Domain = "example.com"
		}
	}
}

// begin starts a login in the browser and keeps its cookie.
func (d *desk) begin(query string) *httptest.ResponseRecorder {
	d.t.Helper()
	r := httptest.NewRequest("GET", handoffURL+query, nil)
	for _, c := range d.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusSeeOther || !strings.HasPrefix(to.String(), d.iss.url()+"/oauth/handoff?") || to.Query().Get("client_id") != "intranet" {
		d.t.Fatalf("got %d %s %s", w.Code, to, w.Body)
	}
	d.hash = to.Query().Get("nonce_hash")
	for _, c := range w.Result().Cookies() {
		if c.MaxAge > 0 {
			d.cookies = append(d.cookies, c)
		}
	}
	return w
}

// claims of a good token for the login that was begun last.
func (d *desk) claims(pairs ...any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{"iss": d.iss.url(), "aud": "intranet", "sub": "usr_ada", "jti": fmt.Sprint(time.Now().UnixNano()), "iat": now, "exp": now + 30, "nonce_hash": d.hash,
		"roles": []string{"viewer"}, "acr": "mfa", "auth_time": now, "sid": "ses_1"}
	for n := 0; n < len(pairs); n += 2 {
		if c[pairs[n].(string)] = pairs[n+1]; pairs[n+1] == nil {
			delete(c, pairs[n].(string))
		}
	}
	return c
}

func (d *desk) token(pairs ...any) string {
	return sign(d.t, d.iss.signer, oauth.HandoffType, d.claims(pairs...))
}

// bring comes back from the issuer in the way of a mode, with the browser's cookies.
func (d *desk) bring(m guard.HandoffMode, tokens ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", handoffURL, nil)
	switch m {
	case guard.HandoffQuery:
		r = httptest.NewRequest("GET", handoffURL+"?"+url.Values{"handoff": tokens}.Encode(), nil)
	case guard.HandoffCookie:
		for _, t := range tokens {
			r.AddCookie(&http.Cookie{Name: "__Secure-handoff-intranet", Value: t})
		}
	default:
		r = httptest.NewRequest("POST", handoffURL, strings.NewReader(url.Values{"handoff": tokens}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range d.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// refused wants a page with a status and a sentence, a log line with the
// reason, and nobody signed in.
func (d *desk) refused(w *httptest.ResponseRecorder, status int, sentence, reason string) {
	d.t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), sentence) || len(d.signed) != 0 || !strings.Contains(d.log.String(), "reason="+reason+" ") {
		d.t.Errorf("got %d %s, %d signed in; want %d %q reason=%s\n%s", w.Code, w.Body, len(d.signed), status, sentence, reason, d.log.String())
	}
	if w.Header().Get("Location") != "" || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" {
		d.t.Errorf("headers %v", w.Header())
	}
}

func TestC43HandoffInEachMode(t *testing.T) {
	for _, m := range []guard.HandoffMode{"", guard.HandoffForm, guard.HandoffQuery, guard.HandoffCookie} {
		t.Run(string(m), func(t *testing.T) {
			d := newDesk(t, mode(m))
			start := d.begin("?return=/orders/5%3Fa=b")
			nonce := start.Result().Cookies()[0]
			sameSite := http.SameSiteLaxMode
			if m == "" || m == guard.HandoffForm {
				sameSite = http.SameSiteNoneMode // or the browser would not bring it with a form of another site
			}
			if !strings.HasPrefix(nonce.Name, "__Host-handoff-intranet-") || !nonce.Secure || !nonce.HttpOnly || nonce.Path != "/" || nonce.Domain != "" || nonce.SameSite != sameSite || nonce.MaxAge != 3600 {
				t.Errorf("C33: nonce cookie %+v", nonce)
			}
			if value, back := guard.SplitNonce(nonce.Value); oauth.NonceHash(value) != d.hash || back != "/orders/5?a=b" || strings.Contains(start.Header().Get("Location"), value) {
				t.Errorf("C33: nonce %q, hash %q", nonce.Value, d.hash)
			}
			raw := d.token()
			w := d.bring(m, raw)
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/orders/5?a=b" || len(d.signed) != 1 {
				t.Fatalf("got %d %s %s\n%s", w.Code, w.Header().Get("Location"), w.Body, d.log.String())
			}
			c := d.signed[0]
			if c.Subject() != "usr_ada" || c.ClientID() != "intranet" || c.IsService() || !c.HasRole("viewer") || len(c.Scopes()) != 0 || c.ACR() != "mfa" || c.SessionID() != "ses_1" || c.TokenID() == "" || c.Issuer() != d.iss.url() {
				t.Errorf("caller %v %v", c.Subject(), c.TokenID())
			}
			cleared := map[string]bool{}
			for _, c := range w.Result().Cookies() {
				cleared[c.Name] = c.MaxAge < 0
			}
			if !cleared[nonce.Name] || m == guard.HandoffCookie && !cleared["__Secure-handoff-intranet"] {
				t.Errorf("left behind: %v", w.Result().Cookies())
			}
			if strings.Contains(d.log.String(), raw) {
				t.Error("the log holds the token")
			}
			// Replay, in the very browser and with its nonce: jti is spent (C43).
			d.signed = nil
			d.refused(d.bring(m, raw), 403, "used before", "spent")
		})
	}
}

func TestC33HandoffRefusals(t *testing.T) {
	now := time.Now().Unix()
	stranger := newSigner(t, jose.ES256)
	for name, tc := range map[string]struct {
		token    func(d *desk) string
		status   int
		sentence string
		reason   string
	}{
		"expired at 31 s":       {func(d *desk) string { return d.token("iat", now-31, "exp", now-1) }, 403, "took too long", "expired"},
		"expired just now":      {func(d *desk) string { return d.token("iat", now-30, "exp", now) }, 403, "took too long", "expired"},
		"lives longer":          {func(d *desk) string { return d.token("exp", now+60) }, 403, "cannot be accepted", "claim"},
		"no exp":                {func(d *desk) string { return d.token("exp", nil) }, 403, "cannot be accepted", "claim"},
		"no iat":                {func(d *desk) string { return d.token("iat", nil) }, 403, "cannot be accepted", "claim"},
		"from the future":       {func(d *desk) string { return d.token("iat", now+60, "exp", now+90) }, 403, "cannot be accepted", "not_yet"},
		"no jti":                {func(d *desk) string { return d.token("jti", nil) }, 403, "cannot be accepted", "claim"},
		"no sub":                {func(d *desk) string { return d.token("sub", nil) }, 403, "cannot be accepted", "claim"},
		"other app":             {func(d *desk) string { return d.token("aud", "shop") }, 403, "cannot be accepted", "audience"},
		"this and another app":  {func(d *desk) string { return d.token("aud", []string{"intranet", "shop"}) }, 403, "cannot be accepted", "claim"},
		"other issuer":          {func(d *desk) string { return d.token("iss", "https://evil.example") }, 403, "cannot be accepted", "issuer"},
		"bound to a key (C9)":   {func(d *desk) string { return d.token("cnf", map[string]any{"jkt": "x"}) }, 403, "cannot be accepted", "claim"},
		"other browser":         {func(d *desk) string { d.cookies = nil; return d.token() }, 403, "not begun in this browser", "no_nonce"},
		"another login's nonce": {func(d *desk) string { return d.token("nonce_hash", oauth.NonceHash("mine")) }, 403, "not begun in this browser", "nonce"},
		"no nonce_hash":         {func(d *desk) string { return d.token("nonce_hash", nil) }, 403, "not begun in this browser", "nonce"},
		"a short nonce_hash":    {func(d *desk) string { return d.token("nonce_hash", d.hash[:16]) }, 403, "not begun in this browser", "nonce"},
		"nonce does not fit": {func(d *desk) string {
			d.cookies[0].Value = "x" + d.cookies[0].Value
			return d.token()
		}, 403, "not begun in this browser", "nonce"},
		"nonce is empty": {func(d *desk) string {
			d.cookies[0].Value = ".Lw"
			return d.token("nonce_hash", d.hash[:16]+strings.Repeat("A", 27))
		}, 403, "not begun in this browser", "nonce"},
		"two nonces of one name": {func(d *desk) string {
			d.cookies = append(d.cookies, d.cookies[0])
			return d.token()
		}, 403, "not begun in this browser", "nonce"},
		"a stranger's key": {func(d *desk) string { return sign(t, stranger, "handoff+jwt", d.claims()) }, 403, "cannot be accepted", "key"},
		"a changed byte":   {func(d *desk) string { raw := d.token(); return raw[:len(raw)-4] + "AAAA" }, 403, "cannot be accepted", "signature"},
		"not a token":      {func(*desk) string { return "hello" }, 403, "cannot be accepted", "malformed"},
		"no keys":          {func(d *desk) string { d.iss.down.Store(true); return d.token() }, 503, "cannot be checked right now", "unavailable"},
		// T56: every other class of the issuer, signed with the very key.
		"T56 access token":     {func(d *desk) string { return sign(t, d.iss.signer, "at+jwt", d.claims()) }, 403, "cannot be accepted", "type"},
		"T56 ID token":         {func(d *desk) string { return sign(t, d.iss.signer, "JWT", d.claims()) }, 403, "cannot be accepted", "type"},
		"T56 logout token":     {func(d *desk) string { return sign(t, d.iss.signer, "logout+jwt", d.claims()) }, 403, "cannot be accepted", "type"},
		"T56 client assertion": {func(d *desk) string { return sign(t, d.iss.signer, "client-authentication+jwt", d.claims()) }, 403, "cannot be accepted", "type"},
		"T56 DPoP proof":       {func(d *desk) string { return sign(t, d.iss.signer, "dpop+jwt", d.claims()) }, 403, "cannot be accepted", "type"},
		"T56 request object":   {func(d *desk) string { return sign(t, d.iss.signer, "oauth-authz-req+jwt", d.claims()) }, 403, "cannot be accepted", "type"},
		"T56 no typ":           {func(d *desk) string { return sign(t, d.iss.signer, "", d.claims()) }, 403, "cannot be accepted", "type"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.begin("")
			raw := tc.token(d)
			d.refused(d.bring(guard.HandoffForm, raw), tc.status, tc.sentence, tc.reason)
			if len(raw) > 20 && strings.Contains(d.log.String(), raw) {
				t.Error("the log holds the token")
			}
			// Nothing was spent and the nonce is still there: the real login goes through.
			if name == "other app" {
				if w := d.bring(guard.HandoffForm, d.token()); w.Code != http.StatusSeeOther {
					t.Errorf("a forgery ended the login: %d %s", w.Code, w.Body)
				}
			}
		})
	}
}

// A hand-off token is nothing to an API's gate, whatever its audience says (T56).
func TestT56HandoffIsNoAccessToken(t *testing.T) {
	d := newDesk(t)
	d.begin("")
	g := d.iss.guard()
	raw := sign(t, d.iss.signer, oauth.HandoffType, d.claims("aud", audience, "client_id", "intranet", "scope", "orders:read"))
	if _, err := g.Verify(context.Background(), raw); !errors.Is(err, guard.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestC33HandoffStillGoodAt28Seconds(t *testing.T) {
	d := newDesk(t)
	d.begin("")
	now := time.Now().Unix()
	if w := d.bring("", d.token("iat", now-28, "exp", now+2)); w.Code != http.StatusSeeOther {
		t.Errorf("at 28 s: %d %s", w.Code, w.Body)
	}
	if w := d.bring("", d.token("iat", now+3, "exp", now+33)); w.Code != http.StatusSeeOther {
		t.Errorf("a clock that is 3 s behind: %d %s", w.Code, w.Body)
	}
}

// A token that comes in another way than agreed is not looked at: no address of
// an app that takes forms ever works.
func TestC33HandoffComesInOneWay(t *testing.T) {
	for _, m := range []guard.HandoffMode{guard.HandoffForm, guard.HandoffQuery, guard.HandoffCookie} {
		for _, other := range []guard.HandoffMode{guard.HandoffForm, guard.HandoffQuery, guard.HandoffCookie} {
			if m == other {
				continue
			}
			d := newDesk(t, mode(m))
			d.begin("")
			w := d.bring(other, d.token())
			begun := w.Code == http.StatusSeeOther && strings.HasPrefix(w.Header().Get("Location"), d.iss.url())
			if len(d.signed) != 0 || !begun && w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusForbidden {
				t.Errorf("an app for %s takes %s: %d %s", m, other, w.Code, w.Body)
			}
		}
		d := newDesk(t, mode(m))
		d.begin("")
		d.refused(d.bring(m, d.token(), d.token()), 403, "more than one login", "more_than_one")
		r := httptest.NewRequest("PUT", handoffURL, nil)
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, r)
		if w.Code != http.StatusMethodNotAllowed || !strings.HasPrefix(w.Header().Get("Allow"), "GET") {
			t.Errorf("PUT: %d %v", w.Code, w.Header())
		}
	}
	d := newDesk(t)
	d.begin("")
	d.refused(d.bring(guard.HandoffForm), 403, "holds no login", "no_token")
}

func TestC33HandoffReturnsToThisAppOnly(t *testing.T) {
	for _, bad := range []string{"", "https://evil.example", "//evil.example", `/\evil.example`, `\\evil.example`, "/\t/evil.example", "/a\r\nSet-Cookie:x=y", "evil", "javascript:alert(1)", "/ä", "/" + strings.Repeat("a", 1024), "/%zz"} {
		d := newDesk(t, func(c *guard.HandoffConfig) { c.Home = "/home" })
		d.begin("?return=" + url.QueryEscape(bad))
		if w := d.bring("", d.token()); w.Header().Get("Location") != "/home" {
			t.Errorf("%q leads to %s", bad, w.Header().Get("Location"))
		}
	}
	// One that was planted in the cookie meets the same rule.
	d := newDesk(t)
	d.begin("")
	value, _ := guard.SplitNonce(d.cookies[0].Value)
	d.cookies[0].Value = value + ".Ly9ldmlsLmV4YW1wbGU" // //evil.example
	if w := d.bring("", d.token()); w.Header().Get("Location") != "/" {
		t.Errorf("a planted cookie leads to %s", w.Header().Get("Location"))
	}
}

// Two tabs do not meet, and nobody fills the browser's cookies.
func TestHandoffInSeveralTabs(t *testing.T) {
	d := newDesk(t)
	d.begin("?return=/first")
	first := d.token()
	d.begin("?return=/second")
	second := d.token()
	for raw, back := range map[string]string{first: "/first", second: "/second"} {
		if w := d.bring("", raw); w.Code != http.StatusSeeOther || w.Header().Get("Location") != back {
			t.Errorf("got %d %s, want %s", w.Code, w.Header().Get("Location"), back)
		}
	}
	for len(d.cookies) < 5 {
		d.begin("")
	}
	dropped := 0
	for _, c := range d.begin("").Result().Cookies() {
		if c.MaxAge < 0 {
			dropped++
		}
	}
	if dropped != 5 {
		t.Errorf("the sixth login drops %d nonces, want 5", dropped)
	}
}

func TestHandoffAppAnswers(t *testing.T) {
	d := newDesk(t)
	d.fail = errors.New("no account")
	d.begin("")
	raw := d.token()
	w := d.bring("", raw)
	if w.Code != 500 || strings.Contains(w.Body.String(), "no account") || !strings.Contains(d.log.String(), "no account") || w.Header().Get("Location") != "" {
		t.Errorf("an app that fails: %d %s", w.Code, w.Body)
	}
	d.fail, d.signed = nil, nil
	d.refused(d.bring("", raw), 403, "used before", "spent") // a failure loses a login, it never allows two

	d = newDesk(t, func(c *guard.HandoffConfig) {
		c.SignedIn = func(w http.ResponseWriter, _ *http.Request, _ guard.Caller) error {
			w.WriteHeader(http.StatusTeapot)
			return errors.New("kept out")
		}
	})
	d.begin("")
	if w := d.bring("", d.token()); w.Code != http.StatusTeapot || !strings.Contains(d.log.String(), "kept out") {
		t.Errorf("an app that answers by itself: %d %s", w.Code, w.Body)
	}
}

// stuck is a store that is away.
type stuck struct{}

func (stuck) Spend(context.Context, string, time.Time) (bool, error) {
	return true, errors.New("connection refused")
}

func TestC43SpentIsAskedOnceAndLast(t *testing.T) {
	d := newDesk(t, func(c *guard.HandoffConfig) { c.Spent = stuck{} })
	d.begin("")
	d.refused(d.bring("", d.token()), 503, "cannot be checked right now", "unavailable")

	clock := time.Now
	spent := guard.SpentForTest(&clock)
	first, second := newDesk(t, func(c *guard.HandoffConfig) { c.Spent = spent }), 0
	first.begin("")
	raw := first.token()
	var won atomic.Int64
	var all sync.WaitGroup
	first.handler.Ready(context.Background())
	for range 200 {
		all.Go(func() {
			if ok, err := spent.Spend(context.Background(), "x", time.Now()); ok && err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 200 spent it, want 1", won.Load())
	}
	for range 2 {
		if first.bring("", raw).Code == http.StatusSeeOther {
			second++
		}
	}
	if second != 1 {
		t.Errorf("signed in %d times, want 1", second)
	}
	// What is forgotten has expired long before.
	ctx := context.Background()
	start := time.Now()
	for _, step := range []struct {
		at   time.Duration
		want bool
	}{{0, true}, {31 * time.Second, false}, {119 * time.Second, false}, {121 * time.Second, false}, {10 * time.Minute, true}} {
		clock = func() time.Time { return start.Add(step.at) }
		if ok, _ := spent.Spend(ctx, "y", start); ok != step.want {
			t.Errorf("at %s: %v, want %v", step.at, ok, step.want)
		}
		spent.Spend(ctx, fmt.Sprint("z", step.at), start)
	}
}

func TestHandoffConfig(t *testing.T) {
	signedIn := func(http.ResponseWriter, *http.Request, guard.Caller) error { return nil }
	good := guard.HandoffConfig{Issuer: "https://auth.example.com", ClientID: "intranet", URL: handoffURL, SignedIn: signedIn}
	if h, err := guard.Handoff(good); err != nil {
		t.Fatal(err)
	} else {
		h.Close()
	}
	for says, change := range map[string]func(*guard.HandoffConfig){
		"Issuer is required":           func(c *guard.HandoffConfig) { c.Issuer = "" },
		"is plain http":                func(c *guard.HandoffConfig) { c.Issuer = "http://auth.example.com" },
		"ClientID is required":         func(c *guard.HandoffConfig) { c.ClientID = "" },
		"ClientID":                     func(c *guard.HandoffConfig) { c.ClientID = "a b" },
		"SignedIn is required":         func(c *guard.HandoffConfig) { c.SignedIn = nil },
		"URL \"\"":                     func(c *guard.HandoffConfig) { c.URL = "" },
		"for loopback only":            func(c *guard.HandoffConfig) { c.URL = "http://intranet.example.com/handoff" },
		"Mode \"post\"":                func(c *guard.HandoffConfig) { c.Mode = "post" },
		"HandoffCookie needs":          func(c *guard.HandoffConfig) { c.Mode = guard.HandoffCookie },
		"HandoffCookie needs https":    func(c *guard.HandoffConfig) { c.Mode, c.Domain = guard.HandoffCookie, "other.example" },
		"Domain belongs":               func(c *guard.HandoffConfig) { c.Domain = "example.com" },
		"Home":                         func(c *guard.HandoffConfig) { c.Home = "//evil.example" },
		"Spent or ClientSecret":        func(c *guard.HandoffConfig) { c.Spent, c.ClientSecret = stuck{}, "x" },
		"SignedIn is required: the fu": func(c *guard.HandoffConfig) { *c = guard.HandoffConfig{} },
	} {
		c := good
		change(&c)
		if _, err := guard.Handoff(c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	_, err := guard.Handoff(guard.HandoffConfig{})
	for _, name := range []string{"Issuer", "ClientID", "URL", "SignedIn"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the faults are not reported at once: %v", err)
		}
	}
}

func FuzzHandoffReturn(f *testing.F) {
	for _, seed := range []string{"/", "/a?b=c#d", "//evil", `/\evil`, "/\t/evil", "/%2f/evil", "/.//evil", "/a/../../b", "https://x", "/@evil", "/:80"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://app.example.com/handoff")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := guard.CleanReturn(raw, "")
		if got == "" {
			return
		}
		to, err := base.Parse(got)
		if err != nil || to.Scheme != base.Scheme || to.Host != base.Host || to.User != nil {
			t.Errorf("%q leads to %v, %v", raw, to, err)
		}
		if got != raw || len(got) > 1024 || got[0] != '/' || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t \x00") {
			t.Errorf("%q became %q", raw, got)
		}
	})
}

func ExampleHandoff() {
	handler, err := guard.Handoff(guard.HandoffConfig{
		Issuer: "https://auth.example.com", ClientID: "intranet", URL: "https://intranet.example.com/handoff",
		SignedIn: func(w http.ResponseWriter, r *http.Request, c guard.Caller) error {
			// Begin the app's own session for c.Subject() here.
			http.SetCookie(w, &http.Cookie{Name: "__Host-session", Value: "…", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer handler.Close()
	mux := http.NewServeMux()
	mux.Handle("/handoff", handler)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/handoff?return=/orders", nil))
	to, _ := url.Parse(w.Header().Get("Location"))
	fmt.Println(w.Code, to.Host+to.Path, to.Query().Get("client_id"))
	// Output: 303 auth.example.com/oauth/handoff intranet
}
