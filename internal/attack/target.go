package attack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Target is one route, and how it takes a token.
type Target struct {
	URL     string
	Method  string      // "" is GET
	Headers http.Header // sent with every request
	Body    string
	Cookie  string // name of the cookie that carries the token; "": Authorization: Bearer
	Field   string // name of the field of a form that carries it instead
	// Declared says where an OpenAPI document declares the route, such as
	// "api.yaml:12"; "" elsewhere.
	Declared string
	// Open tells that the document declares no security for it.
	Open bool
}

func (t Target) method() string {
	if t.Method == "" {
		return http.MethodGet
	}
	return strings.ToUpper(t.Method)
}

// Route is the method and the address, without values of the query: those may
// be secrets.
func (t Target) Route() string { return t.method() + " " + bare(t.URL) }

// bare is an address without user, fragment and the values of its query.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(no address)"
	}
	u.User, u.Fragment = nil, ""
	if u.RawQuery != "" {
		names := []string{}
		for pair := range strings.SplitSeq(u.RawQuery, "&") {
			name, _, _ := strings.Cut(pair, "=")
			names = append(names, name+"=…")
		}
		u.RawQuery = ""
		return u.String() + "?" + strings.Join(names, "&")
	}
	return u.String()
}

// check refuses what is no address of an API.
func (t Target) check() error {
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("the target %q is not an http or https URL such as http://127.0.0.1:8081/orders", bare(t.URL))
	}
	if u.User != nil {
		return fmt.Errorf("the target has a password in its address. Pass it in a header file instead: --header @FILE")
	}
	return nil
}

// Loopback tells whether a target is this machine by its name or address.
func (t Target) Loopback() bool {
	u, err := url.Parse(t.URL)
	if err != nil {
		return false
	}
	name := strings.ToLower(u.Hostname())
	ip := net.ParseIP(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || ip != nil && ip.IsLoopback()
}

// dialer connects. A name that stands for this machine must be this machine:
// otherwise whoever answers for it in DNS gets the tokens without permission.
func (t Target) dialer() *http.Transport {
	transport := &http.Transport{
		MaxIdleConnsPerHost: 16, ResponseHeaderTimeout: 30 * time.Second, TLSHandshakeTimeout: 10 * time.Second, DisableCompression: true, MaxResponseHeaderBytes: 256 << 10,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
	}
	if t.Loopback() {
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			host, _, _ := net.SplitHostPort(address)
			if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			var last error
			for _, local := range []string{"127.0.0.1", "::1"} {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(local, port))
				if err == nil {
					return conn, nil
				}
				last = err
			}
			return nil, last
		}
	} else {
		transport.Proxy = http.ProxyFromEnvironment
	}
	return transport
}

// request is one call of the target with a token in its usual place; "" for none.
func (t Target) request(ctx context.Context, token string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, t.method(), t.URL, strings.NewReader(t.Body))
	if err != nil {
		return nil, err
	}
	if t.Body == "" {
		request.Body, request.GetBody, request.ContentLength = http.NoBody, nil, 0
	}
	for name, values := range t.Headers {
		request.Header[name] = append([]string(nil), values...)
	}
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", "gatehouse-audit")
	}
	if token != "" || t.Field != "" {
		t.carry(request, token)
	}
	return request, nil
}

// carry puts a token where the target takes it.
func (t Target) carry(request *http.Request, token string) {
	if t.Field != "" {
		form := t.Body
		if token != "" {
			form = strings.TrimPrefix(form+"&"+t.Field+"="+url.QueryEscape(token), "&")
		}
		request.Body, request.ContentLength = io.NopCloser(strings.NewReader(form)), int64(len(form))
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(form)), nil }
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return
	}
	if t.Cookie == "" {
		request.Header.Set("Authorization", "Bearer "+token)
		return
	}
	cookie := t.Cookie + "=" + token
	if other := request.Header.Get("Cookie"); other != "" {
		cookie = other + "; " + cookie
	}
	request.Header.Set("Cookie", cookie)
}

// sendable tells whether a header can carry the text, as far as HTTP goes
// (RFC 9110 §5.5). A cookie carries less (RFC 6265 §4.1.1).
func (t Target) sendable(token string) bool {
	if t.Field != "" {
		return true
	}
	for _, r := range []byte(token) {
		if r < ' ' && r != '\t' || r == 0x7f || t.Cookie != "" && strings.IndexByte(` ",;\`, r) >= 0 {
			return false
		}
	}
	return true
}

// maxBody bounds what is read of an answer.
const maxBody = 256 << 10

// answer is what came back, and how long it took.
type answer struct {
	status int
	header http.Header
	body   []byte
	marks  marks
	took   time.Duration
	err    error // no answer: a connection that broke or a time that was up
}

func exchange(client *http.Client, request *http.Request) answer {
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return answer{err: err, took: time.Since(began)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	a := answer{status: response.StatusCode, header: response.Header, body: body, took: time.Since(began), err: err}
	a.marks = read(a)
	return a
}
