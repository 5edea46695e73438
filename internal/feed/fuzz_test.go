package feed_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// resign signs a message again with a changed payload.
func resign(t testing.TB, e feed.Event, change func(string) string) feed.Event {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(e.Data, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	e.Data, err = feedKey().Sign(feed.TokenType, json.RawMessage(change(string(payload))))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// FuzzReader: whatever an issuer signs, the reader keeps its rules: it takes
// nothing back, is live only after a whole snapshot, and each error is one of
// those that say what to do.
func FuzzReader(f *testing.F) {
	for _, m := range []feed.Message{snapshot(5, everyKind...), delta(6, 1, everyKind...), heartbeat(5, 1), snapshot(1),
		with(snapshot(5), func(m *feed.Message) { m.Salt = feed.SaltOf("x") })} {
		e := sign(f, m)
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(e.Data, ".")[1])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.Name, payload)
	}
	f.Add("delta", []byte(`{"iss":"`+issuer+`","events":{"`+uri+`delta":{"revoked":{"x":1}}}}`))
	f.Fuzz(func(t *testing.T, name string, payload []byte) {
		if !json.Valid(payload) {
			return
		}
		var set feed.Set
		r := feed.NewReader(issuer, &set)
		if _, err := r.Take(sign(t, snapshot(5, entry(feed.Session, "ses_1", 0))), keySet(), start); err != nil {
			t.Fatal(err)
		}
		raw, err := feedKey().Sign(feed.TokenType, json.RawMessage(payload))
		if err != nil || len(raw) > jose.MaxTokenBytes {
			return
		}
		o, err := r.Take(feed.Event{Name: name, Data: raw}, keySet(), start)
		if err != nil && !errors.Is(err, feed.ErrForeign) && !errors.Is(err, feed.ErrResync) && !errors.Is(err, feed.ErrClock) {
			t.Errorf("an error that says nothing: %v", err)
		}
		if o.Live && err != nil && !errors.Is(err, feed.ErrClock) {
			t.Errorf("live after %v", err)
		}
		if set.Salt() == salt && !revokes(&set, "ses_1") {
			t.Error("a revocation was taken back")
		}
		if resume := r.Begin(); resume != "" && errors.Is(err, feed.ErrResync) {
			t.Errorf("it resumes with %s after %v", resume, err)
		}
		if saved := set.AppendBinary(nil, 1); len(saved) > 0 {
			var again feed.Set
			if _, err := again.Load(saved); err != nil || again.Len() != set.Len() {
				t.Errorf("saved: %v", err)
			}
		}
	})
}

// FuzzEvents: memory is bounded, and what is read was in the stream.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("id: 1\nevent: delta\ndata: a.b.c\n\n: x\n\nevent: heartbeat\ndata: d\n\n"))
	f.Add([]byte("data:\n\ndata: x\r\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		events := feed.NewEvents(bytes.NewReader(stream))
		for range len(stream) + 1 {
			e, err := events.Next()
			if err != nil {
				return
			}
			if e.Data == "" || strings.ContainsAny(e.Data+e.Name+e.ID, "\r\n") || !bytes.Contains(stream, []byte(e.Data)) {
				t.Errorf("read %+v", e)
			}
		}
		t.Error("more events than bytes")
	})
}

// FuzzLoad: no saved file makes a reader fail in another way than to begin anew.
func FuzzLoad(f *testing.F) {
	var set feed.Set
	set.Reset(salt, everyKind...)
	f.Add(set.AppendBinary(nil, 9))
	f.Fuzz(func(t *testing.T, data []byte) {
		var again feed.Set
		if _, err := again.Load(data); err != nil && !errors.Is(err, feed.ErrMalformed) {
			t.Error(err)
		}
	})
}
