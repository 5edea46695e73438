package iam_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

var redirecting = iam.Client{ID: "app", Type: iam.Public, RedirectURIs: []string{
	"https://app.example.com/cb", "https://app.example.com/q?tenant=a", "http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost:3000/cb", "com.example.app:/cb", "https://xn--bcher-kva.example/cb",
}}

// What a request may name when these are registered, and what it may not: each
// row is a way in which servers were talked into sending a code elsewhere.
func TestOA211RedirectMutations(t *testing.T) {
	for _, tc := range []struct {
		name, uri string
		ok        bool
	}{
		{"exact", "https://app.example.com/cb", true},
		{"exact with its query", "https://app.example.com/q?tenant=a", true},
		{"private-use scheme", "com.example.app:/cb", true},
		{"punycode", "https://xn--bcher-kva.example/cb", true},
		{"NAT loopback with any port", "http://127.0.0.1:49152/cb", true},
		{"NAT IPv6 loopback with any port", "http://[::1]:1/cb", true},
		{"NAT loopback without a port", "http://127.0.0.1/cb", true},
		{"NAT localhost with its port", "http://localhost:3000/cb", true},

		{"empty", "", false},
		{"trailing slash", "https://app.example.com/cb/", false},
		{"longer path", "https://app.example.com/cb/x", false},
		{"longer name", "https://app.example.com/cbx", false},
		{"shorter path", "https://app.example.com/", false},
		{"no path", "https://app.example.com", false},
		{"path in another case", "https://app.example.com/CB", false},
		{"host in another case", "https://APP.example.com/cb", false},
		{"scheme in another case", "HTTPS://app.example.com/cb", false},
		{"http", "http://app.example.com/cb", false},
		{"default port spelled out", "https://app.example.com:443/cb", false},
		{"another port", "https://app.example.com:8443/cb", false},
		{"empty port", "https://app.example.com:/cb", false},
		{"CVE-2026-28512 userinfo", "https://app.example.com@evil.example/cb", false},
		{"userinfo before our host", "https://evil.example@app.example.com/cb", false},
		{"userinfo with a password", "https://app.example.com:443@evil.example/cb", false},
		{"encoded at-sign", "https://app.example.com%40evil.example/cb", false},
		{"backslash", "https://app.example.com\\@evil.example/cb", false},
		{"backslash for a slash", "https://app.example.com\\cb", false},
		{"subdomain", "https://x.app.example.com/cb", false},
		{"suffix", "https://app.example.com.evil.example/cb", false},
		{"trailing dot of the host", "https://app.example.com./cb", false},
		{"full-width dot of the host", "https://app.example\u3002com/cb", false},
		{"look-alike letter", "https://\u0430pp.example.com/cb", false},
		{"unicode for punycode", "https://b\u00fccher.example/cb", false},
		{"dot segment", "https://app.example.com/x/../cb", false},
		{"encoded dot segment", "https://app.example.com/x/%2e%2e/cb", false},
		{"encoded slash", "https://app.example.com%2fcb", false},
		{"encoded letter", "https://app.example.com/%63b", false},
		{"double slash", "https://app.example.com//cb", false},
		{"path parameter", "https://app.example.com/cb;x", false},
		{"a query that was not registered", "https://app.example.com/cb?x=y", false},
		{"an empty query", "https://app.example.com/cb?", false},
		{"without its query", "https://app.example.com/q", false},
		{"more than its query", "https://app.example.com/q?tenant=a&tenant=b", false},
		{"a code of its own", "https://app.example.com/cb?code=x", false},
		{"fragment", "https://app.example.com/cb#x", false},
		{"empty fragment", "https://app.example.com/cb#", false},
		{"leading space", " https://app.example.com/cb", false},
		{"trailing space", "https://app.example.com/cb ", false},
		{"line break", "https://app.example.com/cb\r\nSet-Cookie:x", false},
		{"tab in the host", "https://app.exa\tmple.com/cb", false},
		{"NUL", "https://app.example.com/cb\x00", false},
		{"two URIs", "https://app.example.com/cb https://evil.example", false},
		{"protocol-relative", "//app.example.com/cb", false},
		{"relative", "/cb", false},
		{"javascript", "javascript:alert(1)//https://app.example.com/cb", false},
		{"data", "data:text/html,https://app.example.com/cb", false},
		{"three slashes", "https:///app.example.com/cb", false},
		{"no slashes", "https:app.example.com/cb", false},
		{"private-use scheme with a host", "com.example.app://cb", false},
		{"private-use scheme, other path", "com.example.app:/cb2", false},
		{"private-use scheme in another case", "COM.example.app:/cb", false},
		{"loopback, other path", "http://127.0.0.1:4711/cb2", false},
		{"loopback by https", "https://127.0.0.1:4711/cb", false},
		{"loopback with userinfo", "http://127.0.0.1:80@evil.example/cb", false},
		{"loopback as a name", "http://localhost:4711/cb", false},
		{"loopback of another address", "http://127.0.0.2:4711/cb", false},
		{"loopback in decimal", "http://2130706433/cb", false},
		{"loopback, short", "http://127.1/cb", false},
		{"loopback as a prefix", "http://127.0.0.1.evil.example/cb", false},
		{"loopback with an empty port", "http://127.0.0.1:/cb", false},
		{"loopback with a long port", "http://127.0.0.1:123456/cb", false},
		{"loopback with a port of letters", "http://127.0.0.1:80x/cb", false},
		{"IPv6 loopback, long", "http://[0:0:0:0:0:0:0:1]:4711/cb", false},
		{"IPv6 loopback with a zone", "http://[::1%25eth0]:4711/cb", false},
		{"IPv4 in IPv6", "http://[::ffff:127.0.0.1]:4711/cb", false},
		{"513 bytes", "https://app.example.com/cb?" + strings.Repeat("x", 486), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := redirecting.AllowsRedirect(tc.uri); got != tc.ok {
				t.Errorf("%q: %v, want %v", tc.uri, got, tc.ok)
			}
		})
	}
	confidential := redirecting
	confidential.Type = iam.Confidential
	for _, uri := range []string{"http://127.0.0.1:4711/cb", "com.example.app:/cb"} {
		if confidential.AllowsRedirect(uri) {
			t.Errorf("RFC 8252 is for public clients: %s", uri)
		}
	}
}

// A redirect URI cannot bring a parameter that the answer will have.
func TestOA211AnswerParametersInARedirectURI(t *testing.T) {
	for _, query := range []string{"code=x", "state=x", "iss=x", "error=x", "error_description=x", "a=b&code=", "state", "%63ode=x", "id_token=x", "a=%zz", "a=b;c"} {
		if iam.CheckRedirectURI("https://app.example.com/cb?"+query, iam.Public) == nil {
			t.Errorf("%s is taken", query)
		}
	}
	for _, query := range []string{"codes=x", "tenant=a&x=", "mystate=1", "a=code%3Dx"} {
		if err := iam.CheckRedirectURI("https://app.example.com/cb?"+query, iam.Public); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// Whatever is allowed leads to a registered place, and the answer is read there
// as it was meant.
func FuzzRedirect(f *testing.F) {
	for _, uri := range append(slices.Clone(redirecting.RedirectURIs), "http://127.0.0.1:4711/cb", "http://[::1]:80/cb", "https://app.example.com@evil.example/cb", "http://127.0.0.1:80@evil/cb", "http://127.0.0.1\\:80/cb", "http://127.0.0.1:1?cb") {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if !redirecting.AllowsRedirect(uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.User != nil || u.Fragment != "" {
			t.Fatalf("%q is allowed", uri)
		}
		if !slices.Contains(redirecting.RedirectURIs, uri) {
			if host := u.Hostname(); u.Scheme != "http" || host != "127.0.0.1" && host != "::1" || u.Path != "/cb" || u.RawQuery != "" || u.Port() == "" {
				t.Fatalf("%q is not registered", uri)
			}
		}
		answer := oauth.AuthorizeAnswer{Code: "c", State: "s&code=x"}.URL(uri, "https://i.example")
		to, err := url.Parse(answer)
		if err != nil || to.Host != u.Host || to.Path != u.Path || len(to.Query()["code"]) != 1 || to.Query().Get("state") != "s&code=x" || to.Query().Get("iss") != "https://i.example" {
			t.Fatalf("answered at %s", answer)
		}
	})
}

// Whatever can be registered can be answered.
func FuzzCheckRedirectURI(f *testing.F) {
	for _, uri := range append(slices.Clone(redirecting.RedirectURIs), "https://a.example/?x=y&", "https://a.example/cb?code=1", "a.b:c?d", "https://a.example/%2e%2e/") {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		for _, kind := range []iam.ClientType{iam.Public, iam.Confidential} {
			if iam.CheckRedirectURI(uri, kind) != nil {
				continue
			}
			c := iam.Client{Type: kind, RedirectURIs: []string{uri}}
			if !c.AllowsRedirect(uri) {
				t.Fatalf("%q is registered and not allowed", uri)
			}
			to, err := url.Parse(oauth.AuthorizeAnswer{Code: "c", State: "s"}.URL(uri, "https://i.example"))
			if err != nil || len(to.Query()["code"]) != 1 || len(to.Query()["iss"]) != 1 || to.Query().Get("state") != "s" || strings.ContainsAny(to.String(), "\r\n \"<>") {
				t.Fatalf("%q: answered at %v %v", uri, to, err)
			}
		}
	})
}

func FuzzUserCode(f *testing.F) {
	for _, typed := range []string{"WDJB-MJHT", "wdjb mjht", "wdjbmjht", "WDJB-MJH", "WDJB-MJHA", "ＷＤＪＢ-MJHT", "\u0131WDJBMJH", "--------BCDFGHJK"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := iam.CanonicalUserCode(typed)
		if !ok {
			if code != "" {
				t.Fatalf("%q is no code and is %q", typed, code)
			}
			return
		}
		again, ok := iam.CanonicalUserCode(code)
		if !ok || again != code || len(code) != 9 || code[4] != '-' || strings.Trim(code, "BCDFGHJKLMNPQRSTVWXZ-") != "" {
			t.Fatalf("%q became %q", typed, code)
		}
	})
}

func TestDEVUserCodes(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		code := iam.NewUserCode()
		if canonical, ok := iam.CanonicalUserCode(code); !ok || canonical != code || seen[code] {
			t.Fatalf("drew %q", code)
		}
		seen[code] = true
	}
	for typed, want := range map[string]string{"wdjb-mjht": "WDJB-MJHT", " WDJB MJHT ": "WDJB-MJHT", "wdjbmjht": "WDJB-MJHT", "": "", "WDJB-MJH": "", "WDJB-MJHTT": "", "WDJB-MJHA": "", "WDJB_MJHT": "", "WDJB-MJH\n": "", strings.Repeat("-", 40): ""} {
		if got, _ := iam.CanonicalUserCode(typed); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}
