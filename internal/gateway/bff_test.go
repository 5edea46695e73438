package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/gateway"
)

// No token is in any byte that the browser sees or sends, in a whole flow with
// refusals, a refresh, trouble and a logout.
func TestBBANoTokenReachesTheBrowser(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.get("/orders/7")
	p.get("/orders/7", "Sec-Fetch-Mode", "navigate")
	a.set(func() { a.answer = func(r *http.Request, said map[string]any) { said["expires_in"] = 5 } })
	to := p.begin("/orders/7")
	p.get(to)
	a.set(func() { a.answer = nil })
	for _, target := range []string{"/orders/7", "/private/1", "/public/1", "/cookies", "/nowhere", "/orders//7", "/.gatehouse/session", "/.gatehouse/none", "/orders/1?access_token=x"} {
		p.get(target)
		p.own("POST", target)
		p.send("POST", target, nil)
	}
	p.get("/orders/1", "Authorization", "Bearer x")
	p.get(to) // a copy
	p.get("/.gatehouse/callback?state=x")
	a.set(func() { a.ahead, a.down = time.Hour, true })
	p.get("/orders/7")
	a.set(func() { a.ahead, a.down = 0, false })
	r := p.own("POST", "/.gatehouse/logout")
	p.get(strings.ReplaceAll(between(r.body, `"continue":"`, `"`), `\u0026`, "&"))
	p.get("/.gatehouse/signed-out")
	if len(a.secrets) < 5 || a.refreshes == 0 {
		t.Fatalf("%d tokens were given and %d refreshes asked: the test saw too little", len(a.secrets), a.refreshes)
	}
	seen := p.seen.String()
	for kind, token := range a.secrets {
		parts := strings.Split(token, ".")
		for _, part := range append(parts, token) {
			if len(part) >= 20 && !strings.HasPrefix(part, "eyJhbGciOi") && strings.Contains(seen, part) {
				t.Errorf("the browser saw the %s, or a part of it", kind)
			}
		}
	}
	for _, never := range []string{"eyJ", "client_secret", a.secret} {
		if strings.Contains(seen, never) {
			t.Errorf("the browser saw %q", never)
		}
	}
}

func between(s, from, to string) string {
	_, rest, _ := strings.Cut(s, from)
	inner, _, _ := strings.Cut(rest, to)
	return inner
}

func TestBBASessionIsDecidedByThePolicy(t *testing.T) {
	a := newApp(t)
	p := a.person()
	if r := p.get("/orders/7"); r.StatusCode != 401 || !strings.Contains(r.body, "missing_session") {
		t.Errorf("nobody: %d %s", r.StatusCode, r.body)
	}
	if r := p.get("/orders/7?a=b", "Sec-Fetch-Mode", "navigate"); r.StatusCode != 303 || r.Header.Get("Location") != "/.gatehouse/login?return=%2Forders%2F7%3Fa%3Db" {
		t.Errorf("a page: %d %s", r.StatusCode, r.Header.Get("Location"))
	}
	// From another site a Strict cookie stays behind: our page asks again, once.
	if r := p.get("/orders/7?a=b", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site"); r.StatusCode != 200 || !strings.Contains(r.body, `content="0;url=/orders/7?a=b"`) || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a page by a link: %d %s", r.StatusCode, r.body)
	}
	if r := p.get("/orders/7", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin"); r.StatusCode != 303 {
		t.Errorf("the second time: %d %s", r.StatusCode, r.body)
	}
	p.signIn()
	a.upstream.take()
	for target, want := range map[string]int{"/orders/7": 200, "/public/1": 200, "/private/1": 403, "/nowhere": 403} {
		if r := p.get(target); r.StatusCode != want {
			t.Errorf("%s: %d, want %d: %s", target, r.StatusCode, want, r.body)
		}
	}
	r := p.get("/.gatehouse/session")
	if !strings.Contains(r.body, `"name":"Ada Lovelace"`) || !strings.Contains(r.body, `"sub":"usr_`) || !strings.Contains(r.body, `"expires":"`) || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("session: %s", r.body)
	}
	for _, s := range a.upstream.take() {
		if s.target == "/orders/7" && (!strings.HasPrefix(s.header.Get("X-User-Id"), "usr_") || s.header.Get("X-Roles") != "clerk") {
			t.Errorf("upstream saw %v", s.header)
		}
		if s.header.Get("Authorization")+s.header.Get("Cookie") != "" {
			t.Errorf("upstream saw %v", s.header)
		}
	}
	if r := p.get("/orders/7", "Authorization", "Bearer x"); r.StatusCode != 400 {
		t.Errorf("a token beside a cookie (T71): %d", r.StatusCode)
	}
}

// Every unsafe method, on every kind of route, public and our own too.
func TestBBACrossSite(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.signIn()
	a.upstream.take()
	own, other := a.url, "https://evil.example"
	for _, tc := range []struct {
		name    string
		headers []string
		ok      bool
	}{
		{"own page", []string{"Origin", own, "Sec-Fetch-Site", "same-origin", "Gatehouse-Csrf", "1"}, true},
		{"own page, old browser", []string{"Origin", own, "Gatehouse-Csrf", "1"}, true},
		{"own page without Origin", []string{"Sec-Fetch-Site", "same-origin", "Gatehouse-Csrf", "1"}, true},
		{"nothing", nil, false},
		{"header alone", []string{"Gatehouse-Csrf", "1"}, false},
		{"no header", []string{"Origin", own, "Sec-Fetch-Site", "same-origin"}, false},
		{"another value", []string{"Origin", own, "Gatehouse-Csrf", "0"}, false},
		{"header twice", []string{"Origin", own, "Gatehouse-Csrf", "1", "Gatehouse-Csrf", "1"}, false},
		{"another site", []string{"Origin", other, "Sec-Fetch-Site", "cross-site", "Gatehouse-Csrf", "1"}, false},
		{"another site that says same-origin", []string{"Origin", other, "Sec-Fetch-Site", "same-origin", "Gatehouse-Csrf", "1"}, false},
		{"own origin, cross-site", []string{"Origin", own, "Sec-Fetch-Site", "cross-site", "Gatehouse-Csrf", "1"}, false},
		{"a neighbour", []string{"Origin", own, "Sec-Fetch-Site", "same-site", "Gatehouse-Csrf", "1"}, false},
		{"typed by the person", []string{"Sec-Fetch-Site", "none", "Gatehouse-Csrf", "1"}, false},
		{"null", []string{"Origin", "null", "Gatehouse-Csrf", "1"}, false},
		{"origin with a path", []string{"Origin", own + "/", "Gatehouse-Csrf", "1"}, false},
		{"origin that begins so", []string{"Origin", own + ".evil.example", "Gatehouse-Csrf", "1"}, false},
		{"two origins", []string{"Origin", own, "Origin", other, "Gatehouse-Csrf", "1"}, false},
		{"two sites", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site", "Gatehouse-Csrf", "1"}, false},
	} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "REPORT"} {
			for _, target := range []string{"/orders/7", "/public/1", "/nowhere", "/cookies", "/.gatehouse/logout", "/.gatehouse/none"} {
				if tc.ok && target == "/.gatehouse/logout" {
					continue
				}
				r := p.send(method, target, nil, tc.headers...)
				if refused := r.StatusCode == 403 && strings.Contains(r.body, `"csrf"`); refused == tc.ok {
					t.Errorf("%s, %s %s: %d %s", tc.name, method, target, r.StatusCode, r.body)
				}
			}
		}
		if reached := len(a.upstream.take()) > 0; reached != tc.ok {
			t.Errorf("%s: reached the upstream: %v", tc.name, reached)
		}
	}
	if !p.signedIn() {
		t.Error("a refused logout signed out")
	}
}

// A WebSocket cannot carry a header of ours: Origin decides, on public routes too.
func TestC35UpgradesNeedOurOrigin(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.signIn()
	for _, tc := range []struct {
		name, headers string
		ok            bool
	}{
		{"ours", "Origin: " + a.url + "\r\n", true},
		{"none", "", false},
		{"another", "Origin: https://evil.example\r\n", false},
		{"null", "Origin: null\r\n", false},
		{"ours, but cross-site", "Origin: " + a.url + "\r\nSec-Fetch-Site: cross-site\r\n", false},
		{"header instead", "Sec-Fetch-Site: same-origin\r\nGatehouse-CSRF: 1\r\n", false},
		{"two", "Origin: " + a.url + "\r\nOrigin: https://evil.example\r\n", false},
	} {
		for _, target := range []string{"/orders/7", "/public/1"} {
			for _, protocol := range []string{"websocket", "WebSocket", "h2c", "websocket, x"} {
				a.upstream.take()
				c, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
				a.must(err)
				fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nCookie: %s=%s\r\n%s\r\n",
					target, strings.TrimPrefix(a.url, "http://"), protocol, a.cookie, p.value(), tc.headers)
				answer, err := http.ReadResponse(bufio.NewReader(c), nil)
				a.must(err)
				c.Close()
				if reached := len(a.upstream.take()) == 1; reached != tc.ok || !tc.ok && answer.StatusCode != 403 {
					t.Errorf("%s, %s by %s: %d, reached the upstream: %v", tc.name, target, protocol, answer.StatusCode, reached)
				}
			}
		}
	}
}

func TestC36OurCookiesStayHere(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.signIn()
	c := a.cookie + "=" + p.value()
	login := strings.Replace(a.cookie, "app-", "app-login-", 1) + "=x"
	for _, tc := range []struct{ sent, want string }{
		{c, ""},
		{"a=b; " + c + "; d=e", "a=b; d=e"},
		{c + "; " + login, ""},
		{"a=b;" + c + ";d=e", "a=b; d=e"},
		{`a="x; ` + c + `; b=y"`, `a="x; b=y"`},
		{strings.ToUpper(a.cookie) + "=1; " + c, ""},
		{"a=b, " + c + "; d=e", "d=e"},
	} {
		a.upstream.take()
		r, err := http.NewRequest("GET", a.url+"/cookies", nil)
		a.must(err)
		r.Header.Set("Cookie", tc.sent)
		answer, err := http.DefaultTransport.RoundTrip(r)
		a.must(err)
		answer.Body.Close()
		got := a.upstream.take()
		if len(got) == 0 && strings.Contains(tc.sent, ",") {
			continue // the cookie was not read at all: nobody is signed in
		}
		if len(got) != 1 || strings.Join(got[0].header["Cookie"], "|") != tc.want || got[0].header.Get("X-User-Id") == "" {
			t.Errorf("sent %q: upstream saw %+v, want %q", tc.sent, got, tc.want)
		}
	}
	// Of two with one name, one was planted: neither counts (T71).
	r, _ := http.NewRequest("GET", a.url+"/orders/7", nil)
	r.Header.Set("Cookie", c+"; "+a.cookie+"=planted")
	if answer, err := http.DefaultTransport.RoundTrip(r); err != nil || answer.StatusCode != 401 {
		t.Errorf("two cookies: %v %v", answer, err)
	}
}

func TestBBAFixation(t *testing.T) {
	a := newApp(t)
	p := a.person()
	u, _ := url.Parse(a.url)
	p.client.Jar.SetCookies(u, []*http.Cookie{{Name: a.cookie, Value: "CHOSENBYTHEATTACKER2345678", Path: "/"}})
	p.signIn()
	first := p.value()
	if len(first) < 26 || first == "CHOSENBYTHEATTACKER2345678" {
		t.Errorf("the cookie is %q", first)
	}
	p.signIn() // again in the same browser
	if p.value() == first {
		t.Error("a second login kept the cookie")
	}
	r, _ := http.NewRequest("GET", a.url+"/orders/7", nil)
	r.Header.Set("Cookie", a.cookie+"="+first)
	if answer, err := http.DefaultTransport.RoundTrip(r); err != nil || answer.StatusCode != 401 {
		t.Errorf("the cookie from before the second login: %v %v", answer, err)
	}
}

func TestBBACallback(t *testing.T) {
	a := newApp(t)
	changed := func(address string, pairs ...string) string {
		u, _ := url.Parse(address)
		q := u.Query()
		for i := 0; i+1 < len(pairs); i += 2 {
			if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
				q.Del(pairs[i])
			}
		}
		u.RawQuery = q.Encode()
		return u.String()
	}
	for _, tc := range []struct {
		name string
		do   func(p *person) reply
	}{
		{"another state", func(p *person) reply { return p.get(changed(p.begin("/"), "state", "x")) }},
		{"no state", func(p *person) reply { return p.get(changed(p.begin("/"), "state", "")) }},
		{"another issuer", func(p *person) reply { return p.get(changed(p.begin("/"), "iss", "https://evil.example")) }},
		{"no issuer", func(p *person) reply { return p.get(changed(p.begin("/"), "iss", "")) }},
		{"another code", func(p *person) reply { return p.get(changed(p.begin("/"), "code", "x")) }},
		{"state twice", func(p *person) reply { to := p.begin("/"); return p.get(to + "&state=x") }},
		{"refused", func(p *person) reply { return p.get(changed(p.begin("/"), "code", "", "error", "access_denied")) }},
		{"another browser", func(p *person) reply { return p.get(a.person().begin("/")) }},
		{"another browser with a login under way", func(p *person) reply { p.begin("/"); return p.get(a.person().begin("/")) }},
		{"code of another login (PKCE)", func(p *person) reply {
			stolen, _ := url.Parse(a.person().begin("/"))
			return p.get(changed(p.begin("/"), "code", stolen.Query().Get("code")))
		}},
		{"ID token of another login (nonce)", func(p *person) reply {
			var old any
			a.set(func() { a.answer = func(_ *http.Request, said map[string]any) { old = said["id_token"] } })
			a.person().signIn()
			a.set(func() { a.answer = func(_ *http.Request, said map[string]any) { said["id_token"] = old } })
			defer a.set(func() { a.answer = nil })
			return p.get(p.begin("/"))
		}},
		{"no ID token", func(p *person) reply {
			a.set(func() { a.answer = func(_ *http.Request, said map[string]any) { delete(said, "id_token") } })
			defer a.set(func() { a.answer = nil })
			return p.get(p.begin("/"))
		}},
		{"too late", func(p *person) reply {
			to := p.begin("/")
			a.set(func() { a.ahead = 11 * time.Minute })
			defer a.set(func() { a.ahead = 0 })
			r := p.get(to)
			if !strings.Contains(r.body, "too long ago") {
				t.Errorf("too late: refused for another reason: %s", r.body)
			}
			return r
		}},
		{"two login cookies", func(p *person) reply {
			return p.get(p.begin("/"), "Cookie", strings.Replace(a.cookie, "app-", "app-login-", 1)+"=x")
		}},
	} {
		p := a.person()
		if r := tc.do(p); r.StatusCode < 400 || p.signedIn() || p.value() != "" || strings.Contains(r.body, "evil.example") {
			t.Errorf("%s: %d %s", tc.name, r.StatusCode, r.body)
		}
	}
}

func TestBBACallbackOnce(t *testing.T) {
	a := newApp(t)
	p := a.person()
	to := p.begin("/")
	u, _ := url.Parse(a.url)
	kept := p.client.Jar.Cookies(u) // by somebody who copies all
	if r := p.get(to); r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if r := p.get(to); r.StatusCode != 400 {
		t.Errorf("a second time, the cookie is gone: %d", r.StatusCode)
	}
	thief := a.person()
	thief.client.Jar.SetCookies(u, kept)
	if r := thief.get(to); r.StatusCode != 400 || !strings.Contains(r.body, "used already") || thief.signedIn() {
		t.Errorf("with a copy of the cookie: %d %s", r.StatusCode, r.body)
	}
	if !p.signedIn() {
		t.Error("the copy ended the session")
	}
}

func TestBBAReturn(t *testing.T) {
	a := newApp(t)
	p := a.person()
	for _, back := range []string{"https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/%5cevil.example", "/%2fevil.example", "/%2f%2fevil.example", "evil.example", "javascript:alert(1)", "/a/../b", "/.//evil.example",
		"/\t/evil.example", "/\n/evil.example", "/a#b", "/.gatehouse/login", "/.gatehouse/logout", "/.gatehouse", "/" + strings.Repeat("a", 3000), "http:evil.example", " /a", "@evil.example"} {
		if r := p.get("/.gatehouse/login?return=" + url.QueryEscape(back)); r.StatusCode != 400 || r.Header.Get("Location") != "" || strings.Contains(r.body, "evil") {
			t.Errorf("return %q: %d %s %s", back, r.StatusCode, r.Header.Get("Location"), r.body)
		}
	}
	if r := p.get("/.gatehouse/login?return=/a&return=//evil.example"); r.StatusCode != 400 {
		t.Errorf("twice: %d", r.StatusCode)
	}
	for _, back := range []string{"/", "/orders/7?a=b&c=d", "/caf%C3%A9"} {
		r := a.person().get("/.gatehouse/login?return=" + url.QueryEscape(back))
		if r.StatusCode != 303 {
			t.Errorf("return %q: %d %s", back, r.StatusCode, r.body)
		}
	}
}

// Many requests at once while the token is old: one refresh, and all pass.
func TestBBAOneRefresh(t *testing.T) {
	a := newApp(t)
	p := a.person()
	a.set(func() { a.answer = func(_ *http.Request, said map[string]any) { said["expires_in"] = 5 } })
	p.get(p.begin("/"))
	a.set(func() { a.answer, a.slow, a.refreshes = nil, 300*time.Millisecond, 0 })
	a.upstream.take()
	const many = 50
	var wait sync.WaitGroup
	statuses := make([]int, many)
	for i := range many {
		wait.Go(func() {
			r, _ := http.NewRequest("GET", a.url+"/orders/7", nil)
			r.Header.Set("Cookie", a.cookie+"="+p.value())
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			if i == 0 { // the first may be the one that flies: it leaves
				ctx, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
			}
			defer cancel()
			if answer, err := http.DefaultTransport.RoundTrip(r.WithContext(ctx)); err == nil {
				statuses[i] = answer.StatusCode
				answer.Body.Close()
			}
		})
	}
	wait.Wait()
	for i, status := range statuses[1:] {
		if status != 200 {
			t.Errorf("request %d: %d", i+1, status)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refreshes != 1 {
		t.Errorf("%d refreshes, want 1", a.refreshes)
	}
}

// A request that comes when the refresh has just been done uses its tokens.
func TestBBALateForTheRefresh(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.signIn()
	for range 2 {
		a.must(a.gateway.Renew(p.value(), 0))
	}
	if a.refreshes != 1 {
		t.Errorf("%d refreshes, want 1", a.refreshes)
	}
}

func TestBBARefreshFails(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.signIn()
	a.set(func() { a.ahead = 9*time.Minute + 45*time.Second; a.down = true })
	if r := p.get("/orders/7"); r.StatusCode != 200 {
		t.Errorf("the issuer is down, the token is good for a while: %d %s", r.StatusCode, r.body)
	}
	a.set(func() { a.ahead = 11 * time.Minute })
	if r := p.get("/orders/7"); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || p.value() == "" {
		t.Errorf("the issuer is down: %d %s", r.StatusCode, r.body)
	}
	a.set(func() { a.ahead, a.down = 11*time.Minute, false })
	if r := p.get("/orders/7"); r.StatusCode != 200 {
		t.Errorf("the issuer is back: %d %s", r.StatusCode, r.body)
	}
	// The user is disabled: the issuer refuses, the session ends.
	user, err := a.parts.Store.UserByName(context.Background(), "ada")
	a.must(err)
	a.must(a.parts.Directory.SetPassword(context.Background(), "test", user.ID, bffPassword)) // ends all grants (C14)
	a.set(func() { a.ahead = 22 * time.Minute })
	if r := p.get("/orders/7"); r.StatusCode != 401 || p.value() != "" || p.signedIn() {
		t.Errorf("after the end at the issuer: %d %s", r.StatusCode, r.body)
	}
}

func TestBBALogoutEndsAtTheIssuer(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.signIn()
	cookie := p.value()
	r := p.own("POST", "/.gatehouse/logout")
	to := strings.ReplaceAll(between(r.body, `"continue":"`, `"`), `\u0026`, "&")
	if r.StatusCode != 200 || !strings.HasPrefix(to, a.authority.URL) || p.value() != "" || p.signedIn() {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	// The tokens are worth nothing, also for who has a copy of the cookie.
	q, _ := http.NewRequest("GET", a.url+"/orders/7", nil)
	q.Header.Set("Cookie", a.cookie+"="+cookie)
	if answer, err := http.DefaultTransport.RoundTrip(q); err != nil || answer.StatusCode != 401 {
		t.Errorf("the cookie after the logout: %v %v", answer, err)
	}
	for kind, token := range a.secrets {
		if !strings.HasPrefix(kind, "refresh_token") {
			continue
		}
		request, _ := http.NewRequest("POST", a.authority.URL+"/oauth/token", strings.NewReader(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}.Encode()))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth("app", a.secret)
		if answer, err := http.DefaultClient.Do(request); err != nil || answer.StatusCode != 400 {
			t.Errorf("the refresh token after the logout: %v %v", answer, err)
		}
	}
	// The issuer asks, then its session ends and the browser comes back.
	page := p.get(to)
	flow := flowField.FindStringSubmatch(page.body)
	if flow == nil {
		t.Fatalf("the issuer does not ask: %d %s", page.StatusCode, page.body)
	}
	page = p.send("POST", a.authority.URL+"/oauth/logout/confirm", url.Values{"flow": {flow[1]}, "decision": {"logout"}}, "Sec-Fetch-Site", "same-origin")
	if !strings.Contains(page.body, a.url+"/.gatehouse/signed-out") {
		t.Errorf("not sent back: %d %s", page.StatusCode, page.body)
	}
	if r := p.get(p.get("/.gatehouse/login").Header.Get("Location")); !strings.Contains(r.body, `action="/login"`) {
		t.Errorf("the issuer still knows the browser: %d %s", r.StatusCode, r.Header.Get("Location"))
	}
}

func TestBBABackchannelLogout(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.signIn()
	tell := func(raw string) int {
		return a.person().send("POST", "/.gatehouse/backchannel-logout", url.Values{"logout_token": {raw}}).StatusCode
	}
	signer, err := a.parts.Keys.Signer(context.Background(), "ES256")
	a.must(err)
	var subject string
	if subject = between(p.get("/.gatehouse/session").body, `"sub":"`, `"`); subject == "" {
		t.Fatal("no subject")
	}
	make := func(kind string, change map[string]any) string {
		now := time.Now()
		claims := map[string]any{"iss": a.authority.URL, "aud": "app", "sub": subject, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": fmt.Sprint(now.UnixNano()),
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
		for name, value := range change {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
		raw, err := signer.Sign(kind, claims)
		a.must(err)
		return raw
	}
	for kind, token := range a.secrets {
		if status := tell(token); status != 400 {
			t.Errorf("a %s: %d", kind, status)
		}
	}
	for name, raw := range map[string]string{
		"nothing": "", "an ID token by type": make("JWT", nil), "an access token by type": make("at+jwt", nil),
		"another client's": make("logout+jwt", map[string]any{"aud": "other"}), "another issuer's": make("logout+jwt", map[string]any{"iss": "https://evil.example"}),
		"with a nonce": make("logout+jwt", map[string]any{"nonce": "n"}), "no event": make("logout+jwt", map[string]any{"events": nil}),
		"no jti": make("logout+jwt", map[string]any{"jti": nil}), "of nobody": make("logout+jwt", map[string]any{"sub": nil}), "expired": make("logout+jwt", map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
	} {
		if status := tell(raw); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if !p.signedIn() {
		t.Fatal("a refused token signed out")
	}
	good := make("logout+jwt", nil)
	if status := tell(good); status != 200 || p.signedIn() {
		t.Errorf("the right one: %d", status)
	}
	p.signIn()
	if status := tell(good); status != 200 || !p.signedIn() {
		t.Errorf("a copy of it ends a later session: %d", status)
	}
	// The issuer's own: its session ends, by the person's wish, and it tells us.
	to := a.authority.URL + "/oauth/logout"
	flow := flowField.FindStringSubmatch(p.get(to).body)
	if flow == nil {
		t.Fatalf("the issuer does not ask at %s", to)
	}
	p.send("POST", a.authority.URL+"/oauth/logout/confirm", url.Values{"flow": {flow[1]}, "decision": {"logout"}}, "Sec-Fetch-Site", "same-origin")
	for deadline := time.Now().Add(10 * time.Second); p.signedIn(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the issuer's logout did not arrive")
		}
	}
}

func TestBBARestart(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.signIn()
	if _, err := gateway.New(a.config); err == nil || !strings.Contains(err.Error(), "another gateway uses this data folder") {
		t.Errorf("a second gateway with the same folder: %v", err)
	}
	a.must(a.gateway.Close())
	var err error
	for _, name := range []string{"gateway.db", "gateway-sessions.key"} {
		info, err := os.Stat(filepath.Join(a.config.Data, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	stored, err := os.ReadFile(filepath.Join(a.config.Data, "gateway.db"))
	a.must(err)
	for _, secret := range append([]string{p.value(), "Ada", "usr_", "eyJ"}, values(a.secrets)...) {
		if strings.Contains(string(stored), secret) {
			t.Errorf("the file shows %.12s…", secret)
		}
	}
	a.gateway, err = gateway.New(a.config)
	a.must(err)
	if r := p.get("/orders/7"); r.StatusCode != 200 {
		t.Errorf("after a restart: %d %s", r.StatusCode, r.body)
	}
	// Without the key the file is worth nothing.
	a.must(a.gateway.Close())
	a.must(os.Remove(filepath.Join(a.config.Data, "gateway-sessions.key")))
	a.gateway, err = gateway.New(a.config)
	a.must(err)
	if r := p.get("/orders/7"); r.StatusCode != 401 {
		t.Errorf("without the key: %d %s", r.StatusCode, r.body)
	}
	a.must(a.gateway.Close())
	a.must(os.Chmod(filepath.Join(a.config.Data, "gateway-sessions.key"), 0o644))
	if _, err := gateway.New(a.config); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("a key that others can read: %v", err)
	}
	a.must(os.Chmod(filepath.Join(a.config.Data, "gateway-sessions.key"), 0o600))
	a.gateway, err = gateway.New(a.config)
	a.must(err)
}

func values(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

func TestC22BFFHost(t *testing.T) {
	a := newApp(t)
	p := a.person()
	for host, want := range map[string]int{"evil.example": 421, strings.TrimPrefix(a.url, "http://") + ".evil.example": 421, "localhost": 421, "": 200} {
		headers := []string{"Host", host}
		if host == "" {
			headers = nil
		}
		for _, target := range []string{"/public/1", "/.gatehouse/login"} {
			if r := p.get(target, headers...); (r.StatusCode == 421) != (want == 421) {
				t.Errorf("Host %q, %s: %d", host, target, r.StatusCode)
			}
		}
	}
	if r := p.get("/healthz", "Host", "10.0.0.1"); r.StatusCode != 200 {
		t.Errorf("health check by address: %d", r.StatusCode)
	}
}

// What the request says never chooses the upstream, and nothing below the
// reserved prefix reaches it.
func TestBBAUpstreamIsTheConfiguredOne(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.signIn()
	a.upstream.take()
	other := newLenient(t)
	for _, target := range []string{other.url + "/orders/7", "//" + other.address + "/orders/7", "/" + other.url + "/orders", "/.gatehouse/orders", "/.gatehouse", "/.gatehouse/", "/.gatehouse/../orders/7", "/%2egatehouse/x", "@" + other.address + "/orders"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
		a.must(err)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Host: %s\r\nForwarded: host=%s\r\nCookie: %s=%s\r\n\r\n", target, strings.TrimPrefix(a.url, "http://"), other.address, other.address, a.cookie, p.value())
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		a.must(err)
		c.Close()
		if answer.StatusCode < 400 {
			t.Errorf("%s: %d", target, answer.StatusCode)
		}
	}
	if seen := append(a.upstream.take(), other.take()...); len(seen) > 0 {
		t.Errorf("reached: %+v", seen)
	}
}

func TestBFFConfiguration(t *testing.T) {
	good := gateway.BFF{ExternalURL: "https://app.example.com", ClientID: "app", ClientSecret: "s"}
	for _, tc := range []struct {
		name   string
		change func(*gateway.Config, *gateway.BFF)
		want   string
	}{
		{"http", func(_ *gateway.Config, b *gateway.BFF) { b.ExternalURL = "http://app.example.com" }, "not https"},
		{"path", func(_ *gateway.Config, b *gateway.BFF) { b.ExternalURL += "/app" }, "not an origin"},
		{"capitals", func(_ *gateway.Config, b *gateway.BFF) { b.ExternalURL = "https://App.example.com" }, "capital"},
		{"no secret", func(_ *gateway.Config, b *gateway.BFF) { b.ClientSecret = "" }, "secret"},
		{"no folder", func(c *gateway.Config, _ *gateway.BFF) { c.Data = "" }, "--data"},
		{"no openid", func(_ *gateway.Config, b *gateway.BFF) { b.Scopes = []string{"orders:read"} }, "openid"},
		{"another issuer", func(_ *gateway.Config, b *gateway.BFF) { b.Issuer = "https://other.example.com" }, "does not take"},
		{"forward-auth", func(c *gateway.Config, _ *gateway.BFF) {
			c.ForwardAuth, _ = gateway.CarrierOf("nginx")
			c.TrustedProxies = loopback()
		}, "leave out --forward-auth"},
	} {
		b := good
		c := gateway.Config{Policy: []byte(strings.ReplaceAll(bffPolicy, "ISSUER", "https://auth.example.com")), Upstream: "http://127.0.0.1:1", Logger: discard(), Data: t.TempDir(), BFF: &b}
		tc.change(&c, &b)
		if _, err := gateway.New(c); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// A logout ends what still runs under the session: events and WebSockets.
func TestBBALogoutEndsStreams(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(streamer))
	t.Cleanup(func() { upstream.CloseClientConnections(); upstream.Close() })
	a := newApp(t, func(c *gateway.Config) { c.Upstream = upstream.URL })
	for _, kind := range []string{"events", "websocket"} {
		p := a.person()
		p.signIn()
		c, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
		a.must(err)
		defer c.Close()
		fmt.Fprintf(c, "GET /orders/stream HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\n", strings.TrimPrefix(a.url, "http://"), a.cookie, p.value())
		if kind == "websocket" {
			fmt.Fprintf(c, "Origin: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n", a.url)
		}
		fmt.Fprint(c, "\r\n")
		c.SetDeadline(time.Now().Add(10 * time.Second))
		all := bufio.NewReader(c)
		answer, err := http.ReadResponse(all, nil)
		a.must(err)
		stream := io.Reader(answer.Body)
		if kind == "websocket" {
			stream = all
		}
		_, err = io.ReadFull(stream, make([]byte, 10))
		a.must(err)
		began := time.Now()
		if r := p.own("POST", "/.gatehouse/logout"); r.StatusCode != 200 {
			t.Fatalf("logout: %d", r.StatusCode)
		}
		if _, err := io.Copy(io.Discard, stream); err != nil || time.Since(began) > 5*time.Second {
			t.Errorf("%s: went on for %s after the logout: %v", kind, time.Since(began), err)
		}
	}
}

// What the API sets under the names of our cookies stays here.
func TestBBAUpstreamCannotSetOurCookies(t *testing.T) {
	name := ""
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, c := range []string{name + "=evil; Path=/", strings.ToUpper(name) + "=evil", " " + name + "=evil", "theirs=1"} {
			w.Header().Add("Set-Cookie", c)
		}
	}))
	t.Cleanup(upstream.Close)
	a := newApp(t, func(c *gateway.Config) { c.Upstream = upstream.URL })
	name = a.cookie
	p := a.person()
	p.signIn()
	before := p.value()
	if r := p.get("/orders/7"); r.StatusCode != 200 || len(r.Header["Set-Cookie"]) != 1 || r.Header["Set-Cookie"][0] != "theirs=1" || p.value() != before {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

// A policy that no longer takes the issuer of those who are signed in is not read.
func TestBFFPolicyMustKeepTheIssuer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	a := newApp(t, func(c *gateway.Config) {
		if err := os.WriteFile(file, c.Policy, 0o600); err != nil {
			t.Fatal(err)
		}
		c.Policy, c.PolicyFile = nil, file
	})
	text, err := os.ReadFile(file)
	a.must(err)
	a.must(os.WriteFile(file, []byte(strings.ReplaceAll(string(text), a.authority.URL, "https://other.example.com")), 0o600))
	if err := a.gateway.Reload(); err == nil || !strings.Contains(err.Error(), "does not take") {
		t.Errorf("got %v", err)
	}
	a.must(os.WriteFile(file, text, 0o600))
	a.must(a.gateway.Reload())
}
