package gateway_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/guardtest"
	"github.com/gatehouse-auth/gatehouse/internal/gateway"
)

const audience = "https://api.example.com"

// policyText is the policy of most tests. Nobody is ever given never:granted.
const policyText = `version: 1
tokens:
  - issuer: ISSUER
    audience: https://api.example.com
identity_headers: { X-User-Id: token.sub, X-Roles: token.roles }
routes:
  - GET,HEAD,POST /public/**: { public: true }
  - GET,HEAD,POST /orders/**: { scope: orders:read }
  - GET,HEAD,POST /private/**: { scope: never:granted }
`

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// house is an issuer, an upstream that notes what it sees, and a gateway.
type house struct {
	issuer   *guardtest.Issuer
	upstream *lenient
	gateway  *gateway.Gateway
	url      string
	address  string
	token    string // of usr_amy, with orders:read
}

func newHouse(t *testing.T, policy string, change func(*gateway.Config)) *house {
	t.Helper()
	h := &house{issuer: guardtest.NewIssuer(t), upstream: newLenient(t)}
	config := gateway.Config{Policy: []byte(strings.ReplaceAll(policy, "ISSUER", h.issuer.URL())), Upstream: h.upstream.url, Logger: discard()}
	if change != nil {
		change(&config)
	}
	var err error
	if h.gateway, err = gateway.New(config); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h.gateway)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close(); h.gateway.Close() })
	h.url, h.address = s.URL, s.Listener.Addr().String()
	h.token = h.issuer.Token(guardtest.Token{Subject: "usr_amy", Audience: audience, Scopes: []string{"orders:read"}, Roles: []string{"clerk"}})
	return h
}

// do sends a request; headers are name, value pairs.
func (h *house) do(t *testing.T, method, target, token string, headers ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, h.url+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, string(body)
}

// seen is a request as an upstream saw it.
type seen struct {
	method, target string
	header         http.Header
	trailer        http.Header
}

// lenient is an upstream that notes requests. What it "serves" is judged by
// every careless reading that we know of.
type lenient struct {
	url     string
	address string
	mu      sync.Mutex
	log     []seen
}

func newLenient(t *testing.T) *lenient {
	l := &lenient{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.log = append(l.log, seen{r.Method, r.RequestURI, r.Header.Clone(), r.Trailer.Clone()})
	}))
	t.Cleanup(s.Close)
	l.url, l.address = s.URL, s.Listener.Addr().String()
	return l
}

// take returns what was seen since the last time.
func (l *lenient) take() []seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.log
	l.log = nil
	return all
}

// fold reads the name of a header as CGI does.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)
}

// breach says what is wrong with a request that reached the upstream.
func (s seen) breach(ownProxy bool) string {
	for _, reading := range readings(s.target) {
		if reading == "/private" || strings.HasPrefix(reading, "/private/") {
			return "the upstream may serve " + reading
		}
	}
	if s.method != "GET" && s.method != "HEAD" && s.method != "POST" {
		return "the upstream got the method " + s.method
	}
	user := ""
	for _, header := range []http.Header{s.header, s.trailer} {
		for name, values := range header {
			value, folded := strings.Join(values, " "), fold(name)
			switch {
			case folded == "x-user-id":
				user += value
			case (folded == "x-roles" && value != "clerk" || folded == "gatehouse-identity") && value != "":
				return "the upstream got " + name + ": " + value
			case ownProxy && (strings.Contains(value, "evil") || strings.Contains(name, "_")) && folded != "x-other" && folded != "expect" && folded != "x-forwarded-host":
				return "the upstream got " + name + ": " + value
			case ownProxy && (folded == "authorization" || folded == "cookie" || strings.Contains(folded, "method") || folded == "http2-settings"):
				return "the upstream got " + name
			}
		}
	}
	if user != "" && user != "usr_amy" {
		return "the upstream takes the caller for " + user
	}
	if strings.HasPrefix(s.target, "/orders") && user != "usr_amy" {
		return "the upstream served /orders to nobody"
	}
	return ""
}

// readings are what careless servers make of a path: decoded once or more,
// cleaned, without path parameters, whatever its case.
func readings(target string) []string {
	p, _, _ := strings.Cut(target, "?")
	p, _, _ = strings.Cut(p, "#")
	if u, err := url.Parse(p); err == nil && u.Scheme != "" {
		p = strings.TrimPrefix(p[len(u.Scheme)+1:], "//")
		if i := strings.IndexByte(p, '/'); i > 0 {
			p = p[i:]
		}
	}
	var all []string
	for range 4 {
		for _, slashes := range []string{p, strings.ReplaceAll(p, `\`, "/")} {
			var bare []string
			for segment := range strings.SplitSeq(slashes, "/") {
				name, _, _ := strings.Cut(segment, ";")
				bare = append(bare, strings.TrimRight(name, ". \x00\t\n"))
			}
			for _, form := range []string{slashes, strings.Join(bare, "/"), withoutParameters(slashes)} {
				all = append(all, form, path.Clean("/"+form), strings.ToLower(path.Clean("/"+form)))
			}
		}
		decoded, err := url.PathUnescape(p)
		if err != nil || decoded == p {
			break
		}
		p = decoded
	}
	return all
}

func withoutParameters(p string) string {
	var bare []string
	for segment := range strings.SplitSeq(p, "/") {
		name, _, _ := strings.Cut(segment, ";")
		bare = append(bare, name)
	}
	return strings.Join(bare, "/")
}

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
