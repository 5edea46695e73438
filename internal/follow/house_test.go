package follow_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/follow"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// house is an issuer with a feed whose every byte a test can change.
type house struct {
	t      testing.TB
	server *http.Server
	served sync.WaitGroup
	ended  chan struct{}

	network   wires
	transport *http.Transport

	mu       sync.Mutex
	signer   jose.Signer
	salt     feed.Salt
	keys     []jose.Key
	entries  []feed.Entry
	changed  chan struct{}
	serve    func(w http.ResponseWriter, r *http.Request) // of the feed; nil: the honest one
	document func(w http.ResponseWriter, r *http.Request) // of its keys; nil: the honest one
	// introspect answers questions about tokens; nil: there is no such endpoint.
	introspect func(w http.ResponseWriter, r *http.Request)
	requests   []*http.Request // for the feed
	conns      []net.Conn
}

// wires is a network of pipes in memory, whose time a test can let run fast.
type wires chan net.Conn

func (w wires) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case w <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w wires) Accept() (net.Conn, error) {
	c, ok := <-w
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (w wires) Close() error   { close(w); return nil }
func (w wires) Addr() net.Addr { return &net.TCPAddr{} }

func newSigner(t testing.TB) jose.Signer {
	t.Helper()
	s, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, ended: make(chan struct{}), changed: make(chan struct{}), signer: newSigner(t)}
	h.salt, h.keys = feed.SaltOf(h.signer.Key().ID()), []jose.Key{h.signer.Key()}
	h.network = make(wires)
	h.server = &http.Server{Handler: h, ConnState: h.connected, ErrorLog: log.New(io.Discard, "", 0)}
	h.transport = &http.Transport{DialContext: h.network.dial}
	h.served.Go(func() { h.server.Serve(h.network) })
	t.Cleanup(h.close)
	return h
}

// end ends every connection and refuses new ones.
func (h *house) end() {
	select {
	case <-h.ended:
	default:
		close(h.ended)
	}
}

func (h *house) close() {
	h.end()
	h.server.Close()
	h.served.Wait()
	h.transport.CloseIdleConnections()
}

func (h *house) url() string { return "http://issuer.localhost" }

// cut ends all connections.
func (h *house) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		c.Close()
	}
	h.conns = nil
}

// connected notes connections, to cut them.
func (h *house) connected(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.conns = append(h.conns, c)
	}
}

func (h *house) places() follow.Places {
	return follow.Places{Feed: h.url() + "/revocations", Keys: h.url() + "/feed-keys"}
}

func (h *house) lie(serve func(w http.ResponseWriter, r *http.Request)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serve = serve
}

func (h *house) asked() []*http.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests
}

func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-h.ended:
		http.Error(w, "down", http.StatusBadGateway)
		return
	default:
	}
	if r.Host != "issuer.localhost" {
		h.t.Errorf("asked at %s", r.Host)
	}
	h.mu.Lock()
	keys, serve, document := h.keys, h.serve, h.document
	if r.URL.Path == "/revocations" {
		h.requests = append(h.requests, r)
	}
	h.mu.Unlock()
	switch {
	case r.URL.Path == "/introspect" && h.introspect != nil:
		h.introspect(w, r)
	case r.URL.Path == "/feed-keys" && document != nil:
		document(w, r)
	case r.URL.Path == "/feed-keys":
		json.NewEncoder(w).Encode(jose.NewKeySet(keys...))
	case r.URL.Path == "/revocations" && serve != nil:
		serve(w, r)
	case r.URL.Path == "/revocations":
		h.honest(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (h *house) known(from int) ([]feed.Entry, <-chan struct{}, jose.Signer, feed.Salt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.entries[min(from, len(h.entries)):], h.changed, h.signer, h.salt
}

// revoke says that something is revoked, for ten minutes.
func (h *house) revoke(kind feed.Kind, id string, epoch int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = append(h.entries, feed.NewEntry(h.salt, kind, id, epoch, time.Now().Add(10*time.Minute)))
	close(h.changed)
	h.changed = make(chan struct{})
}

// honest is a feed as it should be.
func (h *house) honest(w http.ResponseWriter, r *http.Request) {
	entries, changed, signer, salt := h.known(0)
	seen := len(entries)
	m := feed.Message{Type: feed.Snapshot, Stream: strings.ToLower(rand.Text()), Salt: salt, At: time.Now(), Seq: int64(seen)}
	begin(w)
	pieces := feed.Split(entries)
	for n, piece := range pieces {
		m.Part, m.Parts, m.Entries = n+1, len(pieces), piece
		h.send(w, m, signer)
	}
	for {
		m.Type, m.At, m.Entries = feed.Heartbeat, time.Now(), nil
		if !h.send(w, m, signer) {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-changed:
		case <-h.ended:
			return
		case <-r.Context().Done():
			return
		}
		before := signer
		if entries, changed, signer, _ = h.known(seen); signer.Key().ID() != before.Key().ID() {
			return
		}
		if len(entries) > 0 {
			seen += len(entries)
			m.Type, m.At, m.N, m.Seq, m.Entries = feed.Delta, time.Now(), m.N+1, int64(seen), entries
			h.send(w, m, signer)
		}
	}
}

func begin(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/event-stream") }

// send signs a message and writes its event.
func (h *house) send(w http.ResponseWriter, m feed.Message, signer jose.Signer) bool {
	raw, err := m.Sign(signer, h.url())
	if err != nil {
		h.t.Error(err)
		return false
	}
	return write(w, string(feed.Event{Name: string(m.Type), Data: raw}.Append(nil)))
}

func write(w http.ResponseWriter, text string) bool {
	_, err := w.Write([]byte(text))
	return err == nil && http.NewResponseController(w).Flush() == nil
}

func (h *house) config() follow.Config {
	return follow.Config{Issuer: h.url(), HTTPClient: &http.Client{Transport: h.transport}}
}

// follower follows the house, once it starts.
func (h *house) follower(change ...func(*follow.Config)) *follow.Follower {
	h.t.Helper()
	c := h.config()
	for _, f := range change {
		f(&c)
	}
	f, err := follow.New(c)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { f.Close() })
	f.Found(h.places())
	return f
}

// ready starts a follower and waits for its first snapshot.
func ready(t testing.TB, f *follow.Follower) {
	t.Helper()
	f.Start()
	if err := f.Wait(context.Background(), 20*time.Second); err != nil {
		t.Fatal(err)
	}
}

// revoked asks for a token by one of its marks.
func revoked(f *follow.Follower, s feed.Subject) bool {
	_, dead := f.Set().Revoked(f.Set().Marks(s))
	return dead
}

func byID(id string) feed.Subject { return feed.Subject{TokenID: id} }

// eventually waits for something that must come true.
func eventually(t testing.TB, within time.Duration, what string, is func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !is() {
		if time.Since(begun) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(begun)
}

// journal is a log that a test reads.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) into(c *follow.Config) { c.Logger = slog.New(slog.NewTextHandler(j, nil)) }

func jsonOf(t testing.TB, payload []byte) map[string]any {
	var all map[string]any
	if err := json.Unmarshal(payload, &all); err != nil {
		t.Error(err)
	}
	return all
}
