package feed_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const issuer = "https://auth.example.com"

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// feedKey is one key for all tests: drawing one costs more than most of them.
var feedKey = sync.OnceValue(func() jose.Signer {
	s, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		panic(err)
	}
	return s
})

func otherKey(t testing.TB) jose.Signer {
	t.Helper()
	s, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keySet() jose.KeySet { return jose.NewKeySet(feedKey().Key()) }

var salt = feed.SaltOf("the-key")

func entry(kind feed.Kind, id string, epoch int64) feed.Entry {
	return feed.NewEntry(salt, kind, id, epoch, start.Add(10*time.Minute))
}

// entries are n different ones of a kind.
func entries(kind feed.Kind, n int, drop time.Time) []feed.Entry {
	list := make([]feed.Entry, n)
	for i := range list {
		list[i] = feed.NewEntry(salt, kind, fmt.Sprintf("id-%d", i), 7, drop)
	}
	return list
}

func sign(t testing.TB, m feed.Message) feed.Event {
	t.Helper()
	raw, err := m.Sign(feedKey(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	return feed.Event{Name: string(m.Type), Data: raw}
}

// at is a time, in seconds after the start.
func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func snapshot(n int64, list ...feed.Entry) feed.Message {
	return feed.Message{Type: feed.Snapshot, Stream: "s1", N: n, At: at(0), Seq: 100, Salt: salt, Part: 1, Parts: 1, Entries: list}
}

func delta(n int64, when float64, list ...feed.Entry) feed.Message {
	return feed.Message{Type: feed.Delta, Stream: "s1", N: n, At: at(when), Seq: 100 + n, Salt: salt, Entries: list}
}

func heartbeat(n int64, when float64) feed.Message {
	return feed.Message{Type: feed.Heartbeat, Stream: "s1", N: n, At: at(when), Seq: 100 + n, Salt: salt}
}

// with changes a message, for the rows of a table.
func with(m feed.Message, change func(*feed.Message)) feed.Message {
	change(&m)
	return m
}

func otherKeySet(t testing.TB) jose.KeySet { return jose.NewKeySet(otherKey(t).Key()) }
