package jwks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// Keys that cannot be refreshed are good for a day while the revocation feed is
// fresh, and for an hour from when it is not.
func TestC18StaleKeysWithAFeed(t *testing.T) {
	k, clock := serve(t, "max-age=600"), storetest.NewClock()
	var fresh atomic.Bool
	c, err := jwks.New(jwks.Config{Issuer: snapshotIssuer, KeysURL: k.URL, Now: clock.Now, FeedFresh: fresh.Load})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	k.down.Store(true)
	for _, step := range []struct {
		advance time.Duration
		fresh   bool
		ok      bool
	}{{70 * time.Minute, false, true}, {time.Second, false, false}, {0, true, true}, {0, false, false}, {23*time.Hour - time.Second, true, true}, {time.Second, true, false}} {
		clock.Advance(step.advance)
		fresh.Store(step.fresh)
		if ok := c.Current() != nil; ok != step.ok {
			t.Errorf("%s later, fresh %v: %v", step.advance, step.fresh, ok)
		}
	}
}

// What the issuer took back counts no more, wherever it is.
func TestC15VoidKeysAreFetchedAgain(t *testing.T) {
	k, clock := serve(t, "max-age=600"), storetest.NewClock()
	var noCache atomic.Int64
	inner := k.Config.Handler
	k.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cache-Control") == "no-cache" {
			noCache.Add(1)
		}
		inner.ServeHTTP(w, r)
	})
	file := filepath.Join(t.TempDir(), "keys.json")
	c := k.kept(t, clock, file)
	if _, err := c.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) { // the write is beside the answer
		if _, err := os.Stat(file); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no file")
		}
	}
	k.down.Store(true)
	c.Void()
	if c.Current() != nil {
		t.Error("void keys are in memory")
	}
	if _, err := c.Ready(context.Background()); !errors.Is(err, jwks.ErrUnavailable) {
		t.Errorf("void keys verify: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("void keys are on the disk")
	}
	k.down.Store(false)
	clock.Advance(2 * time.Second)
	if _, err := c.Ready(context.Background()); err != nil || noCache.Load() == 0 {
		t.Errorf("when the issuer is back: %v, %d requests past caches", err, noCache.Load())
	}
	c.Close()
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the new keys are not on the disk: %v", err)
	}
	c.Void() // after the end: nothing begins
}

// What discovery says beside the keys is told, and kept with them.
func TestDiscoveryTellsTheRest(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	var document atomic.Value
	var down atomic.Bool
	mux := http.NewServeMux()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	defer server.Close()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"%s/keys"%s}`, server.URL, server.URL, document.Load())
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		raw, err := json.Marshal(k.key)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"keys":[%s]}`, raw)
	})
	file := filepath.Join(t.TempDir(), "keys.json")
	told := func() []jwks.Metadata {
		var all []jwks.Metadata
		c, err := jwks.New(jwks.Config{Issuer: server.URL, SnapshotFile: file, Now: clock.Now, Discovered: func(m jwks.Metadata) { all = append(all, m) }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ready(context.Background()); err != nil {
			t.Error(err)
		}
		c.Close()
		return all
	}
	for members, want := range map[string]jwks.Metadata{
		``: {},
		`,"revocation_feed_endpoint":"a","revocation_feed_jwks_uri":"b","introspection_endpoint":"c"`:  {Feed: "a", FeedKeys: "b", Introspection: "c"},
		`,"revocation_feed_endpoint":7,"revocation_feed_jwks_uri":["b"],"introspection_endpoint":null`: {},
	} {
		document.Store(members)
		for _, fromDisk := range []bool{false, true} {
			down.Store(fromDisk)
			if got := told(); len(got) != 1 || got[0] != want {
				t.Errorf("%s, from the disk %v: %+v", members, fromDisk, got)
			}
		}
		down.Store(false)
	}
}
