package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func logins(t *testing.T, b *bench) {
	u, _ := b.furnish()
	known := func(name, network string) bool {
		ok, err := b.KnownNetwork(ctx, name, network)
		b.must(err)
		return ok
	}
	b.must(b.RecordLogin(ctx, u, "192.0.2.1/32", event(iam.EventLoginSucceeded)))
	b.must(b.RecordLogin(ctx, u, "192.0.2.1/32", event(iam.EventLoginSucceeded)))
	b.must(b.RecordLogin(ctx, u, "", event(iam.EventLoginSucceeded)))
	if !known("ada", "192.0.2.1/32") || known("ada", "192.0.2.2/32") || known("eve", "192.0.2.1/32") || known("ada", "") {
		t.Error("a network is known that is not, or the other way round")
	}
	if b.kinds()[iam.EventLoginSucceeded] != 3 {
		t.Error("each login is in the journal")
	}
	taken := event("taken")
	b.must(b.Record(ctx, taken))
	if b.RecordLogin(ctx, u, "192.0.2.3/32", taken) == nil || known("ada", "192.0.2.3/32") {
		t.Error("a login was recorded without its event")
	}
	// A role that was given moves the epoch and leaves the password alone; a hash
	// that was made anew does the opposite. Neither makes the login another one.
	given := u
	given.Roles = nil
	b.must(b.UpdateUser(ctx, given, iam.EndAccess))
	b.must(b.RecordLogin(ctx, u, "192.0.2.4/32"))
	moved, err := b.User(ctx, u.ID)
	b.must(err)
	b.must(b.RenewHash(ctx, moved, "$y", event(iam.EventPasswordRenewed)))
	b.must(b.RecordLogin(ctx, moved, "192.0.2.5/32"))
	b.want(b.RenewHash(ctx, moved, "$z", event(iam.EventPasswordRenewed)), iam.ErrConflict)
	b.want(b.RecordLogin(ctx, u, "192.0.2.6/32"), iam.ErrConflict)
	renewed, err := b.User(ctx, u.ID)
	b.must(err)
	if renewed.PasswordHash != "$y" || renewed.Epoch != moved.Epoch || b.kinds()[iam.EventPasswordRenewed] != 1 {
		t.Errorf("renewed: %+v", renewed)
	}
	b.want(b.UpdateUser(ctx, moved, iam.EndNothing), iam.ErrConflict) // it would put the old hash back
	renewed.Disabled = true
	b.must(b.UpdateUser(ctx, renewed, iam.EndNothing))
	b.want(b.RecordLogin(ctx, renewed, "192.0.2.7/32"), iam.ErrConflict)
	b.must(b.DeleteUser(ctx, u.ID))
	b.want(b.RecordLogin(ctx, renewed, "192.0.2.8/32"), iam.ErrConflict)
	b.must(b.CreateUser(ctx, iam.User{ID: iam.NewUserID(), Username: "ada"}))
	if known("ada", "192.0.2.1/32") {
		t.Error("a new user of that name inherits a network")
	}
	b.clock.Advance(iam.KnownNetworkLife * 2)
	if _, err := b.Clean(ctx, 2); err != nil {
		t.Error(err)
	}
}

func changePassword(t *testing.T, b *bench) {
	u, c := b.furnish()
	g := b.grant(u, c, true)
	b.must(b.RecordLogin(ctx, u, "192.0.2.1/32"))
	wrong := u
	wrong.PasswordHash = "$other"
	b.want(b.ChangePassword(ctx, wrong, "$n", "192.0.2.9/32", event(iam.EventPasswordChanged)), iam.ErrConflict)
	var won atomic.Int64
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			if b.ChangePassword(ctx, u, fmt.Sprint("$n", n), "192.0.2.9/32", event(iam.EventPasswordChanged)) == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	now, err := b.User(ctx, u.ID)
	b.must(err)
	ended, err := b.Grant(ctx, g.ID)
	b.must(err)
	session, err := b.Session(ctx, g.SessionID)
	b.must(err)
	if won.Load() != 1 || now.Epoch != u.Epoch+1 || ended.RevokedAt.IsZero() || session.EndedAt.IsZero() || b.kinds()[iam.EventPasswordChanged] != 1 {
		t.Errorf("%d changes, epoch %d, grant %v, session %v, %d rows", won.Load(), now.Epoch, ended.RevokedAt, session.EndedAt, b.kinds()[iam.EventPasswordChanged])
	}
	for network, want := range map[string]bool{"192.0.2.1/32": false, "192.0.2.9/32": true} {
		if known, err := b.KnownNetwork(context.Background(), "ada", network); err != nil || known != want {
			t.Errorf("%s known: %v %v, want %v", network, known, err, want)
		}
	}
	now.Disabled = true
	b.must(b.UpdateUser(ctx, now, iam.EndNothing))
	b.want(b.ChangePassword(ctx, now, "$m", "", event(iam.EventPasswordChanged)), iam.ErrConflict)
}

func createUsers(t *testing.T, b *bench) {
	b.furnish()
	many := []iam.User{{ID: iam.NewUserID(), Username: "bea", Roles: []string{"viewer"}}, {ID: iam.NewUserID(), Username: "cyd"}}
	b.must(b.CreateUsers(ctx, many, event(iam.EventUserImported), event(iam.EventUserImported)))
	bea, err := b.UserByName(ctx, "bea")
	b.must(err)
	if len(bea.Roles) != 1 || bea.Epoch != 1 || b.kinds()[iam.EventUserImported] != 2 {
		t.Errorf("%+v, %d rows", bea, b.kinds()[iam.EventUserImported])
	}
	half := []iam.User{{ID: iam.NewUserID(), Username: "dan"}, {ID: iam.NewUserID(), Username: "ada"}}
	b.want(b.CreateUsers(ctx, half, event(iam.EventUserImported)), iam.ErrExists)
	if _, err := b.UserByName(ctx, "dan"); err == nil || b.kinds()[iam.EventUserImported] != 2 {
		t.Error("half of a batch is there")
	}
}
