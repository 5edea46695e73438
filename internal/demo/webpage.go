package demo

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"golang.org/x/oauth2"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/relying"
)

//go:embed assets
var appAssets embed.FS

var appPages = template.Must(template.ParseFS(appAssets, "assets/app.html"))

// appPage is what the one template of the web apps shows.
type appPage struct {
	App     WebApp
	SignIn  bool   // nobody is signed in
	Denied  bool   // the person did not want to be
	Problem string // what went wrong instead
	Notice  string // above the orders
	Profile relying.Profile
	Who     relying.Identity
	Orders  []order
	NoRead  bool // the API lets this user read nothing
	Scopes  []string
	Token   string // names the access token, as a log would
	Seconds int    // that it is still good for
}

// show is the page of somebody who is signed in: with the orders that the API
// gives for this user's access token.
func (a *webApp) show(w http.ResponseWriter, r *http.Request, v *visit, notice string) {
	token, orders, err := a.orders(r.Context(), v)
	var refused *relying.StatusError
	forbidden := errors.As(err, &refused) && refused.Status == http.StatusForbidden
	if err != nil && !forbidden {
		a.lost(w, r, err)
		return
	}
	scope, _ := token.Extra("scope").(string)
	a.page(w, http.StatusOK, appPage{Notice: notice, Profile: v.profile, Who: v.who, Orders: orders, NoRead: forbidden,
		Scopes: strings.Fields(scope), Token: jose.Fingerprint(token.AccessToken), Seconds: int(token.Expiry.Sub(a.Now()).Seconds())})
}

// orders reads the API's orders.
func (a *webApp) orders(ctx context.Context, v *visit) (*oauth2.Token, []order, error) {
	var list struct{ Orders []order }
	token, err := a.atAPI(ctx, v, func(token string) error {
		return a.party.Get(ctx, a.API+"/orders", token, &list)
	})
	return token, list.Orders, err
}

// place sends an order to the API.
func (a *webApp) place(ctx context.Context, v *visit, item string) error {
	body, err := json.Marshal(map[string]string{"item": item})
	if err != nil {
		return err
	}
	_, err = a.atAPI(ctx, v, func(token string) error {
		var made order
		return a.party.Call(ctx, http.MethodPost, a.API+"/orders", token, bytes.NewReader(body), &made)
	})
	return err
}

// atAPI calls with an access token. One that the API refuses has ended, as when
// a role was given or taken; the next one says what is true now.
func (a *webApp) atAPI(ctx context.Context, v *visit, call func(token string) error) (*oauth2.Token, error) {
	token, err := a.access(ctx, v, false)
	if err != nil {
		return nil, err
	}
	err = call(token.AccessToken)
	var refused *relying.StatusError
	if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		return token, err
	}
	if token, err = a.access(ctx, v, true); err != nil {
		return nil, err
	}
	return token, call(token.AccessToken)
}

func (a *webApp) access(ctx context.Context, v *visit, force bool) (*oauth2.Token, error) {
	return v.access(ctx, a.party, force)
}

func (a *webApp) signedOut(w http.ResponseWriter, r *http.Request) {
	if a.visit(r) != nil {
		a.redirect(w, "/")
		return
	}
	a.page(w, http.StatusOK, appPage{SignIn: true})
}

func (a *webApp) problem(w http.ResponseWriter, status int, text string) {
	a.page(w, status, appPage{Problem: text})
}

func (a *webApp) page(w http.ResponseWriter, status int, p appPage) {
	p.App = a.WebApp
	var body bytes.Buffer
	if err := appPages.ExecuteTemplate(&body, "app.html", p); err != nil {
		panic("demo: a template of ours does not fit its view: " + err.Error())
	}
	a.headers(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// headers of every page. The form that signs out is answered with a redirect to
// the issuer, which Chromium follows only to where forms may go.
func (a *webApp) headers(w http.ResponseWriter) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' "+a.Issuer+"; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	w.Header().Set("Cache-Control", "no-store")
}

func appAsset(name, contentType string) http.HandlerFunc {
	body, err := appAssets.ReadFile("assets/" + name)
	if err != nil {
		panic("demo: the embedded files are gone: " + err.Error())
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Write(body)
	}
}
