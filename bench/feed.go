package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const (
	feedReaders     = 200
	feedRevocations = 60
	feedPause       = 150 * time.Millisecond
	feedRate        = 500 // tokens issued a second meanwhile
)

// feeds measures the memory of a verifier and the way of a revocation to it.
func feeds() error {
	sets()
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "gatehouse")
	build := exec.Command("go", "build", "-o", binary, "./cmd/gatehouse")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	if err := million(binary, dir); err != nil {
		return err
	}
	d, stop, err := start(binary)
	if err != nil {
		return err
	}
	defer stop()
	return fanOut(d)
}

// sets prints what a million revocations cost a verifier.
func sets() {
	const n = 1_000_000
	fmt.Printf("\nA million live revocations in a verifier\n")
	for _, kind := range []feed.Kind{feed.Token, feed.User} {
		salt := feed.SaltOf("bench")
		before := live()
		set := &feed.Set{}
		set.Reset(salt)
		for i := range n {
			set.Add(feed.NewEntry(salt, kind, fmt.Sprintf("id-%d", i), 7, time.Now().Add(time.Hour)))
		}
		used := float64(live()-before) / 1e6
		subjects := make([]feed.Subject, 4096)
		marks := make([]*feed.Marks, len(subjects))
		for i := range subjects {
			subjects[i] = feed.Subject{TokenID: fmt.Sprintf("%026d", i), GrantID: fmt.Sprintf("gr_%026d", i), SessionID: fmt.Sprintf("ses_%026d", i),
				UserID: fmt.Sprintf("usr_%026d", i), ClientID: "orders-web", KeyID: "aq3bZs5sTsCzqCNbA_zrAJYuaWZ1rZs0FgmTLq1IVs0", UserEpoch: 1, ClientEpoch: 1}
			marks[i] = set.Marks(subjects[i])
		}
		kept := each(func(i int) { set.Revoked(marks[i%len(marks)]) })
		hashed := each(func(i int) { set.Revoked(set.Marks(subjects[i%len(subjects)])) })
		fmt.Printf("  %-7s %5.1f MB   a check of a cached token %4.0f ns, of a new one with its six hashes %5.0f ns\n", kind.String()+"s", used, kept, hashed)
	}
}

func live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// each is the time of one call, in nanoseconds, the best of five rounds.
func each(call func(int)) float64 {
	const n = 1_000_000
	best := time.Hour
	for range 5 {
		began := time.Now()
		for i := range n {
			call(i)
		}
		best = min(best, time.Since(began))
	}
	return float64(best.Nanoseconds()) / n
}

// fanOut lets many verifiers follow the feed while tokens are issued, and
// revokes some.
func fanOut(d dev) error {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	keys, err := feedKeys(d)
	if err != nil {
		return err
	}
	arrivals := &arrivals{seen: map[uint64][]time.Time{}}
	var ready sync.WaitGroup
	faults := make(chan error, feedReaders)
	for i := range feedReaders {
		ready.Add(1)
		running.Go(func() {
			if err := readFeed(ctx, d, keys, i, ready.Done, arrivals); err != nil && ctx.Err() == nil {
				faults <- err
			}
		})
	}
	ready.Wait()
	issued := loadTokens(ctx, d, &running)
	began, salt := time.Now(), arrivals.theSalt()
	sent := map[uint64]time.Time{}
	for range feedRevocations {
		id, at, err := revokeOne(d)
		if err != nil {
			return err
		}
		sent[salt.Print(feed.Token, id)] = at
		time.Sleep(feedPause)
	}
	took := time.Since(began)
	rate := float64(issued.Load()) / took.Seconds()
	time.Sleep(2 * time.Second)
	var ways []time.Duration
	for print, at := range sent {
		for _, arrived := range arrivals.of(print) {
			ways = append(ways, arrived.Sub(at))
		}
	}
	if want := feedReaders * len(sent); len(ways) != want {
		select {
		case err := <-faults:
			return fmt.Errorf("%d of %d arrivals: %w", len(ways), want, err)
		default:
			return fmt.Errorf("%d of %d arrivals", len(ways), want)
		}
	}
	slices.Sort(ways)
	fmt.Printf("\nFrom the request that revokes to %d verifiers in one process, %.0f tokens/s issued meanwhile, %d revocations\n", feedReaders, rate, len(sent))
	fmt.Printf("  p50 %s   p99 %s   max %s\n", round(ways[len(ways)/2]), round(ways[len(ways)*99/100]), round(ways[len(ways)-1]))
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// arrivals are when each fingerprint was known at each reader.
type arrivals struct {
	mu   sync.Mutex
	salt feed.Salt
	seen map[uint64][]time.Time
}

func (a *arrivals) add(salt feed.Salt, entries []feed.Entry) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.salt = salt
	for _, e := range entries {
		a.seen[e.Print] = append(a.seen[e.Print], now)
	}
}

func (a *arrivals) of(print uint64) []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[print]
}

func (a *arrivals) theSalt() feed.Salt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.salt
}

func feedKeys(d dev) (jose.KeySet, error) {
	response, err := http.Get(d.Issuer + "/.well-known/feed-keys.json")
	if err != nil {
		return jose.KeySet{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return jose.KeySet{}, err
	}
	set, _, err := jose.ParseKeySet(body)
	return set, err
}

// readFeed is one verifier. Half of them come from each loopback address: a
// node takes 128 of one.
func readFeed(ctx context.Context, d dev, keys jose.KeySet, number int, ready func(), into *arrivals) error {
	once := sync.OnceFunc(ready)
	defer once()
	host := []string{"127.0.0.1", "::1"}[number%2]
	u, err := url.Parse(d.Issuer)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(host, u.Port()))
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.Issuer+"/revocations", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("feed: %s", response.Status)
	}
	var set feed.Set
	reader, events := feed.NewReader(d.Issuer, &set), feed.NewEvents(response.Body)
	reader.Begin()
	for {
		e, err := events.Next()
		if err != nil {
			return err
		}
		o, err := reader.Take(e, keys, time.Now())
		if err != nil {
			return err
		}
		into.add(set.Salt(), o.Entries)
		if o.Live {
			once()
		}
	}
}

// loadTokens issues tokens at a steady rate until ctx ends.
func loadTokens(ctx context.Context, d dev, running *sync.WaitGroup) *atomic.Int64 {
	var issued atomic.Int64
	due := make(chan struct{}, 50)
	running.Go(func() {
		defer close(due)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for range feedRate / 100 {
				select {
				case due <- struct{}{}:
				default: // the server does not keep up; the printed rate says so
				}
			}
		}
	})
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {d.Clients[1].ID}, "client_secret": {d.Clients[1].Secret}}.Encode()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	for range 16 {
		running.Go(func() {
			for range due {
				if post(client, d.Issuer+"/oauth/token", form) == nil {
					issued.Add(1)
				}
			}
		})
	}
	return &issued
}

// revokeOne issues a token and revokes it. It returns its id and when it was
// asked to end.
func revokeOne(d dev) (id string, at time.Time, err error) {
	credentials := url.Values{"client_id": {d.Clients[1].ID}, "client_secret": {d.Clients[1].Secret}}
	var answer struct {
		Token string `json:"access_token"`
	}
	grant := url.Values{"grant_type": {"client_credentials"}, "client_id": credentials["client_id"], "client_secret": credentials["client_secret"]}
	if err := postJSON(http.DefaultClient, d.Issuer+"/oauth/token", grant, &answer); err != nil {
		return "", at, err
	}
	token, err := jose.Parse(answer.Token)
	if err != nil {
		return "", at, err
	}
	var claims struct {
		ID string `json:"jti"`
	}
	if err := json.NewDecoder(strings.NewReader(string(token.Payload()))).Decode(&claims); err != nil {
		return "", at, err
	}
	credentials.Set("token", answer.Token)
	at = time.Now()
	return claims.ID, at, post(http.DefaultClient, d.Issuer+"/oauth/revoke", credentials.Encode())
}
