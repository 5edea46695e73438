package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
)

// sharing makes a gateway one of several on a PostgreSQL.
func sharing(t *testing.T) func(*gateway.Config) {
	t.Helper()
	database := pgtest.Start(t).Database(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *gateway.Config) { c.Database, c.KeyFile, c.Data = database, key, t.TempDir() }
}

// others are more gateways of the same app, by their addresses.
func (a *app) others(n int, change func(*gateway.Config)) []string {
	a.t.Helper()
	var all []string
	for range n {
		c := a.config
		change(&c)
		g, err := gateway.New(c)
		a.must(err)
		s := httptest.NewServer(g)
		a.t.Cleanup(func() { s.CloseClientConnections(); s.Close(); g.Close() })
		all = append(all, s.URL)
	}
	return all
}

// through asks one of the gateways, as a load balancer would.
func (p *person) through(ctx context.Context, address, target string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", address+target, nil)
	if err != nil {
		return nil, err
	}
	r.Host = strings.TrimPrefix(p.url, "http://")
	r.Header.Set("Cookie", p.cookie+"="+p.value())
	return http.DefaultTransport.RoundTrip(r)
}

// Four gateways, one session whose token is old: one refresh, and all requests
// pass.
func TestBBAOneRefreshOfManyGateways(t *testing.T) {
	share := sharing(t)
	a := newApp(t, share)
	addresses := append(a.others(3, share), a.url)
	p := a.person()
	a.set(func() { a.answer = func(_ *http.Request, said map[string]any) { said["expires_in"] = 5 } })
	p.get(p.begin("/"))
	a.set(func() { a.answer, a.slow, a.refreshes = nil, 300*time.Millisecond, 0 })
	var wait sync.WaitGroup
	for i := range 60 {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			r, err := p.through(ctx, addresses[i%len(addresses)], "/orders/7")
			if err != nil || r.StatusCode != 200 {
				t.Errorf("request %d: %v %v", i, r, err)
				return
			}
			r.Body.Close()
		})
	}
	wait.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refreshes != 1 {
		t.Errorf("%d refreshes, want 1", a.refreshes)
	}
}

// The turn is given back when the issuer fails, so that the next request, at
// another gateway, need not wait for its end.
func TestBBARefreshFailsAtOneGateway(t *testing.T) {
	share := sharing(t)
	a := newApp(t, share)
	other := a.others(1, share)[0]
	p := a.person()
	p.signIn()
	a.set(func() { a.ahead, a.down = 11*time.Minute, true })
	if r := p.get("/orders/7"); r.StatusCode != 503 {
		t.Fatalf("the issuer is down: %d %s", r.StatusCode, r.body)
	}
	a.set(func() { a.down = false })
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := p.through(ctx, other, "/orders/7")
	if err != nil || r.StatusCode != 200 {
		t.Fatalf("the issuer is back, another gateway asks: %v %v", r, err)
	}
	r.Body.Close()
}

// A logout at one gateway ends what runs at another.
func TestBBALogoutEndsStreamsOfOtherGateways(t *testing.T) {
	share := sharing(t)
	upstream := httptest.NewServer(http.HandlerFunc(streamer))
	t.Cleanup(func() { upstream.CloseClientConnections(); upstream.Close() })
	a := newApp(t, share, func(c *gateway.Config) { c.Upstream = upstream.URL })
	other := a.others(1, share)[0]
	p := a.person()
	p.signIn()
	stream, err := p.through(context.Background(), other, "/orders/stream")
	a.must(err)
	defer stream.Body.Close()
	_, err = io.ReadFull(stream.Body, make([]byte, 10))
	a.must(err)
	conn, err := net.Dial("tcp", strings.TrimPrefix(other, "http://"))
	a.must(err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(15 * time.Second))
	fmt.Fprintf(conn, "GET /orders/socket HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\nOrigin: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", strings.TrimPrefix(a.url, "http://"), a.cookie, p.value(), a.url)
	answers := bufio.NewReader(conn)
	answer, err := http.ReadResponse(answers, nil)
	if err != nil || answer.StatusCode != 101 {
		t.Fatalf("%v %v", answer, err)
	}
	frame(t, answers)
	began := time.Now()
	if r := p.own("POST", "/.gatehouse/logout"); r.StatusCode != 200 {
		t.Fatalf("logout: %d", r.StatusCode)
	}
	if _, err := io.Copy(io.Discard, stream.Body); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("events went on for %s: %v", time.Since(began), err)
	}
	if kind, text := frame(t, answers); kind != 0x88 || text != "\x11\x31the session has ended" && text != "\x11\x31the token was revoked" { // the feed may be faster
		t.Errorf("the socket's last frame is %x %q", kind, text)
	}
}
