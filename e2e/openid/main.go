// An app that signs its users in with OpenID Connect.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

var (
	issuer   = os.Getenv("ISSUER")
	provider *oidc.Provider // what discovery found
	config   oauth2.Config
	verifier *oidc.IDTokenVerifier
	endURL   string   // where the issuer's session ends
	users    sync.Map // by random cookie; yours is a database
)

type user struct {
	Subject string `json:"sub"` // who it is, for good
	Name    string `json:"name"`
	hint    string // the ID token, for the logout
}

func main() {
	var err error
	if provider, err = oidc.NewProvider(context.Background(), issuer); err != nil {
		log.Fatal(err)
	}
	var more struct {
		End string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&more); err != nil {
		log.Fatal(err)
	}
	endURL = more.End
	config = oauth2.Config{ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("CLIENT_SECRET"), Endpoint: provider.Endpoint(),
		RedirectURL: "http://localhost:9000/callback", Scopes: []string{"openid", "profile", "email"}}
	verifier = provider.Verifier(&oidc.Config{ClientID: config.ClientID})
	http.HandleFunc("GET /{$}", home)
	http.HandleFunc("GET /sign-in", signIn)
	http.HandleFunc("GET /callback", callback)
	http.HandleFunc("POST /sign-out", signOut)
	log.Fatal(http.ListenAndServe("localhost:9000", http.NewCrossOriginProtection().Handler(http.DefaultServeMux)))
}

func home(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie("session"); err == nil {
		if u, ok := users.Load(c.Value); ok {
			fmt.Fprintf(w, "hello, %s\n", u.(user).Name)
			return
		}
	}
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// signIn keeps state, nonce and PKCE verifier in the browser that asks, so that
// an answer works there and nowhere else.
func signIn(w http.ResponseWriter, r *http.Request) {
	state, nonce, pkce := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	setCookie(w, "sign-in", strings.Join([]string{state, nonce, pkce}, "."))
	http.Redirect(w, r, config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(pkce)), http.StatusSeeOther)
}

func callback(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie("sign-in")
	if err != nil {
		http.Error(w, "this sign-in was not begun here", http.StatusBadRequest)
		return
	}
	kept := strings.SplitN(c.Value, ".", 3)
	if len(kept) != 3 || r.FormValue("state") != kept[0] || r.FormValue("iss") != issuer {
		http.Error(w, "this sign-in was not begun here", http.StatusBadRequest)
		return
	}
	tokens, err := config.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(kept[2]))
	if err != nil {
		http.Error(w, "no sign-in: "+r.FormValue("error"), http.StatusForbidden)
		return
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := verifier.Verify(r.Context(), raw) // signature, iss, aud, exp
	if err != nil || id.Nonce != kept[1] {
		http.Error(w, "the ID token is not good", http.StatusForbidden)
		return
	}
	u := user{hint: raw}
	info, err := provider.UserInfo(r.Context(), oauth2.StaticTokenSource(tokens))
	if err != nil || info.Claims(&u) != nil || u.Subject != id.Subject {
		http.Error(w, "no word about the user", http.StatusBadGateway)
		return
	}
	session := rand.Text() // a new one: nobody can plant a session
	users.Store(session, u)
	setCookie(w, "session", session)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func signOut(w http.ResponseWriter, r *http.Request) {
	hint := ""
	if c, err := r.Cookie("session"); err == nil {
		if u, ok := users.LoadAndDelete(c.Value); ok {
			hint = u.(user).hint
		}
	}
	query := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"http://localhost:9000/"}}
	http.Redirect(w, r, endURL+"?"+query.Encode(), http.StatusSeeOther)
}

// setCookie: with https, add Secure and name it __Host-….
func setCookie(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
