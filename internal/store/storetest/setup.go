package storetest

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func setup(t *testing.T, b *bench) {
	admin := func(name string) iam.User {
		return iam.User{ID: iam.NewUserID(), Username: name, Roles: []string{iam.Administrator}}
	}
	b.want(b.ClaimSetup(ctx, "code", admin("eve"), event("x")), iam.ErrConflict)
	b.must(b.PutSetup(ctx, "code", time.Hour, event("setup.offered")))
	b.want(b.ClaimSetup(ctx, "other", admin("eve"), event("x")), iam.ErrConflict)
	b.must(b.PutSetup(ctx, "code 2", time.Hour, event("setup.offered")))
	b.want(b.ClaimSetup(ctx, "code", admin("eve"), event("x")), iam.ErrConflict)
	b.clock.Advance(time.Hour)
	b.want(b.ClaimSetup(ctx, "code 2", admin("eve"), event("x")), iam.ErrConflict)
	if waits, err := b.SetupWaits(ctx); err != nil || waits {
		t.Errorf("an expired code waits: %v %v", waits, err)
	}
	b.must(b.PutSetup(ctx, "code 3", time.Hour, event("setup.offered")))
	b.must(b.ClaimSetup(ctx, "code 3", admin("ada"), event("user.created")))
	b.want(b.ClaimSetup(ctx, "code 3", admin("eve"), event("x")), iam.ErrConflict)
	users, err := b.Users(ctx, "", 10)
	b.must(err)
	if len(users) != 1 || users[0].Username != "ada" || b.kinds()["user.created"] != 1 || b.kinds()["x"] != 0 {
		t.Errorf("users %+v, events %v", users, b.kinds())
	}
	// A name that is taken spends nothing.
	b.must(b.PutSetup(ctx, "code 4", time.Hour))
	b.want(b.ClaimSetup(ctx, "code 4", admin("ada"), event("x")), iam.ErrExists)
	b.must(b.ClaimSetup(ctx, "code 4", admin("bob"), event("x")))
}
