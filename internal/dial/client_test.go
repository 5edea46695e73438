package dial_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/dial"
)

// nameServer answers every question for an IPv4 address with the next of its
// addresses, over real UDP, and stays with the last one.
func nameServer(t *testing.T, addresses ...string) (r *net.Resolver, asked *atomic.Int64) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	asked = &atomic.Int64{}
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			conn.WriteTo(answer(buffer[:n], addresses, asked), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}, asked
}

// answer writes a DNS answer (RFC 1035 §4.1) to a query with one question: one
// A record, or none for other types.
func answer(query []byte, addresses []string, asked *atomic.Int64) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	isA := binary.BigEndian.Uint16(query[end+1:]) == 1
	out := append([]byte{}, query[:2]...)
	out = append(out, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	out = append(out, question...)
	if isA {
		n := int(asked.Add(1)) - 1
		out[7] = 1
		ip := netip.MustParseAddr(addresses[min(n, len(addresses)-1)]).As4()
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, ip[:]...)
	}
	return out
}

// site is an https server on loopback that counts its visits.
func site(t *testing.T, h http.HandlerFunc) (s *httptest.Server, port int, roots *x509.CertPool, visits *atomic.Int64) {
	t.Helper()
	visits = &atomic.Int64{}
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { visits.Add(1); h(w, r) }))
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	u, _ := url.Parse(s.URL)
	port, _ = strconv.Atoi(u.Port())
	return s, port, roots, visits
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// get fetches and reads; the test's certificate is for example.com.
func get(c *http.Client, address string) (status int, body string, err error) {
	response, err := c.Get(address)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return response.StatusCode, string(b), err
}

func wantRefused(t *testing.T, err error, reason string) {
	t.Helper()
	var refused *dial.Refused
	if !errors.As(err, &refused) || !strings.Contains(refused.Reason, reason) {
		t.Errorf("got %v, want refused: %s", err, reason)
	}
}

func TestC34APublicNameOfAPrivateAddress(t *testing.T) {
	_, port, roots, visits := site(t, hello)
	address := "https://example.com:" + strconv.Itoa(port)
	for _, to := range []struct{ address, reason string }{{"127.0.0.1", "loopback"}, {"10.1.2.3", "private"}, {"169.254.169.254", "link-local"}, {"0.0.0.0", "unspecified"}} {
		names, asked := nameServer(t, to.address)
		_, _, err := get(dial.New(dial.Config{Resolver: names, RootCAs: roots, Ports: []int{port}}), address)
		wantRefused(t, err, to.reason)
		if asked.Load() == 0 {
			t.Error("the name was not looked up: the test shows nothing")
		}
	}
	if visits.Load() != 0 {
		t.Errorf("the server was reached %d times", visits.Load())
	}
	// The same name, server and certificate are good where loopback is meant.
	names, _ := nameServer(t, "127.0.0.1")
	if status, body, err := get(dial.New(dial.Config{Resolver: names, RootCAs: roots, Ports: []int{port}, InsecureLoopback: true}), address); status != 200 || body != "hello" {
		t.Errorf("with InsecureLoopback: %d %q %v", status, body, err)
	}
	if _, body, err := get(dial.New(dial.Config{Resolver: names, RootCAs: roots, Ports: []int{port}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}), address); body != "hello" {
		t.Errorf("with the network of the operator: %q %v", body, err)
	}
}

// A name that changes between two lookups: the first answer is public, and
// whoever checks names instead of connections is satisfied with it.
func TestC34Rebinding(t *testing.T) {
	_, port, roots, visits := site(t, hello)
	names, asked := nameServer(t, "93.184.215.14", "127.0.0.1")
	first, err := names.LookupNetIP(context.Background(), "ip4", "example.com")
	if err != nil || dial.CheckAddress(first[0]) != nil {
		t.Fatalf("the first lookup: %v %v", first, err)
	}
	_, _, err = get(dial.New(dial.Config{Resolver: names, RootCAs: roots, Ports: []int{port}}), "https://example.com:"+strconv.Itoa(port))
	wantRefused(t, err, "loopback")
	if asked.Load() < 2 || visits.Load() != 0 {
		t.Errorf("%d lookups, %d visits", asked.Load(), visits.Load())
	}
}

func TestC34URLs(t *testing.T) {
	_, port, roots, visits := site(t, hello)
	names, _ := nameServer(t, "127.0.0.1")
	c := dial.New(dial.Config{Resolver: names, RootCAs: roots})
	loopback := dial.New(dial.Config{RootCAs: roots, InsecureLoopback: true})
	n := strconv.Itoa(port)
	for _, tc := range []struct {
		name    string
		client  *http.Client
		address string
		reason  string
	}{
		{"plain http", c, "http://example.com/", "only https"},
		{"plain http on port 443", c, "http://example.com:443/", "only https"},
		{"a file", c, "file:///etc/passwd", "names no host"},
		{"another scheme", c, "gopher://example.com/", "only https"},
		{"another port", c, "https://example.com:" + n, "port is not allowed"},
		{"a port of the machine", c, "https://example.com:22/", "port is not allowed"},
		{"a user", c, "https://user:pw@example.com/", "names a user"},
		{"no host", c, "https:///x", "names no host"},
		{"an address", c, "https://127.0.0.1/", "loopback"},
		{"an address in another spelling", c, "https://[::ffff:127.0.0.1]/", "loopback"},
		{"an IPv6 address", c, "https://[::1]/", "loopback"},
		{"a private address on the allowed port", c, "https://10.0.0.1/", "private"},
		{"loopback allows no other machine", loopback, "http://10.0.0.1/", "only https"},
		{"loopback allows no private address", loopback, "https://10.0.0.1/", "private"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := get(tc.client, tc.address)
			wantRefused(t, err, tc.reason)
		})
	}
	if visits.Load() != 0 {
		t.Errorf("the server was reached %d times", visits.Load())
	}
	if _, body, err := get(loopback, "https://127.0.0.1:"+n); body != "hello" {
		t.Errorf("loopback with InsecureLoopback: %v", err)
	}
}

func TestC34NoProxyOfTheEnvironment(t *testing.T) {
	proxied := atomic.Int64{}
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	names, _ := nameServer(t, "127.0.0.1")
	_, _, err := get(dial.New(dial.Config{Resolver: names}), "https://example.com/")
	wantRefused(t, err, "loopback")
	if proxied.Load() != 0 {
		t.Error("the proxy was asked")
	}
}

func TestC34Redirects(t *testing.T) {
	_, port, roots, visits := site(t, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"/": "https://169.254.169.254/latest/meta-data/", "/http": "http://93.184.215.14/", "/port": "https://93.184.215.14:22/"}
		http.Redirect(w, r, to[r.URL.Path], http.StatusFound)
	})
	c := dial.New(dial.Config{RootCAs: roots, InsecureLoopback: true})
	address := "https://127.0.0.1:" + strconv.Itoa(port)
	if status, _, err := get(c, address); status != http.StatusFound || err != nil || visits.Load() != 1 {
		t.Errorf("a redirect is not followed: %d %v", status, err)
	}
	// A caller with a redirect policy of its own is still guarded.
	c.CheckRedirect = nil
	for path, reason := range map[string]string{"/": "link-local", "/http": "only https", "/port": "port is not allowed"} {
		_, _, err := get(c, address+path)
		wantRefused(t, err, reason)
	}
}

func TestC34Bounds(t *testing.T) {
	_, port, roots, _ := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/exact":
			w.Write(make([]byte, dial.MaxBytes))
		case "/declared":
			w.Write(make([]byte, dial.MaxBytes+1))
		case "/stream":
			for range 2 * dial.MaxBytes / 1024 {
				w.Write(make([]byte, 1024))
				w.(http.Flusher).Flush()
			}
		case "/header":
			w.Header().Set("X", strings.Repeat("x", 100<<10))
		case "/slow":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // a handler that returns would end the body properly, and sometimes in time
		}
	})
	c := dial.New(dial.Config{RootCAs: roots, InsecureLoopback: true, Timeout: 2 * time.Second})
	address := "https://127.0.0.1:" + strconv.Itoa(port)
	if _, body, err := get(c, address+"/exact"); err != nil || len(body) != dial.MaxBytes {
		t.Errorf("the largest body: %d bytes, %v", len(body), err)
	}
	for _, path := range []string{"/declared", "/stream"} {
		if _, body, err := get(c, address+path); !errors.Is(err, dial.ErrTooLarge) || len(body) > dial.MaxBytes {
			t.Errorf("%s: %d bytes, %v", path, len(body), err)
		}
	}
	if _, _, err := get(c, address+"/header"); err == nil {
		t.Error("a header of 100 KiB was read")
	}
	begin := time.Now()
	if _, _, err := get(c, address+"/slow"); err == nil || time.Since(begin) > 4*time.Second {
		t.Errorf("a body that never ends: %v after %s", err, time.Since(begin))
	}
}
