package directory_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

var ctx = context.Background()

const password = "lantern moat crow bell rope"

func open(t *testing.T) (*directory.Service, *store.DB) {
	t.Helper()
	db, err := store.Open(ctx, storetest.Config(t, t.TempDir(), nil))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	d, err := directory.New(directory.Config{APIs: db, Roles: db, Users: db, Clients: db, Logins: db, Passwords: login.NewPasswords()})
	must(t, err)
	_, err = d.CreateAPI(ctx, "root", iam.API{Name: "orders", Audience: "https://orders.example.com", Scopes: []iam.Scope{{Name: "read"}}})
	must(t, err)
	_, err = d.CreateRole(ctx, "root", iam.Role{Name: "viewer", Scopes: []iam.RoleScope{{API: "orders", Scope: "read"}}})
	must(t, err)
	return d, db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// epoch moves tell what an act ended.
func TestC14C16WhatEachActEnds(t *testing.T) {
	d, db := open(t)
	u, err := d.CreateUser(ctx, "root", iam.User{Username: "Ada", Email: "ada@example.com"}, password)
	must(t, err)
	edit := func(change func(*iam.User)) func() error {
		return func() error {
			_, err := d.EditUser(ctx, "root", u.ID, func(u *iam.User) error { change(u); return nil })
			return err
		}
	}
	for _, tc := range []struct {
		name string
		act  func() error
		ends bool
		kind string
	}{
		{"another name", edit(func(u *iam.User) { u.Name = "Ada L." }), false, "user.edited"},
		{"a role given", edit(func(u *iam.User) { u.Roles = []string{"viewer"} }), true, "user.edited"},
		{"the same roles", edit(func(u *iam.User) { u.Roles = []string{"viewer", "viewer"} }), false, "user.edited"},
		{"a role taken", edit(func(u *iam.User) { u.Roles = nil }), true, "user.edited"},
		{"an attribute", edit(func(u *iam.User) { u.Attributes = map[string]string{"tenant": "t1"} }), true, "user.edited"},
		{"a password", func() error { return d.SetPassword(ctx, "root", u.ID, password+" again") }, true, "user.password_changed"},
		{"disabled", func() error { return d.SetUser(ctx, "root", u.ID, directory.Disabled) }, true, "user.disabled"},
		{"an edit cannot enable", edit(func(u *iam.User) { u.Disabled = false; u.PasswordHash = "x"; u.ID = "usr_other" }), false, "user.edited"},
	} {
		before, err := db.User(ctx, u.ID)
		must(t, err)
		must(t, tc.act())
		after, err := db.User(ctx, u.ID)
		must(t, err)
		if ended := after.Epoch > before.Epoch; ended != tc.ends {
			t.Errorf("%s: access tokens ended %v, want %v", tc.name, ended, tc.ends)
		}
		events, err := db.Events(ctx, 0, 1000)
		must(t, err)
		if last := events[len(events)-1]; last.Kind != tc.kind || last.Actor != "root" || last.UserID != u.ID {
			t.Errorf("%s is in the journal as %+v", tc.name, last)
		}
	}
	if now, _ := db.User(ctx, u.ID); !now.Disabled || !strings.HasPrefix(now.PasswordHash, "$argon2id$") {
		t.Error("an edit changed what only other acts change")
	}
}

func TestSecretsAreKeptAsHashes(t *testing.T) {
	d, db := open(t)
	c, secret, err := d.CreateClient(ctx, "root", iam.Client{ID: "robot", Type: iam.Service, Roles: []string{"viewer"}})
	must(t, err)
	digest := sha256.Sum256([]byte(secret))
	if !strings.HasPrefix(secret, "ghs_") || len(secret) != 47 || !slices.Equal(c.SecretHash, digest[:]) {
		t.Errorf("secret of %d characters", len(secret))
	}
	second, err := d.NewSecret(ctx, "root", "robot")
	must(t, err)
	now, err := db.Client(ctx, "robot")
	must(t, err)
	if second == secret || slices.Equal(now.SecretHash, digest[:]) || now.Epoch != 2 {
		t.Error("a new secret replaces the old one and ends what it obtained")
	}
	u, err := d.CreateUser(ctx, "root", iam.User{Username: "ada"}, password)
	must(t, err)
	if strings.Contains(u.PasswordHash, "lantern") || u.PasswordHash == "" {
		t.Error("the password is stored")
	}
}

func TestRefusals(t *testing.T) {
	d, db := open(t)
	_, err := d.CreateRole(ctx, "root", iam.Role{Name: "member", Default: true})
	must(t, err)
	for name, act := range map[string]func() error{
		"an unknown role": func() error {
			_, err := d.CreateUser(ctx, "root", iam.User{Username: "eve", Roles: []string{"x"}}, password)
			return err
		},
		"a registered claim": func() error {
			_, err := d.CreateUser(ctx, "root", iam.User{Username: "eve", Attributes: map[string]string{"sub": "x"}}, password)
			return err
		},
		"a bad password": func() error { _, err := d.CreateUser(ctx, "root", iam.User{Username: "eve"}, "short"); return err },
		"the address as password": func() error {
			_, err := d.CreateUser(ctx, "root", iam.User{Username: "eve", Email: "evelynlovelace@example.com"}, "evelynlovelace1")
			return err
		},
		"a bad address": func() error {
			_, err := d.CreateUser(ctx, "root", iam.User{Username: "eve", Email: "a@b@c"}, password)
			return err
		},
		"a scope nobody defines": func() error {
			_, err := d.CreateRole(ctx, "root", iam.Role{Name: "eve", Scopes: []iam.RoleScope{{API: "orders", Scope: "x"}}})
			return err
		},
		"a scope of an API that is not": func() error {
			_, _, err := d.CreateClient(ctx, "root", iam.Client{ID: "eve", Type: iam.Public, Scopes: []string{"x"}})
			return err
		},
		"C1 a user's id as client id": func() error {
			_, _, err := d.CreateClient(ctx, "root", iam.Client{ID: "USR_eve", Type: iam.Public})
			return err
		},
		"C19 a reader of nothing": func() error {
			_, _, err := d.CreateClient(ctx, "root", iam.Client{ID: "eve", Type: iam.Service, ReaderOf: []string{"x"}})
			return err
		},
	} {
		var invalid *iam.Invalid
		if err := act(); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if users, _ := db.Users(ctx, "", 10); len(users) != 0 {
		t.Errorf("a refusal left %v", users)
	}
	u, err := d.CreateUser(ctx, "root", iam.User{Username: "frank"}, "")
	must(t, err)
	if !slices.Equal(u.Roles, []string{"member"}) {
		t.Errorf("roles %v, want the default one", u.Roles)
	}
	var exists *directory.Exists
	if _, err := d.CreateUser(ctx, "root", iam.User{Username: "FRANK"}, ""); !errors.As(err, &exists) {
		t.Errorf("got %v", err)
	}
	var missing *directory.NotFound
	if err := d.DeleteClient(ctx, "root", "x"); !errors.As(err, &missing) {
		t.Errorf("got %v", err)
	}
}

// An edit that meets another one is made again on what is there now.
func TestEditsDoNotLoseEachOther(t *testing.T) {
	d, db := open(t)
	u, err := d.CreateUser(ctx, "root", iam.User{Username: "ada"}, "")
	must(t, err)
	first := true
	_, err = d.EditUser(ctx, "root", u.ID, func(u *iam.User) error {
		if first {
			first = false
			if _, err := d.EditUser(ctx, "other", u.ID, func(u *iam.User) error { u.Email = "ada@example.com"; return nil }); err != nil {
				return err
			}
		}
		u.Name = "Ada"
		return nil
	})
	must(t, err)
	if now, _ := db.User(ctx, u.ID); now.Name != "Ada" || now.Email != "ada@example.com" {
		t.Errorf("an edit was lost: %+v", now)
	}
}

// A scope that an API stops to define is gone from the roles too: it does not
// come back when the API defines it again, and does not keep anybody from
// changing or disabling the role.
func TestAScopeThatIsNotDefinedAnyMoreLeavesItsRoles(t *testing.T) {
	d, db := open(t)
	define := func(names ...string) {
		t.Helper()
		_, err := d.EditAPI(ctx, "root", "orders", func(a *iam.API) error {
			a.Scopes = nil
			for _, n := range names {
				a.Scopes = append(a.Scopes, iam.Scope{Name: n})
			}
			return nil
		})
		must(t, err)
	}
	define("read", "write")
	_, err := d.CreateRole(ctx, "root", iam.Role{Name: "editor", Scopes: []iam.RoleScope{{API: "orders", Scope: "read"}, {API: "orders", Scope: "write"}}})
	must(t, err)
	define("read")
	define("read", "write")
	if r, err := db.Role(ctx, "editor"); err != nil || !r.Holds("orders", "read") || r.Holds("orders", "write") {
		t.Errorf("the role holds %v %v", r.Scopes, err)
	}
	define()
	if _, err := d.SetRole(ctx, "root", "editor", directory.Disabled); err != nil {
		t.Errorf("disable the role: %v", err)
	}
	if r, err := db.Role(ctx, "viewer"); err != nil || len(r.Scopes) != 0 {
		t.Errorf("the other role holds %v %v", r.Scopes, err)
	}
}
