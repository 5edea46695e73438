package visit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
	"github.com/gatehouse-auth/gatehouse/internal/visit"
)

// clock is moved by a test.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// open opens a store of the kind that the name of the test ends with.
func open(t *testing.T) (*visit.Store, *clock) {
	t.Helper()
	c := &clock{}
	config := visit.Config{Dir: t.TempDir(), Now: c.now}
	if strings.HasSuffix(t.Name(), "/PostgreSQL") {
		config = shared(t, pgtest.Start(t).Database(t))
		config.Now = c.now
	}
	return openAs(t, config), c
}

func openAs(t *testing.T, c visit.Config) *visit.Store {
	t.Helper()
	s, err := visit.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// shared is the configuration of a gateway among several.
func shared(t *testing.T, database string) visit.Config {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	return visit.Config{Dir: dir, KeyFile: file, Database: database}
}

// each runs a test on every kind of store.
func each(t *testing.T, run func(t *testing.T)) {
	t.Helper()
	for _, kind := range []string{"SQLite", "PostgreSQL"} {
		t.Run(kind, run)
	}
}

func begin(t *testing.T, s *visit.Store, v visit.Session) visit.Key {
	t.Helper()
	cookie, err := s.Begin(context.Background(), v)
	if err != nil {
		t.Fatal(err)
	}
	return s.KeyOf(cookie)
}

func lives(t *testing.T, s *visit.Store, k visit.Key) bool {
	t.Helper()
	_, err := s.Find(context.Background(), k)
	if err != nil && !errors.Is(err, visit.ErrNone) {
		t.Fatal(err)
	}
	return err == nil
}

// use does what a request does.
func use(t *testing.T, s *visit.Store, k visit.Key) bool {
	t.Helper()
	v, err := s.Find(context.Background(), k)
	if errors.Is(err, visit.ErrNone) {
		return false
	}
	if err == nil {
		err = s.Touch(context.Background(), v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

func TestC12SessionLimits(t *testing.T) { each(t, c12SessionLimits) }

func c12SessionLimits(t *testing.T) {
	s, c := open(t)
	k := begin(t, s, visit.Session{Subject: "a", Access: "at"})
	c.advance(visit.Idle - time.Minute)
	if !lives(t, s, k) {
		t.Error("over before it is idle")
	}
	c.advance(2 * time.Minute) // looking is no use of it
	if lives(t, s, k) {
		t.Error("lives though idle")
	}
	k = begin(t, s, visit.Session{Subject: "a"})
	for used := time.Duration(0); used < visit.Absolute-visit.Idle; used += visit.Idle / 2 {
		c.advance(visit.Idle / 2)
		if !use(t, s, k) {
			t.Fatalf("over after %s of use", used)
		}
	}
	c.advance(visit.Idle / 2)
	use(t, s, k)
	c.advance(visit.Idle/2 + time.Minute)
	use(t, s, k)
	if lives(t, s, k) {
		t.Error("lives beyond the absolute limit")
	}
	if err := s.Clean(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestSessionsOfOneUserAreBounded(t *testing.T) { each(t, sessionsOfOneUserAreBounded) }

func sessionsOfOneUserAreBounded(t *testing.T) {
	s, c := open(t)
	other := begin(t, s, visit.Session{Subject: "b"})
	var keys []visit.Key
	for range visit.PerUser + 5 {
		keys = append(keys, begin(t, s, visit.Session{Subject: "a"}))
		c.advance(time.Second)
	}
	for i, k := range keys {
		if got, want := lives(t, s, k), i >= 5; got != want {
			t.Errorf("session %d lives: %v, want %v", i, got, want)
		}
	}
	if !lives(t, s, other) {
		t.Error("another user's session is gone")
	}
}

// Of many that renew the same generation one wins, and none after the end.
func TestRenewIsOneStatement(t *testing.T) { each(t, renewIsOneStatement) }

func renewIsOneStatement(t *testing.T) {
	s, _ := open(t)
	ctx := context.Background()
	k := begin(t, s, visit.Session{Subject: "a", Refresh: "r0"})
	v, err := s.Find(ctx, k)
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			mine := v
			mine.Refresh = fmt.Sprint("r", i+1)
			if _, err := s.Renew(ctx, mine); err == nil {
				won.Add(1)
			} else if !errors.Is(err, visit.ErrNone) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if v, err = s.Find(ctx, k); won.Load() != 1 || err != nil || v.Generation() != 1 || v.Refresh == "r0" {
		t.Errorf("%d won, then %v at %d: %v", won.Load(), v.Refresh, v.Generation(), err)
	}
	if err := s.End(ctx, k); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Renew(ctx, v); !errors.Is(err, visit.ErrNone) || lives(t, s, k) {
		t.Errorf("renewed after its end: %v", err)
	}
}

func TestEndings(t *testing.T) { each(t, endings) }

func endings(t *testing.T) {
	s, _ := open(t)
	ctx := context.Background()
	end := func(e visit.Ending) int {
		t.Helper()
		e.For = 2 * time.Minute
		keys, err := s.EndAll(ctx, e)
		if err != nil {
			t.Fatal(err)
		}
		return len(keys)
	}
	one, two, other := begin(t, s, visit.Session{Subject: "a", SID: "s1"}), begin(t, s, visit.Session{Subject: "a", SID: "s2"}), begin(t, s, visit.Session{Subject: "b"})
	if n := end(visit.Ending{SID: "s1", Subject: "a", ID: "j1"}); n != 1 || lives(t, s, one) || !lives(t, s, two) || !lives(t, s, other) {
		t.Errorf("by sid: %d ended", n)
	}
	// A login of that session that was under way does not begin.
	if _, err := s.Begin(ctx, visit.Session{Subject: "a", SID: "s1"}); !errors.Is(err, visit.ErrNone) {
		t.Errorf("a session that has ended begins: %v", err)
	}
	if n := end(visit.Ending{Subject: "a", ID: "j2"}); n != 1 || lives(t, s, two) || !lives(t, s, other) {
		t.Errorf("by user: %d ended", n)
	}
	later := begin(t, s, visit.Session{Subject: "a", SID: "s3"})
	if n := end(visit.Ending{Subject: "a", ID: "j2"}); n != 0 || !lives(t, s, later) {
		t.Errorf("a copy ended %d", n)
	}
}

func TestSpendIsOnce(t *testing.T) { each(t, spendIsOnce) }

func spendIsOnce(t *testing.T) {
	s, _ := open(t)
	var first atomic.Int32
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if ok, err := s.Spend(context.Background(), "login", "x", time.Minute); err != nil {
				t.Error(err)
			} else if ok {
				first.Add(1)
			}
		})
	}
	wait.Wait()
	if first.Load() != 1 {
		t.Errorf("spent %d times", first.Load())
	}
}

func TestSealedForOnePurpose(t *testing.T) { each(t, sealedForOnePurpose) }

func sealedForOnePurpose(t *testing.T) {
	s, _ := open(t)
	other := openAs(t, visit.Config{Dir: t.TempDir()})
	text, err := s.Seal("login", "secret")
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := s.Unseal("login", text, &got); err != nil || got != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	flipped := []byte(text)
	flipped[len(flipped)/2] ^= 1
	for name, err := range map[string]error{
		"another purpose": s.Unseal("logout", text, &got), "another gateway": other.Unseal("login", text, &got),
		"changed": s.Unseal("login", string(flipped), &got), "empty": s.Unseal("login", "", &got), "cut": s.Unseal("login", text[:10], &got),
	} {
		if err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
