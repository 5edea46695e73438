package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

func clientKeys(t *testing.T, b *bench) {
	signer, err := jose.GenerateSigner(jose.ES256)
	b.must(err)
	c := iam.Client{ID: "by-key", Type: iam.Confidential, Auth: iam.AuthKey, Keys: jose.NewKeySet(signer.Key()), Origins: []string{"https://b.example", "https://a.example"}}
	b.must(b.CreateClient(ctx, c))
	b.restart()
	got, err := b.Client(ctx, "by-key")
	b.must(err)
	key, found := got.Keys.Key(signer.Key().ID())
	if got.AuthMethod() != iam.AuthKey || !found || !key.Equal(signer.Key()) || fmt.Sprint(got.Origins) != "[https://a.example https://b.example]" {
		t.Errorf("got %+v", got)
	}
	got.Keys, got.KeysURI, got.Origins = jose.KeySet{}, "https://c.example/jwks", []string{"https://c.example"}
	b.must(b.UpdateClient(ctx, got, iam.EndNothing))
	got, err = b.Client(ctx, "by-key")
	b.must(err)
	if got.Keys.Len() != 0 || got.KeysURI != "https://c.example/jwks" || fmt.Sprint(got.Origins) != "[https://c.example]" {
		t.Errorf("after the update: %+v", got)
	}
	// A client that does not say how follows its type, also one of before.
	_, app := b.furnish()
	robot, err := b.Client(ctx, "robot")
	b.must(err)
	if app.AuthMethod() != iam.AuthNone || robot.AuthMethod() != iam.AuthSecret {
		t.Errorf("app %s, robot %s", app.AuthMethod(), robot.AuthMethod())
	}
}

func origins(t *testing.T, b *bench) {
	_, c := b.furnish()
	known := func(origin string) bool {
		t.Helper()
		is, err := b.OriginKnown(ctx, origin)
		b.must(err)
		return is
	}
	c.Origins = []string{"https://app.example"}
	b.must(b.UpdateClient(ctx, c, iam.EndNothing))
	for _, other := range []string{"", "null", "https://APP.example", "https://app.example:443", "http://app.example", "https://app.example.evil", "%"} {
		if known(other) {
			t.Errorf("%q is known", other)
		}
	}
	if !known("https://app.example") {
		t.Error("a registered origin is not known")
	}
	c, err := b.Client(ctx, c.ID)
	b.must(err)
	c.Disabled = true
	b.must(b.UpdateClient(ctx, c, iam.EndEverything))
	if known("https://app.example") {
		t.Error("the origin of a disabled client is known")
	}
	b.must(b.DeleteClient(ctx, c.ID))
	b.must(b.CreateClient(ctx, iam.Client{ID: c.ID, Type: iam.Public}))
	if again, err := b.Client(ctx, c.ID); err != nil || len(again.Origins) != 0 {
		t.Errorf("a deleted client leaves origins behind: %v %v", again.Origins, err)
	}
}

func spendAssertion(t *testing.T, b *bench) {
	soon := b.clock.Now().Add(time.Minute)
	spend := func(client iam.ClientID, jti string, expires time.Time) bool {
		t.Helper()
		ok, err := b.SpendAssertion(ctx, client, jti, expires)
		b.must(err)
		return ok
	}
	if !spend("a", "1", soon) || spend("a", "1", soon) || spend("a", "1", soon.Add(time.Minute)) {
		t.Error("an assertion is spent exactly once, whatever its expiry says")
	}
	if !spend("b", "1", soon) || !spend("a", "2", soon) || !spend("a1", "", soon) {
		t.Error("ids of another client or another id are not the same")
	}
	if spend("a", "3", b.clock.Now()) {
		t.Error("an expired assertion was spent")
	}
	b.restart()
	if spend("a", "1", soon) {
		t.Error("a restart forgot what was spent")
	}
	b.clock.Advance(time.Minute - time.Microsecond)
	b.must(second(b.Clean(ctx, 100)))
	if spend("a", "1", soon) {
		t.Error("cleaning forgot an assertion that has not expired")
	}
	b.clock.Advance(iam.RevocationLeeway + time.Second)
	if n, err := b.Clean(ctx, 100); err != nil || n < 4 {
		t.Errorf("%d rows cleaned, %v", n, err)
	}
}

// Of 50 uses at once exactly one succeeds.
func spendParallel(t *testing.T, b *bench) {
	var won atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			ok, err := b.SpendAssertion(ctx, "a", "1", b.clock.Now().Add(time.Minute))
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 50 uses succeeded, want 1", won.Load())
	}
}

func rotateSecret(t *testing.T, b *bench) {
	b.furnish()
	b.must(b.CreateClient(ctx, iam.Client{ID: "by-key", Type: iam.Service, Auth: iam.AuthKey, KeysURI: "https://c.example"}))
	old, next := []byte{1, 2, 3}, []byte{4, 5, 6}
	lives := func(hash []byte) bool {
		t.Helper()
		is, err := b.OldSecretLives(ctx, "robot", hash)
		b.must(err)
		return is
	}
	if lives(old) || lives(nil) {
		t.Error("an old secret before any rotation")
	}
	b.must(b.RotateSecret(ctx, "robot", next, time.Hour, event("rotated")))
	c, err := b.Client(ctx, "robot")
	b.must(err)
	if fmt.Sprint(c.SecretHash, c.OldSecretHash) != "[4 5 6] [1 2 3]" || !c.OldSecretEnds.Equal(b.clock.Now().Add(time.Hour)) {
		t.Errorf("got %+v", c)
	}
	b.want(b.RotateSecret(ctx, "robot", []byte{7}, time.Hour, event("third")), iam.ErrConflict)
	b.want(b.RotateSecret(ctx, "app", []byte{7}, time.Hour, event("public")), iam.ErrConflict)
	b.want(b.RotateSecret(ctx, "by-key", []byte{7}, time.Hour, event("by key")), iam.ErrConflict)
	b.want(b.RotateSecret(ctx, "nobody", []byte{7}, time.Hour, event("nobody")), iam.ErrConflict)
	kinds := b.kinds()
	if kinds["rotated"] != 1 || kinds["third"]+kinds["public"]+kinds["by key"]+kinds["nobody"] != 0 {
		t.Errorf("events %v", kinds)
	}
	if !lives(old) || lives(next) || lives([]byte{7}) {
		t.Error("exactly the secret before lives beside the new one")
	}
	b.clock.Advance(time.Hour - time.Microsecond)
	b.restart()
	if !lives(old) {
		t.Error("the old secret ended too early")
	}
	b.clock.Advance(time.Microsecond)
	if lives(old) {
		t.Error("the old secret did not end")
	}
	b.must(b.RotateSecret(ctx, "robot", []byte{7}, time.Hour))
	if lives(old) || !lives(next) {
		t.Error("after the second rotation only the second secret is old")
	}
}
