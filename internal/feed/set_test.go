package feed_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
)

// C19: what a reader in another language must compute. The figures are those of
// docs/reference/revocation-feed.md.
func TestC19_Fingerprint(t *testing.T) {
	if got := salt.String(); got != "DMn5sfnOKwyxv1JCe5RHNA" {
		t.Errorf("salt %s", got)
	}
	for _, tc := range []struct {
		kind feed.Kind
		id   string
		want uint64
	}{
		{feed.Session, "ses_abc", 0x057fe606d0c637cd},
		{feed.Token, "ses_abc", 0xbb2124ebd942449b},
	} {
		if got := salt.Print(tc.kind, tc.id); got != tc.want {
			t.Errorf("%s %s: %016x, want %016x", tc.kind, tc.id, got, tc.want)
		}
	}
}

// C15, C16: each kind ends what it names and nothing else.
func TestC15_WhatAKindEnds(t *testing.T) {
	token := feed.Subject{TokenID: "j1", GrantID: "gr_1", SessionID: "ses_1", UserID: "usr_1", ClientID: "shop", KeyID: "k1", UserEpoch: 3, ClientEpoch: 5}
	for _, tc := range []struct {
		name  string
		entry feed.Entry
		want  feed.Kind
	}{
		{"its jti", entry(feed.Token, "j1", 0), feed.Token},
		{"another jti", entry(feed.Token, "j2", 0), 0},
		{"its grant", entry(feed.Grant, "gr_1", 0), feed.Grant},
		{"its session", entry(feed.Session, "ses_1", 0), feed.Session},
		{"its key", entry(feed.Key, "k1", 0), feed.Key},
		{"its user, later epoch", entry(feed.User, "usr_1", 4), feed.User},
		{"its user, the same epoch", entry(feed.User, "usr_1", 3), 0},
		{"its user, earlier epoch", entry(feed.User, "usr_1", 2), 0},
		{"its client, later epoch", entry(feed.Client, "shop", 6), feed.Client},
		{"its client, the same epoch", entry(feed.Client, "shop", 5), 0},
		{"the id of a session as a jti", entry(feed.Token, "ses_1", 0), 0},
		{"the id of a user as a client", entry(feed.Client, "usr_1", 9), 0},
		{"the largest epoch", entry(feed.User, "usr_1", 1<<62), feed.User},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var set feed.Set
			set.Reset(salt, tc.entry)
			kind, revoked := set.Revoked(set.Marks(token))
			if kind != tc.want || revoked != (tc.want != 0) {
				t.Errorf("got %s %v, want %s", kind, revoked, tc.want)
			}
			// A token that says nothing about itself matches nothing.
			if kind, revoked := set.Revoked(set.Marks(feed.Subject{})); revoked {
				t.Errorf("a token without ids is revoked by %s", kind)
			}
		})
	}
}

// A token without epochs (of another version, or a forger's idea) counts as the
// oldest: it is refused as soon as its user or client has any least epoch.
func TestC16_NoEpochIsTheOldest(t *testing.T) {
	var set feed.Set
	set.Reset(salt, entry(feed.User, "usr_1", 1))
	for _, epoch := range []int64{0, -1, -1 << 63} {
		if _, revoked := set.Revoked(set.Marks(feed.Subject{UserID: "usr_1", UserEpoch: epoch})); !revoked {
			t.Errorf("epoch %d passes", epoch)
		}
	}
}

// C16: epochs only grow, in whatever order entries come.
func TestC16_LeastEpochNeverFalls(t *testing.T) {
	var set feed.Set
	set.Reset(salt)
	for _, epoch := range []int64{3, 9, 4, 9} {
		set.Add(entry(feed.User, "usr_1", epoch))
	}
	if _, revoked := set.Revoked(set.Marks(feed.Subject{UserID: "usr_1", UserEpoch: 8})); !revoked {
		t.Error("epoch 8 passes below 9")
	}
	if set.Len() != 1 {
		t.Errorf("%d entries for one user", set.Len())
	}
}

// The zero set refuses nothing and says that it was never current.
func TestZeroSet(t *testing.T) {
	var set feed.Set
	if _, revoked := set.Revoked(set.Marks(feed.Subject{TokenID: "x"})); revoked || set.Len() != 0 || set.Age(start) != feed.Never {
		t.Error("the zero set knows something")
	}
	if set.Add(entry(feed.Token, "x", 0)) || set.Len() != 0 {
		t.Error("an entry without a salt was taken")
	}
	set.Sweep(start)
}

// Marks made under one salt are good under the next.
func TestC19_MarksFollowTheSalt(t *testing.T) {
	var set feed.Set
	set.Reset(salt)
	m := set.Marks(feed.Subject{SessionID: "ses_1"})
	next := feed.SaltOf("next")
	set.Reset(next, feed.NewEntry(next, feed.Session, "ses_1", 0, start))
	if _, revoked := set.Revoked(m); !revoked {
		t.Error("marks of the old salt pass")
	}
}

// C15: entries go after their time and not a second before; what is left stays findable.
func TestC15_DroppedAfterTheirTime(t *testing.T) {
	const n = 5_000
	for _, kind := range []feed.Kind{feed.Token, feed.User} {
		var set feed.Set
		set.Reset(salt, entries(kind, n, start)...)
		var late []feed.Entry
		for i := range n {
			late = append(late, feed.NewEntry(salt, kind, fmt.Sprintf("late-%d", i), 7, start.Add(time.Hour)))
		}
		set.Add(late...)
		sweep := func(now time.Time) {
			for range 16 {
				set.Sweep(now)
			}
		}
		sweep(start)
		if set.Len() != 2*n {
			t.Errorf("%s: %d entries at their time, want %d", kind, set.Len(), 2*n)
		}
		sweep(start.Add(time.Second))
		if set.Len() != n {
			t.Errorf("%s: %d entries after their time, want %d", kind, set.Len(), n)
		}
		for i := range n {
			id := fmt.Sprintf("late-%d", i)
			if _, revoked := set.Revoked(set.Marks(feed.Subject{TokenID: id, UserID: id})); !revoked {
				t.Fatalf("%s %s was lost", kind, id)
			}
		}
		sweep(start.Add(2 * time.Hour))
		if set.Len() != 0 {
			t.Errorf("%s: %d entries left", kind, set.Len())
		}
	}
}

// The time to forget is rounded up, and the later of two counts.
func TestC15_DropIsRoundedUp(t *testing.T) {
	var set feed.Set
	set.Reset(salt)
	set.Add(feed.NewEntry(salt, feed.Token, "a", 0, start.Add(time.Hour)), feed.NewEntry(salt, feed.Token, "a", 0, start),
		feed.NewEntry(salt, feed.Token, "b", 0, start.Add(time.Nanosecond)))
	for range 16 {
		set.Sweep(start.Add(time.Second))
	}
	if set.Len() != 2 {
		t.Errorf("%d entries, want 2", set.Len())
	}
}

// Readers never wait and never see half of an entry: what was added before they
// ask is found, under additions, sweeps and a change of the salt. For -race.
func TestSetWhileItChanges(t *testing.T) {
	var set feed.Set
	set.Reset(salt)
	var added atomic.Int64
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := int64(0); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				n := added.Load()
				if n == 0 {
					continue
				}
				id := fmt.Sprintf("id-%d", i%n)
				if _, revoked := set.Revoked(set.Marks(feed.Subject{TokenID: id})); !revoked {
					t.Errorf("%s of %d is not found", id, n)
					return
				}
				if _, revoked := set.Revoked(set.Marks(feed.Subject{UserID: id, UserEpoch: 6})); !revoked {
					t.Errorf("user %s of %d is not found", id, n)
					return
				}
			}
		})
	}
	drop := start.Add(time.Hour)
	for i := range 5_000 {
		id := fmt.Sprintf("id-%d", i)
		set.Add(feed.NewEntry(salt, feed.Token, id, 0, drop), feed.NewEntry(salt, feed.User, id, 7, drop),
			feed.NewEntry(salt, feed.Token, "gone-"+id, 0, start))
		added.Store(int64(i + 1))
		if i%100 == 0 {
			set.Sweep(start.Add(time.Minute))
		}
	}
	close(stop)
	readers.Wait()
}

const million = 1_000_000

// manySet is a set of n entries of a kind.
func manySet(kind feed.Kind, n int) *feed.Set {
	set := &feed.Set{}
	set.Reset(salt)
	for i := range n {
		set.Add(feed.NewEntry(salt, kind, fmt.Sprintf("id-%d", i), 7, start))
	}
	return set
}

// Issue 6: a million live revocations in at most 32 MB, of either sort. Here an
// eighth of them, because of the race detector; bench has the million.
func TestMillionInMemory(t *testing.T) {
	for _, kind := range []feed.Kind{feed.Token, feed.User} {
		before := heap()
		set := manySet(kind, million/8)
		used := float64(heap()-before) / 1e6
		if set.Len() != million/8 || used > 32./8 {
			t.Errorf("%d entries of kind %s in %.2f MB, want at most %.2f", set.Len(), kind, used, 32./8)
		}
		t.Logf("an eighth of a million of kind %s: %.2f MB", kind, used)
		runtime.KeepAlive(set)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkRevoked asks a set of a million entries about tokens that are not
// revoked: with marks that were kept, and with all six ids hashed.
func BenchmarkRevoked(b *testing.B) {
	set := manySet(feed.Token, million)
	for i := range million / 10 {
		set.Add(feed.NewEntry(salt, feed.User, fmt.Sprintf("id-%d", i), 7, start))
	}
	subjects := make([]feed.Subject, 4096)
	marks := make([]*feed.Marks, len(subjects))
	for i := range subjects {
		subjects[i] = feed.Subject{TokenID: fmt.Sprintf("%026d", i), GrantID: fmt.Sprintf("gr_%026d", i), SessionID: fmt.Sprintf("ses_%026d", i),
			UserID: fmt.Sprintf("usr_%026d", i), ClientID: "orders-web", KeyID: "aq3bZs5sTsCzqCNbA_zrAJYuaWZ1rZs0FgmTLq1IVs0", UserEpoch: 1, ClientEpoch: 1}
		marks[i] = set.Marks(subjects[i])
	}
	b.Run("kept marks", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, revoked := set.Revoked(marks[i%len(marks)]); revoked {
				b.Fatal("revoked")
			}
		}
	})
	b.Run("hashing", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, revoked := set.Revoked(set.Marks(subjects[i%len(subjects)])); revoked {
				b.Fatal("revoked")
			}
		}
	})
	b.Run("kept marks, in parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, revoked := set.Revoked(marks[i%len(marks)]); revoked {
					b.Fatal("revoked")
				}
			}
		})
	})
}

func BenchmarkPrint(b *testing.B) {
	for b.Loop() {
		salt.Print(feed.Session, "ses_00000000000000000000000000")
	}
}
