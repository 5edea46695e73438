package keys_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	if r.db, err = store.Open(ctx, storetest.Config(r.t, r.dir, r.clock.Now)); err != nil {
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
		db, err := store.Open(ctx, storetest.Config(r.t, r.dir, r.clock.Now))
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
	raw := storetest.Raw(t, r.dir)
	open := func() error {
		t.Helper()
		db, err := store.Open(ctx, storetest.Config(r.t, r.dir, r.clock.Now))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		_, err = keys.Open(ctx, keys.Config{Records: db, KEKs: []keys.KEK{r.kek}, Now: r.clock.Now})
		return err
	}
	for _, step := range []struct{ name, change, back string }{
		{"for another purpose", `UPDATE keys SET purpose = 'refresh-mac' WHERE purpose = 'code-seal' AND activate_at IS NOT NULL`, `UPDATE keys SET purpose = 'code-seal' WHERE purpose = 'refresh-mac' AND algorithm = 'A256GCM'`},
		{"in another row", `UPDATE keys SET sealed = (SELECT sealed FROM keys k2 WHERE k2.purpose = 'code-seal' LIMIT 1) WHERE purpose = 'refresh-mac'`, ""},
	} {
		if err := open(); err != nil {
			t.Fatal(err)
		}
		if result, err := raw.Exec(step.change); err != nil {
			t.Fatal(err)
		} else if n, _ := result.RowsAffected(); n == 0 {
			t.Fatal("nothing was changed")
		}
		if err := open(); !errors.Is(err, keys.ErrSealed) {
			t.Errorf("%s it opens: %v", step.name, err)
		}
		if step.back == "" {
			continue
		}
		if _, err := raw.Exec(step.back); err != nil {
			t.Fatal(err)
		}
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

func (r *ring) pending() string {
	r.t.Helper()
	stored, err := r.db.Keys(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	k, ok := iam.LineOf(stored, iam.TokenKeys, "ES256").Pending()
	if !ok {
		r.t.Fatal("no key is pending")
	}
	return string(k.ID)
}

// Each step takes exactly the key that it says, and the journal has it.
func TestC24WhichKeyTakesOver(t *testing.T) {
	r := newRing(t, 24*time.Hour)
	first, known := r.signs(), r.pending()
	r.clock.Advance(time.Minute)
	next, err := r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.AtOnce)
	if err != nil || string(next.ID) != known || r.signs() != known {
		t.Fatalf("--now: %s signs, want the key that was published before, %s: %v", r.signs(), known, err)
	}
	r.clock.Advance(time.Minute)
	known = r.pending()
	// A key that only verifies any more goes alone.
	if _, err := r.Retire(ctx, "test", iam.KeyID(first)); err != nil || r.signs() != string(next.ID) || r.pending() != known || r.published(first) {
		t.Errorf("retiring the old key touched the others: %v", err)
	}
	// A pending key that was published for long enough takes over now, not in the past.
	r.clock.Advance(48 * time.Hour)
	planned, err := r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.Planned)
	if err != nil || string(planned.ID) != known || !planned.ActivateAt.Equal(r.clock.Now()) || !r.published(string(next.ID)) {
		t.Errorf("active from %s, want now: %v", planned.ActivateAt, err)
	}
	r.clock.Advance(time.Minute)
	known = r.pending()
	last, err := r.Retire(ctx, "test", planned.ID)
	if err != nil || string(last.ID) != known || r.signs() != known {
		t.Errorf("after the active key retired %s signs, want the pending one, %s: %v", r.signs(), known, err)
	}
	// A pending key that retires leaves the active one alone.
	if _, err := r.Retire(ctx, "test", iam.KeyID(r.pending())); err != nil || r.signs() != known {
		t.Errorf("retiring the pending key made another one sign: %v", err)
	}
	var unknown *iam.Invalid
	if _, err := r.Retire(ctx, "test", planned.ID); !errors.As(err, &unknown) {
		t.Errorf("retired twice: %v", err)
	}
	events, err := r.db.Events(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range events {
		if count[e.Kind]++; e.Subject == "" || e.Detail["purpose"] == "" {
			t.Errorf("an event does not say which key: %+v", e)
		}
	}
	if fmt.Sprint(count) != "map[key.added:14 key.retired:3 key.rotated:3]" {
		t.Errorf("the journal has %v", count)
	}
}

// A symmetric key that was retired, or whose time is over, makes and opens
// nothing: no mac is ever made with an empty key.
func TestC23RetiredSymmetricKeysAreUnusable(t *testing.T) {
	r := newRing(t, 0)
	mac, err := r.RefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	seal, sealed, err := r.SealCode([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rotate(ctx, "test", iam.CodeKeys, "A256GCM", keys.AtOnce); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(iam.CodeLife + iam.RevocationLeeway - time.Second)
	if _, err := r.OpenCode(seal, sealed); err != nil {
		t.Errorf("a rotated key opens its last codes: %v", err)
	}
	r.clock.Advance(2 * time.Second)
	if _, err := r.OpenCode(seal, sealed); !errors.Is(err, keys.ErrUnusable) {
		t.Errorf("after its last code has expired: %v", err)
	}
	if _, err := r.Retire(ctx, "test", mac); err != nil {
		t.Fatal(err)
	}
	for _, id := range []iam.KeyID{mac, "", "key_unknown"} {
		if m, err := r.RefreshMAC(id, "m"); !errors.Is(err, keys.ErrUnusable) || m != nil {
			t.Errorf("key %q: %x %v", id, m, err)
		}
	}
	if again := r.open(0, r.kek); again != nil {
		if _, err := again.RefreshMAC(mac, "m"); !errors.Is(err, keys.ErrUnusable) {
			t.Errorf("after a restart: %v", err)
		}
	}
}

func TestPurposes(t *testing.T) {
	for _, p := range []iam.Purpose{iam.TokenKeys, iam.CodeKeys, iam.RefreshKeys} {
		if got, err := keys.ParsePurpose(string(p)); err != nil || got != p || keys.AlgorithmFor(p) == "" {
			t.Errorf("%s: %s %v", p, got, err)
		}
	}
	var invalid *iam.Invalid
	if _, err := keys.ParsePurpose("tokens"); !errors.As(err, &invalid) {
		t.Errorf("got %v", err)
	}
}

// slow is a store that takes its time to add keys.
type slow struct {
	*store.DB
	began, release chan struct{}
}

func (s *slow) AddKeys(ctx context.Context, added []iam.Key, events ...iam.Event) error {
	if added[0].Algorithm == "EdDSA" {
		close(s.began)
		<-s.release
	}
	return s.DB.AddKeys(ctx, added, events...)
}

// Nobody who signs waits for a line that is being made for somebody else.
func TestSigningDoesNotWaitForAnotherLine(t *testing.T) {
	r := newRing(t, 0)
	db := &slow{DB: r.db, began: make(chan struct{}), release: make(chan struct{})}
	s, err := keys.Open(ctx, keys.Config{Records: db, KEKs: []keys.KEK{r.kek}, Now: r.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	made := make(chan error, 1)
	go func() { _, err := s.Signer(ctx, "EdDSA"); made <- err }()
	<-db.began
	signed := make(chan error, 1)
	go func() { _, err := s.Signer(ctx, "ES256"); signed <- err }()
	select {
	case err := <-signed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("signing with a key that is there waits for one that is being made")
	}
	close(db.release)
	if err := <-made; err != nil {
		t.Error(err)
	}
}

// exec changes rows behind the back of a closed store and opens it again.
func (r *ring) exec(statement string, args ...any) {
	r.t.Helper()
	if err := r.db.Close(); err != nil {
		r.t.Fatal(err)
	}
	raw := storetest.Raw(r.t, r.dir)
	if _, err := raw.Exec(statement, args...); err != nil {
		r.t.Fatal(err)
	}
	err := raw.Close()
	if err != nil {
		r.t.Fatal(err)
	}
	if r.db, err = store.Open(ctx, storetest.Config(r.t, r.dir, r.clock.Now)); err != nil {
		r.t.Fatal(err)
	}
}

func TestC23DamagedBlobs(t *testing.T) {
	r := newRing(t, 0)
	id, whole := r.signs(), ""
	stored, err := r.db.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range stored {
		if string(k.ID) == id {
			whole = k.Sealed
		}
	}
	parts := strings.Split(whole, ".")
	for _, damaged := range []string{"", "v1", "v1." + r.kek.ID(), "v2" + whole[2:], whole + ".x", whole + "A", parts[0] + "." + parts[1] + ".!." + parts[3], parts[0] + "." + parts[1] + "." + parts[2] + ".!",
		parts[0] + "." + parts[1] + "." + parts[2] + ".", parts[0] + "." + parts[1] + ".AAAA." + parts[3], parts[0] + "." + parts[1] + ".." + parts[2] + parts[3]} {
		r.exec(`UPDATE keys SET sealed = $1 WHERE id = $2`, damaged, id)
		if _, err := keys.Open(ctx, keys.Config{Records: r.db, KEKs: []keys.KEK{r.kek}, Now: r.clock.Now}); !errors.Is(err, keys.ErrSealed) {
			t.Errorf("%.40s: %v", damaged, err)
		}
	}
	r.exec(`UPDATE keys SET sealed = $1 WHERE id = $2`, whole, id)
	r.open(0, r.kek)
}

// A key that was removed is not opened again: what it was sealed with may be gone.
func TestC23RemovedKeysStayClosed(t *testing.T) {
	r := newRing(t, 0)
	first := r.signs()
	if _, err := r.Retire(ctx, "test", iam.KeyID(first)); err != nil {
		t.Fatal(err)
	}
	r.exec(`UPDATE keys SET sealed = 'v1.gone.AAAA.AAAA' WHERE id = $1`, first)
	r.Service = r.open(0, r.kek)
	if r.published(first) || r.signs() == first {
		t.Error("a removed key is back after a restart")
	}
}

func TestKEKSize(t *testing.T) {
	for _, n := range []int{0, 16, 24, 31, 33, 64} {
		if _, err := keys.NewKEK(make([]byte, n)); err == nil {
			t.Errorf("a key-encryption key of %d bytes was taken", n)
		}
	}
	if _, err := keys.Open(ctx, keys.Config{Records: &store.DB{}}); err == nil {
		t.Error("keys without a key-encryption key")
	}
}
