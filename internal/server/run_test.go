package server

import (
	"context"
	"errors"
	"fmt"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// What another process changed is seen at the next look; and by a process that
// slept until the rows which say so were cleaned away, all the same (C28).
func TestC28TheWatcherMissesNothing(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	kek, _ := keys.GenerateKEK()
	p, err := Assemble(ctx, Config{Issuer: "https://auth.example.com", Dir: dir, Database: storetest.Database(t, dir), KEKs: []keys.KEK{kek}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	later := func() time.Time { return time.Now().Add(2 * time.Hour) }
	other, err := store.Open(ctx, storetest.Config(t, dir, later))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := p.Store.CreateRole(ctx, iam.Role{Name: "viewer", Description: "0"}); err != nil {
		t.Fatal(err)
	}
	change := func(description string) {
		t.Helper()
		r, err := other.Role(ctx, "viewer")
		if err != nil {
			t.Fatal(err)
		}
		r.Description = description
		if err := other.UpdateRole(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	sees := func(want string) {
		t.Helper()
		roles, err := p.Store.Roles(ctx)
		if err != nil || len(roles) != 1 || roles[0].Description != want {
			t.Errorf("got %+v %v, want %s", roles, err, want)
		}
	}
	look := func(seen *watched) {
		t.Helper()
		if err := p.look(ctx, seen); err != nil {
			t.Fatal(err)
		}
	}
	var seen watched
	look(&seen)
	sees("0")
	change("1")
	sees("0") // the copy: otherwise this test would see nothing
	look(&seen)
	sees("1")
	// More of them than one reading brings: all are followed at one look.
	var all sync.WaitGroup
	for n := range 1100 {
		all.Go(func() {
			if err := other.CreateUser(ctx, iam.User{ID: iam.NewUserID(), Username: fmt.Sprint("u", n)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	change("1b")
	look(&seen)
	sees("1b")
	change("2")
	far, err := store.Open(ctx, storetest.Config(t, dir, func() time.Time { return later().Add(2 * time.Hour) }))
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if n, err := far.Clean(ctx, 500); err != nil || n == 0 {
		t.Fatalf("%d rows went: %v", n, err)
	}
	sees("1b") // the copy: nobody told of the change
	seen.forgot = seen.forgot.Add(-time.Hour)
	look(&seen)
	sees("2")
	sees("2")
	if rows, _, err := p.Store.Changes(ctx, 0); err != nil || len(rows) != 0 {
		t.Errorf("the change is still told: %v %v", rows, err)
	}
}

// `kek rotate` and then a new key, while this server was not restarted with
// the next key-encryption key: it signs on for a moment, then it is not ready,
// and it says what to do.
func TestC23AServerWithAnOldKeyEncryptionKeySaysSo(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	old, _ := keys.GenerateKEK()
	next, _ := keys.GenerateKEK()
	var skip atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(skip.Load())) }
	p, err := Assemble(ctx, Config{Issuer: "https://auth.example.com", Dir: dir, Database: storetest.Database(t, dir), KEKs: []keys.KEK{old}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ready := func() int {
		w := httptest.NewRecorder()
		p.Handler.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		return w.Code
	}
	var seen watched
	if err := p.look(ctx, &seen); err != nil || ready() != 200 {
		t.Fatalf("%v, ready: %d", err, ready())
	}
	other, err := store.Open(ctx, storetest.Config(t, dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ring, err := keys.Open(ctx, keys.Config{Records: other, KEKs: []keys.KEK{next, old}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Rotate(ctx, "cli:test", iam.TokenKeys, "ES256", keys.AtOnce); err != nil {
		t.Fatal(err)
	}
	err = p.look(ctx, &seen)
	if err == nil || !strings.Contains(explain(err).Error(), "restart this server") {
		t.Errorf("got %v, want what to do", err)
	}
	skip.Store(int64(time.Minute))
	if _, err := p.Keys.Signer(ctx, "ES256"); !errors.Is(err, iam.ErrUnavailable) {
		t.Errorf("it signs, or says that the request is at fault: %v", err)
	}
	if got := ready(); got != 503 {
		t.Errorf("ready: %d, want 503", got)
	}
}
