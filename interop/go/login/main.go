// Logins with golang.org/x/oauth2: go run ./go/login service, or user.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	login := service
	if len(os.Args) == 2 && os.Args[1] == "user" {
		login = user
	}
	token, err := login(ctx, os.Getenv("ISSUER"), os.Getenv("CLIENT_ID"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("token", token.AccessToken)
}

// [guide: service]
func service(ctx context.Context, issuer, client string) (*oauth2.Token, error) {
	config := clientcredentials.Config{ClientID: client, ClientSecret: os.Getenv("CLIENT_SECRET"), TokenURL: issuer + "/oauth/token", Scopes: []string{"orders:read"}}
	return config.Token(ctx)
}

// [end]

// [guide: user]
func user(ctx context.Context, issuer, client string) (*oauth2.Token, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	config := oauth2.Config{ClientID: client, RedirectURL: "http://" + listener.Addr().String() + "/cb", Scopes: []string{"openid", "orders:read", "orders:write"},
		Endpoint: oauth2.Endpoint{AuthURL: issuer + "/oauth/authorize", TokenURL: issuer + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams}}
	verifier, state := oauth2.GenerateVerifier(), rand.Text()
	fmt.Println("open", config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)))
	answers := make(chan url.Values, 1)
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "You are signed in. Close this window.")
		select {
		case answers <- r.URL.Query():
		default:
		}
	})}
	go server.Serve(listener)
	defer server.Close()
	select {
	case answer := <-answers:
		// What comes back has to belong to what was asked.
		if answer.Get("state") != state {
			return nil, errors.New("the answer has another state")
		}
		return config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// [end]
