// Orders behind net/http and golang-jwt. FLAW=confused gives HMAC the public
// key; FLAW=cache remembers callers by a piece of the token; FLAW=form takes a
// cookie and asks nobody where the form came from.
package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

var flaw = os.Getenv("FLAW")

type world struct {
	Issuer, Audience, PEM string
}

type api struct {
	world  world
	key    *rsa.PublicKey
	parser *jwt.Parser

	mu    sync.Mutex
	known map[string]string
}

func (a *api) subject(raw string) (string, error) {
	token, err := a.parser.Parse(raw, func(t *jwt.Token) (any, error) {
		if _, ok := t.Method.(*jwt.SigningMethodHMAC); ok && flaw == "confused" {
			return []byte(a.world.PEM), nil
		}
		if t.Method.Alg() != "RS256" {
			return nil, errors.New("algorithm")
		}
		return a.key, nil
	})
	if err != nil {
		return "", err
	}
	if token.Header["typ"] != "at+jwt" || token.Header["crit"] != nil {
		return "", errors.New("header")
	}
	subject, err := token.Claims.GetSubject()
	if err != nil || subject == "" {
		return "", errors.New("subject")
	}
	if flaw == "cache" { // one entry for a session, thought the author: the claims begin alike
		a.mu.Lock()
		defer a.mu.Unlock()
		claims := token.Claims.(jwt.MapClaims)
		id := fmt.Sprint(claims["client_id"], claims["jti"])
		if known, ok := a.known[id]; ok {
			return known, nil
		}
		a.known[id] = subject
	}
	return subject, nil
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	method := http.MethodGet
	if os.Getenv("COOKIE") != "" {
		method, raw, ok = http.MethodPost, "", true
		if c, err := r.Cookie("sid"); err == nil {
			raw = c.Value
		}
		if o := r.Header.Get("Origin"); flaw != "form" && o != "" && o != "http://"+r.Host {
			http.Error(w, "cross-site", http.StatusForbidden)
			return
		}
	}
	if r.URL.Path != "/orders" {
		http.NotFound(w, r)
		return
	}
	if r.Method != method {
		http.Error(w, "method", http.StatusMethodNotAllowed)
		return
	}
	subject, err := "", errors.New("no token")
	if ok && len(r.Header.Values("Authorization")) < 2 {
		subject, err = a.subject(raw)
	}
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(map[string]any{"user": subject, "total": 2})
}

func main() {
	content, err := os.ReadFile(os.Getenv("KEYS"))
	if err != nil {
		panic(err)
	}
	a := &api{known: map[string]string{}}
	if err := json.Unmarshal(content, &a.world); err != nil {
		panic(err)
	}
	block, _ := pem.Decode([]byte(a.world.PEM))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	a.key = public.(*rsa.PublicKey)
	a.parser = jwt.NewParser(jwt.WithIssuer(a.world.Issuer), jwt.WithAudience(a.world.Audience), jwt.WithExpirationRequired(), jwt.WithStrictDecoding(), jwt.WithIssuedAt())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("{\"port\":%d}\n", l.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(l, a))
}
