package server

import (
	"context"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/dial"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
)

// hand is a clock that a test moves.
type hand struct {
	mu sync.Mutex
	at time.Time
}

func (h *hand) now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.at }

func (h *hand) advance(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.at = h.at.Add(d) }

// app is a client that listens for logout tokens.
type app struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	hang   chan struct{}
	tokens []string
	others []string // what was wrong with a request
}

func newApp(t *testing.T) *app {
	a := &app{status: http.StatusOK}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(body))
		a.mu.Lock()
		a.tokens = append(a.tokens, form.Get("logout_token"))
		if err != nil || len(form) != 1 || r.Method != "POST" || r.URL.RawQuery != "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Cookie")+r.Header.Get("Authorization") != "" {
			a.others = append(a.others, r.Method+" "+r.URL.String()+" "+string(body))
		}
		status, hang := a.status, a.hang
		a.mu.Unlock()
		if hang != nil {
			<-hang
		}
		if status == http.StatusFound {
			w.Header().Set("Location", a.URL+"/elsewhere")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *app) heard() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string{}, a.tokens...)
}

func (a *app) answers(status int) { a.mu.Lock(); defer a.mu.Unlock(); a.status = status }

// bell is an authority whose apps want to hear of logouts.
type bell struct {
	t     *testing.T
	dir   string
	kek   keys.KEK
	clock *hand
	out   dial.Config
	parts *Parts
	user  iam.User
}

func newBell(t *testing.T, out dial.Config) *bell {
	t.Helper()
	kek, _ := keys.GenerateKEK()
	b := &bell{t: t, dir: t.TempDir(), kek: kek, clock: &hand{at: time.Now().Truncate(time.Millisecond)}, out: out}
	b.open()
	t.Cleanup(func() { b.parts.Close() })
	var err error
	b.user, err = b.parts.Directory.CreateUser(context.Background(), "test", iam.User{Username: "ada"}, "")
	b.must(err)
	return b
}

func (b *bell) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bell) open() {
	b.t.Helper()
	var err error
	b.parts, err = Assemble(context.Background(), Config{Issuer: "https://auth.example.com", Dir: b.dir, Database: storetest.Database(b.t, b.dir), KEKs: []keys.KEK{b.kek}, Now: b.clock.now, Outgoing: b.out, Logger: slog.New(slog.DiscardHandler)})
	b.must(err)
}

func (b *bell) listener(id iam.ClientID, uri, algorithm string) {
	b.t.Helper()
	_, _, err := b.parts.Directory.CreateClient(context.Background(), "test", iam.Client{ID: id, Type: iam.Confidential, RedirectURIs: []string{"https://app.example.com/cb"}, BackchannelLogoutURI: uri, IDTokenAlgorithm: algorithm})
	b.must(err)
}

// signedIn is a session through which the clients were reached.
func (b *bell) signedIn(clients ...iam.ClientID) iam.SessionID {
	b.t.Helper()
	ctx, now := context.Background(), b.clock.now()
	user, err := b.parts.Store.User(ctx, b.user.ID)
	b.must(err)
	s, err := b.parts.Store.BeginSession(ctx, iam.NewSession{UserEpoch: user.Epoch, Event: iam.Event{ID: iam.NewEventID(), Actor: "test"}, Session: iam.Session{ID: iam.NewSessionID(), UserID: user.ID, AuthTime: now, CreatedAt: now,
		IdleExpires: now.Add(iam.SessionIdle), Expires: now.Add(iam.SessionAbsolute), CookieHash: string(iam.NewCodeID())}})
	b.must(err)
	for _, id := range clients {
		c, err := b.parts.Store.Client(ctx, id)
		b.must(err)
		outcome, err := b.parts.Store.RedeemCode(ctx, iam.Redemption{Code: iam.NewCodeID(), CodeExpires: now.Add(time.Minute), UserEpoch: user.Epoch, ClientEpoch: c.Epoch, Within: s.ID,
			Grant: iam.Grant{ID: iam.NewGrantID(), UserID: user.ID, ClientID: id, SessionID: s.ID, CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)},
			Event: iam.Event{ID: iam.NewEventID(), Kind: iam.EventCodeRedeemed, Actor: "test"}})
		b.must(err)
		if outcome != iam.Redeemed {
			b.t.Fatalf("outcome %d", outcome)
		}
	}
	return s.ID
}

func (b *bell) end(id iam.SessionID) {
	b.t.Helper()
	ended, err := b.parts.Store.EndSession(context.Background(), id, b.user.ID, iam.Event{ID: iam.NewEventID(), Kind: iam.EventSessionEnded, Actor: "test"})
	b.must(err)
	if !ended {
		b.t.Fatal("not ended")
	}
}

func (b *bell) ring() { b.t.Helper(); b.must(b.parts.deliverDue(context.Background())) }

func (b *bell) events(kind string) []iam.Event {
	b.t.Helper()
	all, err := b.parts.Store.Events(context.Background(), 0, 10_000)
	b.must(err)
	var list []iam.Event
	for _, e := range all {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// A logout token says what OpenID Connect Back-Channel Logout §2.4 wants, is
// signed as the client's ID tokens are, and comes once.
func TestOIDC2BackChannelLogout(t *testing.T) {
	b, a := newBell(t, dial.Config{InsecureLoopback: true}), newApp(t)
	algorithms := map[iam.ClientID]string{"one": "RS256", "two": "ES256", "three": "EdDSA"}
	for id, algorithm := range algorithms {
		b.listener(id, a.URL+"/"+string(id), algorithm)
	}
	b.listener("unreached", a.URL+"/unreached", "")
	b.listener("silent", "", "")
	sid := b.signedIn("one", "two", "three", "silent")
	b.ring()
	if got := a.heard(); len(got) != 0 {
		t.Fatalf("told while the session lives: %v", got)
	}
	b.end(sid)
	b.ring()
	b.ring()
	got := a.heard()
	if len(got) != 3 || len(a.others) != 0 || len(b.events(iam.EventLogoutDelivered)) != 3 {
		t.Fatalf("got %d tokens, %v", len(got), a.others)
	}
	seen := map[string]bool{}
	for _, raw := range got {
		token, err := jose.Parse(raw)
		b.must(err)
		key, ok := b.parts.Keys.Published().Key(token.KeyID())
		if !ok || token.Verify(key) != nil {
			t.Fatal("not signed with a published key")
		}
		claims, err := token.Claims()
		b.must(err)
		session, _ := claims.String("sid")
		events := string(claims.Raw("events"))
		id := iam.ClientID(claims.Audience[0])
		if token.Type() != "logout+jwt" || claims.Issuer != "https://auth.example.com" || claims.Subject != string(b.user.ID) || session != string(sid) || claims.Has("nonce") || seen[claims.ID] || claims.ID == "" ||
			len(claims.Audience) != 1 || algorithms[id] != string(token.Algorithm()) || events != `{"http://schemas.openid.net/event/backchannel-logout":{}}` || claims.Expires.Sub(claims.IssuedAt) > 2*time.Minute {
			t.Errorf("typ %s alg %s claims %+v events %s", token.Type(), token.Algorithm(), claims, events)
		}
		seen[claims.ID] = true
		delete(algorithms, id)
	}
	if len(algorithms) != 0 {
		t.Errorf("not told: %v", algorithms)
	}
}

// What fails is tried again, with a new token, until it succeeds or a day has
// passed; meanwhile others are not kept waiting.
func TestOIDC2RetriesAndGivesUp(t *testing.T) {
	for name, status := range map[string]int{"400": 400, "500": 500, "a redirect, which is not followed": 302, "404": 404} {
		b, a := newBell(t, dial.Config{InsecureLoopback: true}), newApp(t)
		b.listener("one", a.URL, "ES256")
		a.answers(status)
		b.end(b.signedIn("one"))
		for _, pause := range []time.Duration{0, time.Second, time.Second, 9 * time.Second, time.Second, time.Minute} {
			b.clock.advance(pause)
			b.ring()
		}
		if got := a.heard(); len(got) != 4 || got[0] == got[1] {
			t.Errorf("%s: %d attempts", name, len(got))
		}
		a.answers(204)
		b.clock.advance(10 * time.Minute)
		b.ring()
		b.clock.advance(24 * time.Hour)
		b.ring()
		if got := a.heard(); len(got) != 5 || len(b.events(iam.EventLogoutDelivered)) != 1 || b.events(iam.EventLogoutDelivered)[0].Detail["attempts"] != "5" {
			t.Errorf("%s: %d attempts, then %v", name, len(got), b.events(iam.EventLogoutDelivered))
		}
	}
	b, a := newBell(t, dial.Config{InsecureLoopback: true}), newApp(t)
	b.listener("one", a.URL, "ES256")
	a.answers(503)
	b.end(b.signedIn("one"))
	for range 40 {
		b.ring()
		b.clock.advance(time.Hour)
	}
	given := b.events(iam.EventLogoutGivenUp)
	if len(given) != 1 || !strings.Contains(given[0].Detail["cause"], "503") || given[0].ClientID != "one" || len(a.heard()) > 30 {
		t.Errorf("after %d attempts: %v", len(a.heard()), given)
	}
	if waits, err := b.parts.Store.HasDueLogouts(context.Background()); err != nil || waits {
		t.Errorf("still due: %v %v", waits, err)
	}
}

// A client that hangs costs the time of one attempt and no more, and the others
// are told at the same time.
func TestOIDC2AHangingClient(t *testing.T) {
	b := newBell(t, dial.Config{InsecureLoopback: true, Timeout: 300 * time.Millisecond})
	slow, quick := newApp(t), newApp(t)
	slow.hang = make(chan struct{})
	defer close(slow.hang)
	b.listener("slow", slow.URL, "ES256")
	b.listener("quick", quick.URL, "ES256")
	for range 3 {
		b.end(b.signedIn("slow", "quick"))
	}
	begin := time.Now()
	b.ring()
	if took := time.Since(begin); took > 5*time.Second || len(quick.heard()) != 3 || len(b.events(iam.EventLogoutDelivered)) != 3 {
		t.Errorf("took %s, quick heard %d", took, len(quick.heard()))
	}
	if len(b.events(iam.EventLogoutGivenUp)) != 0 {
		t.Error("given up after one attempt")
	}
}

// A restart between the end of the session and the delivery loses nothing, also
// in the middle of an attempt.
func TestOIDC2ARestartLosesNoLogout(t *testing.T) {
	b, a := newBell(t, dial.Config{InsecureLoopback: true}), newApp(t)
	b.listener("one", a.URL, "ES256")
	b.end(b.signedIn("one"))
	taken, err := b.parts.Store.DueLogouts(context.Background(), 10) // and then the process dies
	b.must(err)
	if len(taken) != 1 {
		t.Fatalf("taken %v", taken)
	}
	b.must(b.parts.Close())
	b.open()
	b.ring()
	if len(a.heard()) != 0 {
		t.Error("told while the lease of the dead process lasts")
	}
	b.clock.advance(time.Minute)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- b.parts.Run(ctx, listener) }()
	for begin := time.Now(); len(a.heard()) == 0 && time.Since(begin) < 10*time.Second; {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	if err := <-ran; err != nil || len(a.heard()) != 1 {
		t.Errorf("heard %d, %v", len(a.heard()), err)
	}
}

// C34: the address came with a client, so it is dialled with care: nothing of
// our own network is reached unless the operator names it.
func TestC34LogoutDoesNotReachPrivateAddresses(t *testing.T) {
	a := newApp(t)
	port := a.Listener.Addr().(*net.TCPAddr).Port
	for name, tc := range map[string]struct {
		out dial.Config
		uri string
		ok  bool
	}{
		"loopback":                           {dial.Config{Ports: []int{port}}, a.URL, false},
		"a name of loopback":                 {dial.Config{Ports: []int{port}}, strings.Replace(a.URL, "127.0.0.1", "localhost", 1), false},
		"link-local":                         {dial.Config{Timeout: time.Second}, "https://169.254.169.254/latest", false},
		"private":                            {dial.Config{Timeout: time.Second}, "https://10.0.0.1/out", false},
		"another network than the one named": {dial.Config{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Ports: []int{port}}, a.URL, false},
		"dev":                                {dial.Config{InsecureLoopback: true}, a.URL, true},
	} {
		before := len(a.heard())
		b := newBell(t, tc.out)
		b.listener("one", tc.uri, "ES256")
		b.end(b.signedIn("one"))
		b.ring()
		if reached := len(a.heard()) > before; reached != tc.ok || len(b.events(iam.EventLogoutDelivered)) == 1 != tc.ok {
			t.Errorf("%s: reached %v, want %v", name, reached, tc.ok)
		}
	}
}

// Each way in which sessions end tells the apps (C14).
func TestC14LogoutIsToldOfEveryEnd(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(b *bell, sid iam.SessionID){
		"logout": func(b *bell, sid iam.SessionID) { b.end(sid) },
		"user disabled": func(b *bell, _ iam.SessionID) {
			b.must(b.parts.Directory.SetUser(ctx, "test", b.user.ID, directory.Disabled))
		},
		"user deleted": func(b *bell, _ iam.SessionID) { b.must(b.parts.Directory.DeleteUser(ctx, "test", b.user.ID)) },
		"password changed": func(b *bell, _ iam.SessionID) {
			b.must(b.parts.Directory.SetPassword(ctx, "test", b.user.ID, "another-gate-entirely"))
		},
	} {
		b, a := newBell(t, dial.Config{InsecureLoopback: true}), newApp(t)
		b.listener("one", a.URL, "ES256")
		b.listener("off", a.URL, "ES256")
		sid := b.signedIn("one", "off")
		b.must(b.parts.Directory.SetClient(ctx, "test", "off", directory.Disabled))
		end(b, sid)
		b.ring()
		if got := a.heard(); len(got) != 1 {
			t.Errorf("%s: told %d times, want once, and a disabled client never", name, len(got))
		}
	}
}
