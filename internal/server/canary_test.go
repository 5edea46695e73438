package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/api"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// cluster is two nodes behind a balancer, whose address is the issuer's.
type cluster struct {
	issuer string
	nodes  []*Parts
	hold   atomic.Int64 // nanoseconds that the balancer adds to the feed
	broken atomic.Bool  // the balancer answers 502
	log    *locked
}

func newCluster(t *testing.T, change func(*Config)) *cluster {
	t.Helper()
	c := &cluster{log: &locked{}}
	var turn atomic.Int64
	var backends []*url.URL
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		backend := backends[turn.Add(1)%int64(len(backends))]
		proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(backend); r.Out.Host = r.In.Host },
			ModifyResponse: func(r *http.Response) error {
				if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
					r.Body = &slow{r.Body, &c.hold}
				}
				return nil
			}}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(balancer.Close)
	c.issuer = strings.Replace(balancer.URL, "127.0.0.1", "localhost", 1)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); balancer.CloseClientConnections(); running.Wait() })
	dir := t.TempDir()
	kek, _ := keys.GenerateKEK()
	for range 2 {
		config := Config{Issuer: c.issuer, Dir: dir, Database: storetest.Database(t, dir), KEKs: []keys.KEK{kek}, Canary: true, Logger: slog.New(slog.NewTextHandler(c.log, nil))}
		if change != nil {
			change(&config)
		}
		p, err := Assemble(ctx, config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		backends = append(backends, &url.URL{})
		c.nodes = append(c.nodes, p)
	}
	for i, p := range c.nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*backends[i] = url.URL{Scheme: "http", Host: l.Addr().String()}
		running.Go(func() { p.Run(ctx, l) })
	}
	return c
}

// locked is a buffer for several goroutines.
type locked struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// slow is a body that comes late.
type slow struct {
	io.ReadCloser
	hold *atomic.Int64
}

func (s *slow) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	time.Sleep(time.Duration(s.hold.Load()))
	return n, err
}

func (c *cluster) metric(t *testing.T, node int, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	c.nodes[node].Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	m := regexp.MustCompile(`(?m)^gatehouse_` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(w.Body.String())
	if m == nil {
		return ""
	}
	return m[1]
}

// The promise of a second, measured over HTTP by whichever node is its turn, and
// known to all of them.
func TestC15TheCanaryMeasuresRevocations(t *testing.T) {
	c := newCluster(t, nil)
	ctx := context.Background()
	within(t, 15*time.Second, "both nodes know a delay", func() bool {
		return c.metric(t, 0, "revocation_delay_seconds") != "" && c.metric(t, 1, "revocation_delay_seconds") != ""
	})
	t.Logf("revocation_delay_seconds %s", c.metric(t, 0, "revocation_delay_seconds"))
	if a, b := c.metric(t, 0, "revocation_delay_seconds"), c.metric(t, 1, "revocation_delay_seconds"); a != b {
		t.Errorf("one node says %s, the other %s", a, b)
	}
	if got := c.metric(t, 0, "canary_measurements_total"); got != "1" {
		t.Errorf("%s measurements in the first minute of two nodes, want 1", got)
	}
	for range 5 {
		delay, err := c.nodes[1].measure(ctx)
		if err != nil || delay > promised || delay <= 0 {
			t.Errorf("%s %v", delay, err)
		}
		t.Logf("measured %s", delay)
	}
	// It ends nothing: no event, no grant, no token.
	events, err := c.nodes[0].Store.Events(ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind != iam.EventKeyAdded {
			t.Errorf("the canary left %+v in the journal", e)
		}
	}
	if c.nodes[0].Troubles() != nil || c.nodes[1].Troubles() != nil {
		t.Error("trouble although all is well")
	}
}

// A feed that is late, and one that cannot be read.
func TestTheCanarySaysWhenRevocationsAreLate(t *testing.T) {
	c := newCluster(t, nil)
	ctx := context.Background()
	within(t, 15*time.Second, "it measures", func() bool { return c.metric(t, 0, "canary_ok") == "1" })
	c.hold.Store(int64(1200 * time.Millisecond))
	time.Sleep(1500 * time.Millisecond)
	for range lateAfter {
		if err := c.nodes[0].sing(ctx); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 2*time.Second, "both nodes say so", func() bool {
		return len(c.nodes[0].Troubles()) == 1 && len(c.nodes[1].Troubles()) == 1
	})
	w := httptest.NewRecorder()
	c.nodes[1].Handler.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	var ready struct {
		Status  string
		Trouble []string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &ready); err != nil || w.Code != 200 || ready.Status != "ready" || len(ready.Trouble) != 1 {
		t.Errorf("/readyz: %d %s %v", w.Code, w.Body, err)
	}
	c.hold.Store(0)
	time.Sleep(1500 * time.Millisecond)
	if err := c.nodes[0].sing(ctx); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "the trouble is over on both", func() bool { return c.nodes[0].Troubles() == nil && c.nodes[1].Troubles() == nil })
	for what, n := range map[string]int{"revocations reach verifiers late": 1, "revocations reach verifiers in time": 1} {
		if got := strings.Count(c.log.String(), what); got != n {
			t.Errorf("the log says %q %d times, want %d", what, got, n)
		}
	}
	c.broken.Store(true)
	c.nodes[0].canary.close()
	short, cancel := context.WithTimeout(ctx, 2*canaryPatience)
	defer cancel()
	if err := c.nodes[0].sing(short); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "both nodes know that nothing is known", func() bool {
		return c.metric(t, 0, "canary_ok") == "0" && c.metric(t, 1, "canary_ok") == "0" && c.metric(t, 0, "revocation_delay_seconds") == ""
	})
}

func TestMetrics(t *testing.T) {
	c := newCluster(t, func(c *Config) { c.FeedAccess = api.FeedPrivate })
	wanted := []string{
		`gatehouse_database_up 1`, `gatehouse_feed_lag_seconds `, `gatehouse_feed_readers 0`, `gatehouse_hash_slots `, `gatehouse_hash_waiting{lane="stranger"} 0`,
		`gatehouse_lease_holder{duty="keys",node="`, `gatehouse_lease_mine{duty="clean"} `, `gatehouse_database_connections{pool="read",state="open"} `, `gatehouse_database_durability{mode="`,
		`gatehouse_keys_confirmed_age_seconds `, `gatehouse_sweeps 0`,
	}
	text := ""
	for _, want := range wanted { // what the database is asked for may be missing while it is slow
		within(t, 20*time.Second, want, func() bool {
			text = body(t, c.nodes[0])
			return strings.Contains(text, "\n"+want)
		})
	}
	if strings.Contains(text, "canary") {
		t.Error("a private feed is measured without a credential")
	}
	// The format: each family once, its lines together, each line well formed.
	seen, last := map[string]bool{}, ""
	line := regexp.MustCompile(`^([a-z_]+)(\{[a-z_]+="(\\.|[^"\\])*"(,[a-z_]+="(\\.|[^"\\])*")*\})? -?[0-9.e+-]+$`)
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(l, "# ") {
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Errorf("not of the format: %s", l)
			continue
		}
		if m[1] != last && seen[m[1]] {
			t.Errorf("%s stands in two places", m[1])
		}
		seen[m[1]], last = true, m[1]
	}
	w := httptest.NewRecorder()
	c.nodes[0].Handler.ServeHTTP(w, httptest.NewRequest("GET", c.issuer+"/metrics", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("the public listener answers /metrics with %d", w.Code)
	}
}

func body(t *testing.T, p *Parts) string {
	t.Helper()
	w := httptest.NewRecorder()
	p.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	return w.Body.String()
}
