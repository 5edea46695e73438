package follow_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/follow"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

func TestC15EveryKindArrives(t *testing.T) {
	h := newHouse(t)
	h.revoke(feed.Token, "before", 0)
	var void atomic.Int64
	f := h.follower(func(c *follow.Config) { c.KeysVoid = func() { void.Add(1) } })
	ready(t, f)
	if !revoked(f, byID("before")) || revoked(f, byID("other")) {
		t.Error("the snapshot is not what was revoked")
	}
	for _, tc := range []struct {
		kind       feed.Kind
		id         string
		epoch      int64
		dead, live feed.Subject
	}{
		{feed.Token, "t", 0, byID("t"), byID("t2")},
		{feed.Grant, "gr_1", 0, feed.Subject{GrantID: "gr_1"}, feed.Subject{GrantID: "gr_2"}},
		{feed.Session, "ses_1", 0, feed.Subject{SessionID: "ses_1"}, feed.Subject{GrantID: "ses_1"}},
		{feed.User, "usr_1", 4, feed.Subject{UserID: "usr_1", UserEpoch: 3}, feed.Subject{UserID: "usr_1", UserEpoch: 4}},
		{feed.Client, "app", 2, feed.Subject{ClientID: "app"}, feed.Subject{ClientID: "app", ClientEpoch: 2}},
		{feed.Key, "kid", 0, feed.Subject{KeyID: "kid"}, feed.Subject{KeyID: "kid2"}},
	} {
		h.revoke(tc.kind, tc.id, tc.epoch)
		late := eventually(t, 5*time.Second, tc.kind.String(), func() bool { return revoked(f, tc.dead) })
		if revoked(f, tc.live) {
			t.Errorf("%s: what was not revoked is refused", tc.kind)
		}
		t.Logf("%s after %s", tc.kind, late)
	}
	if n := void.Load(); n != 1 {
		t.Errorf("keys were void %d times for one that was taken back", n)
	}
	h.revoke(feed.All, "all", 0)
	eventually(t, 5*time.Second, "all", func() bool { return void.Load() == 2 })
	h.cut() // the next snapshot says both again
	eventually(t, 5*time.Second, "a new connection", func() bool { return len(h.asked()) == 2 })
	h.revoke(feed.Token, "after", 0)
	eventually(t, 5*time.Second, "it goes on", func() bool { return revoked(f, byID("after")) })
	if n := void.Load(); n != 2 {
		t.Errorf("keys were void %d times for two events", n)
	}
}

func TestAnIssuerWithoutAFeedIsNeverStale(t *testing.T) {
	h, log := newHouse(t), &journal{}
	f := h.follower(log.into)
	f.None()
	f.Start()
	if err := f.Wait(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
	if _, stale := f.Stale(); stale {
		t.Error("it is stale")
	}
	if f.Fresh() {
		t.Error("keys would be good for a day")
	}
	if _, heard := f.Age(); heard {
		t.Error("it has an age")
	}
	if s := log.String(); strings.Contains(s, "stale") {
		t.Errorf("noise: %s", s)
	}
}

// Where nothing is known yet the answer is neither fresh nor never stale.
func TestBeforeDiscoveryTheFeedIsStale(t *testing.T) {
	f, err := follow.New(follow.Config{Issuer: "https://issuer.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Start()
	if _, stale := f.Stale(); !stale || f.Fresh() {
		t.Error("it counts as fresh")
	}
	if err := f.Wait(t.Context(), time.Minute); err != nil {
		t.Errorf("it waits for a feed that nobody named: %v", err)
	}
}

func TestC34AddressesAreOfTheIssuersOrigin(t *testing.T) {
	const abroad = "http://issuer.localhost.evil.example" // the house fails the test when it is asked by another name
	for name, change := range map[string]func(*follow.Places){
		"feed":           func(p *follow.Places) { p.Feed = abroad + "/revocations" },
		"keys":           func(p *follow.Places) { p.Keys = abroad + "/feed-keys" },
		"another scheme": func(p *follow.Places) { p.Feed = strings.Replace(p.Feed, "http:", "https:", 1) },
		"a user":         func(p *follow.Places) { p.Feed = strings.Replace(p.Feed, "//", "//x@", 1) },
		"no keys":        func(p *follow.Places) { p.Keys = "" },
		"no URL":         func(p *follow.Places) { p.Feed = "://" },
	} {
		t.Run(name, func(t *testing.T) {
			h, log := newHouse(t), &journal{}
			c := h.config()
			c.Reader = follow.Reader{ClientID: "reader", ClientSecret: "secret"}
			log.into(&c)
			f, err := follow.New(c)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			p := h.places()
			change(&p)
			f.Found(p)
			f.Found(p) // as each refresh of the keys does
			f.Start()
			if err := f.Wait(t.Context(), 300*time.Millisecond); !errors.Is(err, follow.ErrNoSnapshot) {
				t.Errorf("got %v", err)
			}
			if _, stale := f.Stale(); !stale {
				t.Error("a feed that must not be read counts as none")
			}
			if strings.Count(log.String(), "level=WARN") != 1 || len(h.asked()) > 0 {
				t.Errorf("asked %d, log %s", len(h.asked()), log)
			}
		})
	}
}

// A connection that ends is made again, and says where it was.
func TestItConnectsAgainAndResumes(t *testing.T) {
	h := newHouse(t)
	h.revoke(feed.Token, "a", 0)
	cut := make(chan struct{})
	h.lie(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		go func() { <-cut; cancel() }()
		h.honest(w, r.WithContext(ctx))
	})
	f := h.follower()
	ready(t, f)
	close(cut)
	eventually(t, 5*time.Second, "it connects again", func() bool { return len(h.asked()) > 1 })
	h.lie(nil)
	h.revoke(feed.Token, "b", 0)
	eventually(t, 10*time.Second, "what comes then arrives", func() bool { return revoked(f, byID("b")) })
	asked := h.asked()
	if first, second := asked[0].Header.Get("Last-Event-ID"), asked[1].Header.Get("Last-Event-ID"); first != "" || second != "1" {
		t.Errorf("it resumed after %q, then %q", first, second)
	}
	for name, want := range map[string]string{"Accept": "text/event-stream", "Accept-Encoding": "identity", "Authorization": ""} {
		if got := asked[0].Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestC19APrivateFeedIsReadWithTheReadersCredential(t *testing.T) {
	h := newHouse(t)
	h.lie(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "orders+api" || secret != "s%3Acret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.honest(w, r)
	})
	f := h.follower(func(c *follow.Config) { c.Reader = follow.Reader{ClientID: "orders api", ClientSecret: "s:cret"} })
	ready(t, f)
	nobody := h.follower()
	nobody.Start()
	if err := nobody.Wait(t.Context(), time.Second); !errors.Is(err, follow.ErrNoSnapshot) || !strings.Contains(err.Error(), "401") {
		t.Errorf("without it: %v", err)
	}
}

// A feed key that comes new is fetched; the salt moves with it, so what was
// known stays in force until the new snapshot is whole.
func TestC24TheFeedsKeyRotates(t *testing.T) {
	h := newHouse(t)
	h.revoke(feed.Token, "a", 0)
	f := h.follower()
	ready(t, f)
	time.Sleep(2100 * time.Millisecond) // the pause between two fetches of the keys
	next := newSigner(t)
	h.mu.Lock()
	h.signer, h.salt, h.keys = next, feed.SaltOf(next.Key().ID()), append(h.keys, next.Key())
	h.entries = []feed.Entry{feed.NewEntry(h.salt, feed.Token, "a", 0, time.Now().Add(time.Minute))}
	h.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); f.Set().Salt() != feed.SaltOf(next.Key().ID()); time.Sleep(time.Millisecond) {
		if !revoked(f, byID("a")) {
			t.Fatal("during the change a revoked token was good")
		}
		if time.Now().After(deadline) {
			t.Fatal("the new key's feed does not arrive")
		}
	}
	if !revoked(f, byID("a")) {
		t.Error("after the change a revoked token is good")
	}
}

// What a feed may do that is not one: in each case nothing false is believed,
// what was known stays known, and the feed is stale after five seconds.
func TestALyingFeedIsStaleAndChangesNothing(t *testing.T) {
	type lie func(h *house, w http.ResponseWriter, r *http.Request)
	// then lies once the honest beginning has been sent.
	then := func(lie func(h *house, w http.ResponseWriter, m feed.Message)) lie {
		return func(h *house, w http.ResponseWriter, r *http.Request) {
			m := h.opening(w)
			lie(h, patient{w, r}, m)
			select {
			case <-r.Context().Done():
			case <-h.ended:
			}
		}
	}
	evil := func(h *house, m feed.Message) feed.Message {
		m.Type, m.N, m.At = feed.Delta, m.N+1, time.Now()
		m.Entries = []feed.Entry{feed.NewEntry(h.salt, feed.Token, "innocent", 0, time.Now().Add(time.Hour))}
		return m
	}
	forged := func(sign func(h *house, m feed.Message) string) lie {
		return then(func(h *house, w http.ResponseWriter, m feed.Message) {
			for range 8 {
				write(w, string(feed.Event{Name: "delta", Data: sign(h, evil(h, m))}.Append(nil)))
				pass(w, time.Second)
			}
		})
	}
	must := func(raw string, err error) string {
		if err != nil {
			t.Error(err)
		}
		return raw
	}
	other := newSigner(t)
	for name, tc := range map[string]struct {
		lie   lie
		after time.Duration // it becomes stale; default 5 s
	}{
		"another issuer's key":     {lie: forged(func(h *house, m feed.Message) string { return must(m.Sign(other, h.url())) })},
		"another issuer's message": {lie: forged(func(h *house, m feed.Message) string { return must(m.Sign(h.signer, "https://other.example")) })},
		"another type of token": {lie: forged(func(h *house, m feed.Message) string {
			parsed, err := jose.Parse(must(m.Sign(h.signer, h.url())))
			if err != nil {
				t.Error(err)
			}
			return must(h.signer.Sign("at+jwt", jsonOf(t, parsed.Payload())))
		})},
		"no signature": {lie: forged(func(h *house, m feed.Message) string {
			raw := must(m.Sign(h.signer, h.url()))
			return raw[:strings.LastIndexByte(raw, '.')+1]
		})},
		"alg none": {lie: forged(func(h *house, m feed.Message) string {
			raw := must(m.Sign(h.signer, h.url()))
			payload := strings.Split(raw, ".")[1]
			return "eyJhbGciOiJub25lIiwidHlwIjoic2VjZXZlbnQrand0In0." + payload + "."
		})},
		"another kind of event around it": {lie: then(func(h *house, w http.ResponseWriter, m feed.Message) {
			for range 8 {
				write(w, string(feed.Event{Name: "heartbeat", Data: must(evil(h, m).Sign(h.signer, h.url()))}.Append(nil)))
				pass(w, time.Second)
			}
		})},
		"a gap": {lie: then(func(h *house, w http.ResponseWriter, m feed.Message) {
			m = evil(h, m)
			m.N++
			h.send(w, m, h.signer)
		})},
		"heartbeats said again": {lie: then(func(h *house, w http.ResponseWriter, m feed.Message) {
			m.Type, m.At = feed.Heartbeat, time.Now()
			for range 16 {
				h.send(w, m, h.signer)
				pass(w, 500*time.Millisecond)
			}
		})},
		"heartbeats of an hour ago": {lie: then(func(h *house, w http.ResponseWriter, m feed.Message) {
			for n := range 16 {
				m.Type, m.At = feed.Heartbeat, time.Now().Add(-time.Hour+time.Duration(n))
				h.send(w, m, h.signer)
				pass(w, 500*time.Millisecond)
			}
		})},
		"heartbeats later and later": {lie: then(func(h *house, w http.ResponseWriter, m feed.Message) {
			begun := time.Now()
			for n := range 40 {
				m.Type, m.At = feed.Heartbeat, begun.Add(time.Duration(n)*time.Millisecond)
				h.send(w, m, h.signer)
				pass(w, 250*time.Millisecond)
			}
		}), after: 7 * time.Second},
		"silence": {lie: then(func(*house, http.ResponseWriter, feed.Message) {})},
		"half a message": {lie: then(func(h *house, w http.ResponseWriter, m feed.Message) {
			write(w, "event: delta\ndata: "+must(evil(h, m).Sign(h.signer, h.url()))[:80])
		})},
		"a cut message": {lie: forged(func(h *house, m feed.Message) string { return must(m.Sign(h.signer, h.url()))[:200] })},
		"a giant line": {lie: then(func(_ *house, w http.ResponseWriter, _ feed.Message) {
			for range 1000 {
				write(w, strings.Repeat("x", 1<<16))
			}
		})},
		"comments without end": {lie: then(func(_ *house, w http.ResponseWriter, _ feed.Message) {
			for range 80 {
				write(w, ": still here\n\n")
				pass(w, 100*time.Millisecond)
			}
		})},
		"a byte at a time": {lie: then(func(h *house, w http.ResponseWriter, m feed.Message) {
			for _, c := range "event: delta\ndata: " + must(evil(h, m).Sign(h.signer, h.url())) {
				if !write(w, string(c)) {
					return
				}
				pass(w, 100*time.Millisecond)
			}
		})},
		"no answer": {lie: func(h *house, _ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-h.ended:
			}
		}},
		"an error":     {lie: func(_ *house, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }},
		"a page":       {lie: func(_ *house, w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }},
		"nothing more": {lie: func(_ *house, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
		"packed": {lie: func(_ *house, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			begin(w)
			write(w, "x")
		}},
		"a page abroad": {lie: func(_ *house, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}},
		"a page at home": {lie: func(_ *house, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, log := newHouse(t), &journal{}
				h.revoke(feed.Token, "guilty", 0)
				f := h.follower(log.into)
				ready(t, f)
				h.lie(func(w http.ResponseWriter, r *http.Request) { tc.lie(h, w, r) })
				h.cut()
				// The honest beginning of the next connections may keep it fresh for a while.
				begun := time.Now()
				eventually(t, 30*time.Second, "it is stale", func() bool { _, stale := f.Stale(); return stale })
				if late := time.Since(begun); late < follow.StaleAfter-1500*time.Millisecond {
					t.Errorf("it was stale after %s", late)
				}
				if !revoked(f, byID("guilty")) || revoked(f, byID("innocent")) {
					t.Errorf("guilty: %v, innocent: %v", revoked(f, byID("guilty")), revoked(f, byID("innocent")))
				}
				if f.Fresh() {
					t.Error("it is fresh as well")
				}
				eventually(t, 20*time.Second, "the log says so", func() bool { return strings.Contains(log.String(), "revocation feed is stale") })
				h.lie(nil)
				eventually(t, 30*time.Second, "it recovers alone", f.Fresh)
				eventually(t, 5*time.Second, "the log says so", func() bool { return strings.Contains(log.String(), "revocation feed is fresh again") })
				if n := strings.Count(log.String(), "level=WARN"); n > 1+strings.Count(log.String(), "fresh again") {
					t.Errorf("%d warnings: %s", n, log)
				}
			})
		})
	}
}

// patient is an answer that knows its request, so that a lie ends with it.
type patient struct {
	http.ResponseWriter
	r *http.Request
}

func (p patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func pass(w http.ResponseWriter, d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.(patient).r.Context().Done():
	}
}

// opening is the honest beginning of a feed: the snapshot.
func (h *house) opening(w http.ResponseWriter) feed.Message {
	entries, _, signer, salt := h.known(0)
	begin(w)
	m := feed.Message{Type: feed.Snapshot, Stream: fmt.Sprint("s", time.Now().UnixNano()), Salt: salt, At: time.Now().Add(-2 * time.Minute), Seq: int64(len(entries)), Part: 1, Parts: 1, Entries: entries}
	h.send(w, m, signer)
	m.Entries = nil
	return m
}

// Where the clocks differ by too much nothing proves that all is known, and
// still each revocation counts as it comes.
func TestAFeedOfAnotherTimeIsStaleAndHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := newHouse(t), &journal{}
		f := h.follower(log.into, func(c *follow.Config) { c.Now = func() time.Time { return time.Now().Add(5 * time.Minute) } })
		f.Start()
		for n := range 20 {
			time.Sleep(time.Second)
			h.revoke(feed.Token, fmt.Sprint(n), 0)
			if late := eventually(t, 15*time.Second, "a revocation", func() bool { return revoked(f, byID(fmt.Sprint(n))) }); n > 0 && late > time.Second {
				t.Errorf("a revocation took %s", late)
			}
		}
		if _, stale := f.Stale(); !stale {
			t.Error("it is fresh")
		}
		if len(h.asked()) != 1 { // nor is one wasted at the start
			t.Errorf("%d connections: %s", len(h.asked()), log)
		}
		if n := strings.Count(log.String(), "revocation feed is stale"); n != 1 || !strings.Contains(log.String(), "a minute apart") {
			t.Errorf("the log: %s", log)
		}
	})
}

func TestCloseEndsTheFollowing(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, lie := range map[string]func(h *house, w http.ResponseWriter, r *http.Request){
		"while it is connected": func(h *house, w http.ResponseWriter, r *http.Request) { h.honest(w, r) },
		"while nobody answers": func(_ *house, _ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		},
		"while it is refused": func(_ *house, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
	} {
		h := newHouse(t)
		h.lie(func(w http.ResponseWriter, r *http.Request) { lie(h, w, r) })
		f := h.follower()
		f.Start()
		f.Wait(t.Context(), 100*time.Millisecond)
		begun := time.Now()
		f.Close()
		if late := time.Since(begun); late > time.Second {
			t.Errorf("%s: Close took %s", name, late)
		}
		f.Start()
		f.Found(h.places())
		f.Close()
		h.close()
	}
	eventually(t, 5*time.Second, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+1 })
}
