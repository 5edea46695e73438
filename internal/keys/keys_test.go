package keys_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

var ctx = context.Background()

type ring struct {
	*keys.Service
	t     *testing.T
	dir   string
	db    *store.DB
	kek   keys.KEK
	clock *storetest.Clock
}

func newRing(t *testing.T, ahead time.Duration) *ring {
	t.Helper()
	kek, _ := keys.GenerateKEK()
	r := &ring{t: t, dir: t.TempDir(), kek: kek, clock: storetest.NewClock()}
	var err error
	if r.db, err = store.Open(ctx, store.Config{Dir: r.dir, Now: r.clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.db.Close() })
	r.Service = r.open(ahead, kek)
	return r
}

func (r *ring) open(ahead time.Duration, keks ...keys.KEK) *keys.Service {
	r.t.Helper()
	s, err := keys.Open(ctx, keys.Config{Records: r.db, KEKs: keks, PublishAhead: ahead, Now: r.clock.Now})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *ring) signs() string {
	r.t.Helper()
	s, err := r.Signer(ctx, "ES256")
	if err != nil {
		r.t.Fatal(err)
	}
	return s.Key().ID()
}

func (r *ring) published(kid string) bool {
	_, ok := r.Published().Key(kid)
	return ok
}

func TestC24OnePendingKeyIsAlwaysPublished(t *testing.T) {
	r := newRing(t, 24*time.Hour)
	first := r.signs()
	if r.Published().Len() != 2 || !r.published(first) {
		t.Fatalf("%d keys published, want the active and a pending one", r.Published().Len())
	}
	next, err := r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.Planned)
	if err != nil {
		t.Fatal(err)
	}
	if !next.ActivateAt.Equal(next.CreatedAt.Add(24 * time.Hour)) {
		t.Errorf("active from %s, created %s: published for a day before it signs", next.ActivateAt, next.CreatedAt)
	}
	if r.signs() != first || !r.published(string(next.ID)) || r.Published().Len() != 3 {
		t.Error("a planned key signed before its time, or is not published")
	}
	r.clock.Advance(24*time.Hour - time.Second)
	if r.signs() != first {
		t.Error("a second too early")
	}
	r.clock.Advance(time.Second)
	if r.signs() != string(next.ID) || !r.published(first) {
		t.Error("the planned key signs now, and the old one verifies")
	}
	r.clock.Advance(iam.AccessTokenLife + iam.RevocationLeeway)
	if r.published(first) {
		t.Error("the old key outlives everything that it signed")
	}
	r.clock.Advance(-48 * time.Hour) // a clock that jumps back must not sign with a key of the future
	if r.signs() != first {
		t.Error("after a jump back")
	}
}

func TestC24RetireActivatesThePendingKeyAtOnce(t *testing.T) {
	r := newRing(t, 24*time.Hour)
	first := r.signs()
	next, err := r.Retire(ctx, "test", iam.KeyID(first))
	if err != nil {
		t.Fatal(err)
	}
	if r.signs() != string(next.ID) || r.published(first) || r.Published().Len() != 2 {
		t.Error("the retired key must be gone, the pending one sign, and a new one be pending")
	}
	if _, err := r.Retire(ctx, "test", iam.KeyID(first)); err == nil {
		t.Error("a key retires once")
	}
	// The pending key can be retired too, and one that is planned.
	for _, k := range r.Published().Keys() {
		if k.ID() != r.signs() {
			if _, err := r.Retire(ctx, "test", iam.KeyID(k.ID())); err != nil || r.published(k.ID()) || r.Published().Len() != 2 {
				t.Errorf("retire the pending key: %v", err)
			}
		}
	}
	planned, err := r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.Planned)
	if err != nil {
		t.Fatal(err)
	}
	active := r.signs()
	if _, err := r.Retire(ctx, "test", iam.KeyID(active)); err != nil || r.signs() == active || r.published(active) {
		t.Errorf("retire the active key while another is planned: %v", err)
	}
	_ = planned
}

func TestJOSE10KeyIDsAreThumbprintsAndDistinct(t *testing.T) {
	r := newRing(t, 0)
	seen := map[string]bool{r.signs(): true}
	for range 3 {
		if _, err := r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.AtOnce); err != nil {
			t.Fatal(err)
		}
		r.clock.Advance(time.Millisecond)
		kid := r.signs()
		if seen[kid] {
			t.Errorf("kid %s is used again", kid)
		}
		seen[kid] = true
	}
	for _, k := range r.Published().Keys() {
		if k.ID() != k.Thumbprint() {
			t.Errorf("kid %s is not the thumbprint %s", k.ID(), k.Thumbprint())
		}
	}
}

// One thumbprint in 64 begins with a dash, which a command line takes for a flag.
func TestKeyIDsCanBeTyped(t *testing.T) {
	r := newRing(t, 0)
	for range 300 {
		k, err := r.Rotate(ctx, "test", iam.TokenKeys, "EdDSA", keys.AtOnce)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(k.ID), "-") {
			t.Fatalf("key id %s", k.ID)
		}
		r.clock.Advance(time.Hour)
	}
}

func TestOtherAlgorithmsAreMadeWhenAskedFor(t *testing.T) {
	r := newRing(t, 0)
	for _, algorithm := range []jose.Algorithm{jose.RS256, jose.EdDSA} {
		s, err := r.Signer(ctx, string(algorithm))
		if err != nil || s.Key().Algorithm() != algorithm {
			t.Fatalf("%s: %v", algorithm, err)
		}
		again, err := r.Signer(ctx, string(algorithm))
		if err != nil || again.Key().ID() != s.Key().ID() {
			t.Errorf("%s: a line is made once", algorithm)
		}
	}
	if _, err := r.Signer(ctx, "HS256"); err == nil {
		t.Error("an HMAC token key was made")
	}
	if _, err := r.Signer(ctx, "none"); err == nil {
		t.Error("a key for none was made")
	}
}

// Two processes that start at once on a new folder end with one line.
func TestTwoStartsMakeOneLine(t *testing.T) {
	r := &ring{t: t, dir: t.TempDir(), clock: storetest.NewClock()}
	kek, _ := keys.GenerateKEK()
	var all sync.WaitGroup
	kids := make([]string, 4)
	for n := range kids {
		db, err := store.Open(ctx, store.Config{Dir: r.dir, Now: r.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		all.Go(func() {
			s, err := keys.Open(ctx, keys.Config{Records: db, KEKs: []keys.KEK{kek}, Now: r.clock.Now})
			if err != nil {
				t.Error(err)
				return
			}
			signer, err := s.Signer(ctx, "ES256")
			if err != nil {
				t.Error(err)
			}
			kids[n] = signer.Key().ID()
		})
	}
	all.Wait()
	for _, kid := range kids {
		if kid != kids[0] {
			t.Errorf("signing keys %v", kids)
		}
	}
}

func TestC23KeysAtRest(t *testing.T) {
	r := newRing(t, 0)
	before, err := r.db.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range before {
		if !strings.HasPrefix(k.Sealed, "v1."+r.kek.ID()+".") {
			t.Errorf("key %s is sealed as %.20s", k.ID, k.Sealed)
		}
	}
	// Another process with the same key opens them all; one with another key is
	// refused, and nothing is replaced.
	r.open(0, r.kek)
	wrong, _ := keys.GenerateKEK()
	if _, err := keys.Open(ctx, keys.Config{Records: r.db, KEKs: []keys.KEK{wrong}, Now: r.clock.Now}); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("another key-encryption key: %v", err)
	}
	after, _ := r.db.Keys(ctx)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("keys were replaced")
	}
	// Several can open, one seals.
	both := r.open(0, wrong, r.kek)
	if _, err := both.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.AtOnce); err != nil {
		t.Fatal(err)
	}
	stored, _ := r.db.Keys(ctx)
	sealedByNew := 0
	for _, k := range stored {
		if strings.HasPrefix(k.Sealed, "v1."+wrong.ID()+".") {
			sealedByNew++
		}
	}
	if sealedByNew != 1 {
		t.Errorf("%d keys sealed with the first of two, want the new one", sealedByNew)
	}
}

// A sealed blob that is moved to another row, purpose or id does not open.
func TestC23BlobsAreBoundToTheirRow(t *testing.T) {
	r := newRing(t, 0)
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", filepath.Join(r.dir, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec(`UPDATE keys SET sealed = (SELECT sealed FROM keys k2 WHERE k2.purpose = 'code-seal' LIMIT 1) WHERE purpose = 'refresh-mac'`); err != nil {
		t.Fatal(err)
	}
	if r.db, err = store.Open(ctx, store.Config{Dir: r.dir, Now: r.clock.Now}); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(ctx, keys.Config{Records: r.db, KEKs: []keys.KEK{r.kek}, Now: r.clock.Now}); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("got %v", err)
	}
}

func TestCodesAndMacs(t *testing.T) {
	r := newRing(t, 0)
	id, sealed, err := r.SealCode([]byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := r.OpenCode(id, sealed); err != nil || string(opened) != "hello" {
		t.Errorf("got %q %v", opened, err)
	}
	for n := range sealed {
		changed := bytes.Clone(sealed)
		changed[n] ^= 1
		if _, err := r.OpenCode(id, changed); err == nil {
			t.Fatalf("byte %d can be changed", n)
		}
	}
	mac, err := r.RefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.OpenCode(mac, sealed); !errors.Is(err, keys.ErrUnusable) {
		t.Errorf("a key of another purpose: %v", err)
	}
	if _, err := r.RefreshMAC(id, "m"); !errors.Is(err, keys.ErrUnusable) {
		t.Errorf("a seal key makes no macs: %v", err)
	}
	old, err := r.RefreshMAC(mac, "m")
	if err != nil || len(old) != 32 {
		t.Fatal(err)
	}
	if _, err := r.Rotate(ctx, "test", iam.RefreshKeys, "HS256", keys.AtOnce); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(time.Millisecond)
	if next, _ := r.RefreshKey(); next == mac {
		t.Error("the mac key did not rotate")
	}
	if still, err := r.RefreshMAC(mac, "m"); err != nil || !bytes.Equal(still, old) {
		t.Errorf("C13: the old mac key serves its grants until they rotate: %v", err)
	}
}

func TestSecretsPrintAsRedacted(t *testing.T) {
	kek, raw := keys.GenerateKEK()
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", kek, kek, kek, kek), fmt.Sprintf("%v %+v %#v", signer, signer, signer)} {
		if strings.Contains(text, fmt.Sprint(raw[0:4])) || !strings.Contains(text, "redacted") || strings.Contains(text, "0x") {
			t.Errorf("got %s", text)
		}
	}
	if _, err := keys.NewKEK(raw[:31]); err == nil {
		t.Error("a short key-encryption key was taken")
	}
}

// A key that was retired before its day never took over from anybody: what the
// key before it signed stays valid when the next one takes over.
func TestC24APlannedKeyThatWasRetiredSupersedesNothing(t *testing.T) {
	r := newRing(t, 24*time.Hour)
	first := r.signs()
	planned, err := r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.Planned)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Retire(ctx, "test", planned.ID); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(48 * time.Hour)
	if r.signs() != first {
		t.Fatal("another key signs")
	}
	if _, err := r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.AtOnce); err != nil {
		t.Fatal(err)
	}
	if r.signs() == first || !r.published(first) {
		t.Error("the key that signed until now must be published until its tokens have expired")
	}
}
