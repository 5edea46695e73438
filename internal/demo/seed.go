package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	shopID    = "demo-shop"
	parcelsID = "demo-parcels"
)

// seeded is what a start made known, secrets included.
type seeded struct {
	people        []*person
	serviceSecret string
	apps          []WebApp
	deskSecret    string
}

// apps are the two web apps, without their secrets.
func (r *run) apps() []WebApp {
	shop := WebApp{ID: shopID, Name: "Shop", Line: "Lanterns, drawbridges and more", Look: "shop", URL: r.shop, Orders: true,
		Scopes: []string{"openid", "profile", "email", "orders:read", "orders:write"}}
	parcels := WebApp{ID: parcelsID, Name: "Parcels", Line: "Where is my drawbridge?", Look: "parcels", URL: r.parcels,
		Scopes: []string{"openid", "profile", "email", "orders:read"}}
	shop.Other, parcels.Other = OtherApp{parcels.Name, parcels.URL}, OtherApp{shop.Name, shop.URL}
	list := []WebApp{shop, parcels}
	for i := range list {
		list[i].Issuer, list[i].API, list[i].Logger = r.issuer, r.audience, r.logger
	}
	return list
}

// seeder fills the data folder.
type seeder struct {
	directory *directory.Service
	db        *store.DB
}

// seed makes the demo's API, roles, users and clients, or in a kept folder
// sets new secrets for those of an earlier start (C28). What the user changed
// or deleted in a kept folder stays as it is.
func (s seeder) seed(ctx context.Context, audience string, apps []WebApp, desk string, restart bool) (seeded, error) {
	if !restart {
		if err := s.create(ctx, audience); err != nil {
			return seeded{}, fmt.Errorf("seed the demo: %w", err)
		}
	}
	result := seeded{apps: apps}
	for _, p := range []*person{
		{username: "ada", roles: []string{"editor"}, name: "Ada Lovelace", email: "ada@example.com"},
		{username: "bob", roles: []string{"viewer"}, name: "Bob Mason", email: "bob@example.com"},
	} {
		if err := s.user(ctx, p); err != nil {
			return seeded{}, fmt.Errorf("seed user %s: %w", p.username, err)
		}
		result.people = append(result.people, p)
	}
	secret, err := s.secret(ctx, iam.Client{ID: serviceID, Name: "Demo service", Type: iam.Service, Roles: []string{"viewer"}}, "service-account")
	if err != nil {
		return seeded{}, fmt.Errorf("seed %s: %w", serviceID, err)
	}
	result.serviceSecret = secret
	for i := range apps {
		if apps[i].Secret, err = s.secret(ctx, clientOf(apps[i]), "client"); err != nil {
			return seeded{}, fmt.Errorf("seed %s: %w", apps[i].ID, err)
		}
	}
	if result.deskSecret, err = s.secret(ctx, deskClient(desk), "client"); err != nil {
		return seeded{}, fmt.Errorf("seed %s: %w", deskID, err)
	}
	return result, s.app(ctx)
}

// clientOf is how a web app is registered. The shop is the operator's own;
// parcels is somebody else's, so users are asked before it gets anything.
func clientOf(a WebApp) iam.Client {
	return iam.Client{ID: iam.ClientID(a.ID), Name: a.Name, Type: iam.Confidential, FirstParty: a.ID == shopID, Scopes: a.Scopes, DefaultScopes: a.Scopes,
		RedirectURIs: []string{a.URL + callbackPath}, PostLogoutRedirectURIs: []string{a.URL + signedOutPath}, BackchannelLogoutURI: a.URL + backchannelPath}
}

// deskClient is the gateway that signs browsers in.
func deskClient(url string) iam.Client {
	const own = "/.gatehouse"
	return iam.Client{ID: deskID, Name: "Desk", Type: iam.Confidential, FirstParty: true, Scopes: deskScopes, DefaultScopes: deskScopes,
		RedirectURIs: []string{url + own + callbackPath}, PostLogoutRedirectURIs: []string{url + own + signedOutPath}, BackchannelLogoutURI: url + own + backchannelPath}
}

func (s seeder) create(ctx context.Context, audience string) error {
	// What an interrupted start left behind is not made twice.
	_, err := s.directory.CreateAPI(ctx, actor, iam.API{Name: apiName, Audience: audience,
		Scopes: []iam.Scope{{Name: "orders:read", Description: "Read orders"}, {Name: "orders:write", Description: "Place orders"}}})
	if err != nil && !errors.Is(err, iam.ErrExists) {
		return err
	}
	for _, role := range []iam.Role{
		{Name: "viewer", Scopes: []iam.RoleScope{{API: apiName, Scope: "orders:read"}}},
		{Name: "editor", Scopes: []iam.RoleScope{{API: apiName, Scope: "orders:read"}, {API: apiName, Scope: "orders:write"}}},
	} {
		if _, err := s.directory.CreateRole(ctx, actor, role); err != nil && !errors.Is(err, iam.ErrExists) {
			return err
		}
	}
	return nil
}

func (s seeder) user(ctx context.Context, p *person) error {
	p.password = login.GeneratePassphrase()
	user, err := s.db.UserByName(ctx, p.username)
	if errors.Is(err, iam.ErrNotFound) {
		_, err = s.directory.CreateUser(ctx, actor, iam.User{Username: p.username, Name: p.name, Email: p.email, EmailVerified: true, Roles: p.roles}, p.password)
		return err
	}
	if err != nil {
		return err
	}
	p.roles = user.Roles
	return s.directory.SetPassword(ctx, actor, user.ID, p.password)
}

// secret makes the client c if it is not there, and gives it a new secret.
func (s seeder) secret(ctx context.Context, c iam.Client, noun string) (string, error) {
	had, err := s.db.Client(ctx, c.ID)
	if errors.Is(err, iam.ErrNotFound) {
		_, secret, err := s.directory.CreateClient(ctx, actor, c)
		return secret, err
	}
	if err != nil {
		return "", err
	}
	if had.AuthMethod() == iam.AuthKey {
		return "", fmt.Errorf("it proves itself with keys now, but dev gives it a new secret with each start. Delete it with: gatehouse %s delete %s", noun, c.ID)
	}
	return s.directory.NewSecret(ctx, actor, c.ID)
}

// app makes the client for whatever a developer tries: it logs in by the
// challenge endpoint, as a native app at any loopback port, or as a device.
func (s seeder) app(ctx context.Context) error {
	_, err := s.db.Client(ctx, appID)
	if errors.Is(err, iam.ErrNotFound) {
		_, _, err = s.directory.CreateClient(ctx, actor, iam.Client{ID: appID, Name: "Demo app", Type: iam.Public, FirstParty: true, Challenge: true,
			GrantTypes:   []string{iam.AuthorizationCode, iam.RefreshToken, iam.DeviceCode},
			RedirectURIs: []string{"http://127.0.0.1/callback", "http://[::1]/callback"},
			Scopes:       slices.Concat(iam.IdentityScopes(), appScopes), DefaultScopes: appScopes})
	}
	return err
}
