package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// Names of the demo.
const (
	actor     = "dev"
	apiName   = "orders"
	appID     = "demo-app"
	serviceID = "demo-service"
)

// seeded is what a start made known, secrets included.
type seeded struct {
	people        []*person
	serviceSecret string
}

// seed makes the demo's API, roles, users and clients, or in a kept folder
// sets new secrets for those of an earlier start (C28). What the user changed
// or deleted in a kept folder stays as it is.
func seed(ctx context.Context, d *directory.Service, db *store.DB, audience string, restart bool) (seeded, error) {
	if !restart {
		if err := create(ctx, d, audience); err != nil {
			return seeded{}, fmt.Errorf("seed the demo: %w", err)
		}
	}
	result := seeded{}
	for _, p := range []*person{{username: "ada", roles: []string{"editor"}}, {username: "bob", roles: []string{"viewer"}}} {
		if err := seedUser(ctx, d, db, p); err != nil {
			return seeded{}, fmt.Errorf("seed user %s: %w", p.username, err)
		}
		result.people = append(result.people, p)
	}
	secret, err := seedService(ctx, d, db)
	if err != nil {
		return seeded{}, fmt.Errorf("seed %s: %w", serviceID, err)
	}
	result.serviceSecret = secret
	return result, seedApp(ctx, d, db)
}

func create(ctx context.Context, d *directory.Service, audience string) error {
	// What an interrupted start left behind is not made twice.
	_, err := d.CreateAPI(ctx, actor, iam.API{Name: apiName, Audience: audience,
		Scopes: []iam.Scope{{Name: "orders:read", Description: "Read orders"}, {Name: "orders:write", Description: "Place orders"}}})
	if err != nil && !errors.Is(err, iam.ErrExists) {
		return err
	}
	for _, role := range []iam.Role{
		{Name: "viewer", Scopes: []iam.RoleScope{{API: apiName, Scope: "orders:read"}}},
		{Name: "editor", Scopes: []iam.RoleScope{{API: apiName, Scope: "orders:read"}, {API: apiName, Scope: "orders:write"}}},
	} {
		if _, err := d.CreateRole(ctx, actor, role); err != nil && !errors.Is(err, iam.ErrExists) {
			return err
		}
	}
	return nil
}

func seedUser(ctx context.Context, d *directory.Service, db *store.DB, p *person) error {
	p.password = login.GeneratePassphrase()
	user, err := db.UserByName(ctx, p.username)
	if errors.Is(err, iam.ErrNotFound) {
		_, err = d.CreateUser(ctx, actor, iam.User{Username: p.username, Roles: p.roles}, p.password)
		return err
	}
	if err != nil {
		return err
	}
	p.roles = user.Roles
	return d.SetPassword(ctx, actor, user.ID, p.password)
}

func seedService(ctx context.Context, d *directory.Service, db *store.DB) (string, error) {
	c, err := db.Client(ctx, serviceID)
	if errors.Is(err, iam.ErrNotFound) {
		_, secret, err := d.CreateClient(ctx, actor, iam.Client{ID: serviceID, Name: "Demo service", Type: iam.Service, Roles: []string{"viewer"}})
		return secret, err
	}
	if err != nil {
		return "", err
	}
	if c.AuthMethod() == iam.AuthKey {
		return "", errors.New("it proves itself with keys now, but dev gives it a new secret with each start. Delete it with: gatehouse service-account delete " + serviceID)
	}
	return d.NewSecret(ctx, actor, serviceID)
}

func seedApp(ctx context.Context, d *directory.Service, db *store.DB) error {
	_, err := db.Client(ctx, appID)
	if errors.Is(err, iam.ErrNotFound) {
		_, _, err = d.CreateClient(ctx, actor, iam.Client{ID: appID, Name: "Demo app", Type: iam.Public, FirstParty: true, Challenge: true,
			Scopes: append([]string{"offline_access", "roles"}, appScopes...), DefaultScopes: appScopes})
	}
	return err
}
