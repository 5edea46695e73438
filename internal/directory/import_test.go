package directory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const bcryptHash = "$2b$05$7nta9U4Uo2hD9kAWeeo3du5zWRd3syTGpUuU1bOTZmaB/oMVX1Esi"

func TestImport(t *testing.T) {
	d, db := open(t)
	_, err := d.CreateRole(ctx, "root", iam.Role{Name: "member", Default: true})
	must(t, err)
	_, err = d.CreateUser(ctx, "root", iam.User{Username: "ada"}, password)
	must(t, err)
	i, err := d.NewImport(ctx, "root", directory.RefuseExisting)
	must(t, err)
	for n := range 1201 {
		must(t, i.Add(ctx, n+1, iam.User{Username: fmt.Sprint("User", n), Roles: []string{"viewer"}, Disabled: n == 7}, bcryptHash))
	}
	for _, tc := range []struct {
		name, hash, want string
		user             iam.User
	}{
		{"twice", "", "line 1 already", iam.User{Username: "USER0"}},
		{"there already", "", "--skip-existing", iam.User{Username: "Ada"}},
		{"no name", "", "cannot be used", iam.User{Username: "two words"}},
		{"no role", "", "There is no role", iam.User{Username: "x1", Roles: []string{"root"}}},
		{"no hash of ours", "$1$x", "its form", iam.User{Username: "x2"}},
		{"no address", "", "e-mail", iam.User{Username: "x3", Email: "x"}},
		{"no attribute", "", "claim", iam.User{Username: "x4", Attributes: map[string]string{"sub": "x"}}},
	} {
		var invalid *iam.Invalid
		if err := i.Add(ctx, 9, tc.user, tc.hash); !errors.As(err, &invalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
	if users, skipped := i.Ready(); users != 1201 || skipped != 0 {
		t.Errorf("%d users ready, %d skipped", users, skipped)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if done, err := i.Run(gone); done != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %d %v", done, err)
	}
	done, err := i.Run(ctx)
	must(t, err)
	u, err := db.UserByName(ctx, "user7")
	must(t, err)
	if done != 1201 || fmt.Sprint(u.Roles) != "[member viewer]" || !u.Disabled || u.PasswordHash != bcryptHash || u.ID == "" || u.Epoch != 1 {
		t.Errorf("%d made, %+v", done, u)
	}
	events, err := db.Events(ctx, 0, 10_000)
	must(t, err)
	rows := 0
	for _, e := range events {
		if strings.Contains(fmt.Sprint(e), "$2b$") {
			t.Fatal("the journal holds a hash")
		}
		if e.Kind == iam.EventUserImported && e.Actor == "root" && e.UserID != "" && e.Detail["password_hash"] == "bcrypt" {
			rows++
		}
	}
	if rows != 1201 {
		t.Errorf("%d rows in the journal", rows)
	}
	again, err := d.NewImport(ctx, "root", directory.SkipExisting)
	must(t, err)
	must(t, again.Add(ctx, 1, iam.User{Username: "user7"}, ""))
	must(t, again.Add(ctx, 2, iam.User{Username: "user9000"}, ""))
	if done, err := again.Run(ctx); done != 1 || err != nil {
		t.Errorf("again: %d %v", done, err)
	}
	if now, _ := db.UserByName(ctx, "user7"); now.PasswordHash != bcryptHash || now.Version != u.Version {
		t.Error("a user who was there was changed")
	}
	// Somebody takes a name between the look and the deed.
	race, err := d.NewImport(ctx, "root", directory.RefuseExisting)
	must(t, err)
	must(t, race.Add(ctx, 1, iam.User{Username: "late"}, ""))
	_, err = d.CreateUser(ctx, "root", iam.User{Username: "late"}, "")
	must(t, err)
	if done, err := race.Run(ctx); done != 0 || !errors.Is(err, iam.ErrExists) {
		t.Errorf("a name that was taken meanwhile: %d %v", done, err)
	}
}
