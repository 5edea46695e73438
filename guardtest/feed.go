package guardtest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// heartbeatEvery is Gatehouse's own pace.
const heartbeatEvery = time.Second

// revocationFeed is the issuer's feed of revocations: signed with a key of its
// own, as Gatehouse's is. Its fields are guarded by the issuer's mutex.
type revocationFeed struct {
	signer  jose.Signer
	salt    feed.Salt
	entries []feed.Entry
	changed chan struct{} // closed by the next revocation
	ended   chan struct{} // closed with the issuer
}

func newRevocationFeed() (*revocationFeed, error) {
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		return nil, err
	}
	return &revocationFeed{signer: signer, salt: feed.SaltOf(signer.Key().ID()), changed: make(chan struct{}), ended: make(chan struct{})}, nil
}

// known is all that was revoked from an index on, and what ends when there is more.
func (i *Issuer) known(from int) ([]feed.Entry, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.feed.entries[from:]), i.feed.changed
}

// serveFeed is GET /revocations: a snapshot, then what is new, or a heartbeat.
func (i *Issuer) serveFeed(w http.ResponseWriter, r *http.Request) {
	entries, changed := i.known(0)
	seen := len(entries)
	m := feed.Message{Type: feed.Snapshot, Stream: strings.ToLower(rand.Text()), Salt: i.feed.salt}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	pieces := feed.Split(entries)
	m.At, m.Seq = time.Now(), int64(seen)
	for n, piece := range pieces {
		m.Part, m.Parts, m.Entries = n+1, len(pieces), piece
		if !i.send(w, m) {
			return
		}
	}
	// A snapshot may have been made for many readers; this says that it is of now.
	m.Type, m.At = feed.Heartbeat, time.Now()
	if !i.send(w, m) {
		return
	}
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	for {
		select {
		case <-changed:
		case <-beat.C:
		case <-i.feed.ended:
			return
		case <-r.Context().Done():
			return
		}
		if entries, changed = i.known(seen); len(entries) == 0 {
			m.Type, m.At = feed.Heartbeat, time.Now()
			if !i.send(w, m) {
				return
			}
			continue
		}
		seen += len(entries)
		for _, piece := range feed.Split(entries) {
			m.Type, m.At, m.Seq, m.Entries = feed.Delta, time.Now(), int64(seen), piece
			m.N++
			if !i.send(w, m) {
				return
			}
		}
	}
}

func (i *Issuer) send(w http.ResponseWriter, m feed.Message) bool {
	raw, err := m.Sign(i.feed.signer, i.URL())
	if err != nil {
		return false
	}
	_, err = w.Write(feed.Event{Name: string(m.Type), Data: raw}.Append(nil))
	return err == nil && http.NewResponseController(w).Flush() == nil
}

func (i *Issuer) serveFeedKeys(w http.ResponseWriter) {
	json.NewEncoder(w).Encode(jose.NewKeySet(i.feed.signer.Key()))
}

// introspect tells a reader of any name whether a token is live (RFC 7662), for
// guards with a Config.Reader.
func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	if id, secret, ok := r.BasicAuth(); !ok || id == "" || secret == "" {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	json.NewEncoder(w).Encode(map[string]bool{"active": i.live(r.PostFormValue("token"))})
}

func (i *Issuer) live(raw string) bool {
	t, err := jose.Parse(raw)
	if err != nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	key, _ := jose.NewKeySet(i.keys...).Key(t.KeyID())
	if t.Verify(key) != nil {
		return false
	}
	claims, err := t.Claims()
	if err != nil || !time.Now().Before(claims.Expires) {
		return false
	}
	print := i.feed.salt.Print(feed.Token, claims.ID)
	return !slices.ContainsFunc(i.feed.entries, func(e feed.Entry) bool { return e.Print == print })
}

// knowPatience is how long Revoke waits for a guard.
const knowPatience = 10 * time.Second

// Revoke takes tokens of this issuer back, as a logout does, and returns when
// all guards that Guard made know it: what carries one of them is then refused
// with 401, "The token was revoked."
func (i *Issuer) Revoke(t testing.TB, tokens ...string) {
	t.Helper()
	var entries []feed.Entry
	for _, raw := range tokens {
		parsed, err := jose.Parse(raw)
		if err != nil {
			t.Fatalf("guardtest: revoke: %v", err)
		}
		claims, err := parsed.Claims()
		if err != nil || claims.ID == "" {
			t.Fatalf("guardtest: revoke: a token without a jti cannot be revoked (%v)", err)
		}
		entries = append(entries, feed.NewEntry(i.feed.salt, feed.Token, claims.ID, 0, claims.Expires.Add(time.Minute)))
	}
	i.publish(entries...)
	i.mu.Lock()
	guards := slices.Clone(i.guards)
	i.mu.Unlock()
	for _, g := range guards {
		for _, raw := range tokens {
			i.await(t, g, raw)
		}
	}
}

// publish says in the feed that something was revoked.
func (i *Issuer) publish(entries ...feed.Entry) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.feed.entries = append(i.feed.entries, entries...)
	close(i.feed.changed)
	i.feed.changed = make(chan struct{})
}

// await waits until a guard refuses a token, for whatever reason.
func (i *Issuer) await(t testing.TB, g *guard.Guard, raw string) {
	t.Helper()
	for deadline := time.Now().Add(knowPatience); ; time.Sleep(5 * time.Millisecond) {
		_, err := g.VerifyUnconfirmed(t.Context(), raw)
		if errors.Is(err, guard.ErrInvalid) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("guardtest: after %s a guard still takes the revoked token (%v)", knowPatience, err)
		}
	}
}
