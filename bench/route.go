package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	josejwt "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/guard"
)

// distinctTokens is how many different tokens the guarded route is called with:
// more than the guard's cache of the server holds.
const distinctTokens = 10_000

// routes measures a route that answers a constant: bare, behind guard and
// behind golang-jwt, with one token and with many.
func routes(d dev, requests int) error {
	tokens := make([]string, distinctTokens)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {d.Clients[1].ID}, "client_secret": {d.Clients[1].Secret}}
	for i := range tokens {
		var answer struct {
			Token string `json:"access_token"`
		}
		if err := postJSON(http.DefaultClient, d.Issuer+"/oauth/token", form, &answer); err != nil {
			return err
		}
		tokens[i] = answer.Token
	}
	var rows []*row
	for _, s := range []struct {
		kind, name string
		tokens     []string
	}{
		{"bare", "floor: bare server", tokens[:1]},
		{"guard", "guard, one token (cached)", tokens[:1]},
		{"guard-uncached", fmt.Sprintf("guard, %d tokens, all verified", distinctTokens), tokens},
		{"golang-jwt", fmt.Sprintf("golang-jwt, %d tokens", distinctTokens), tokens},
	} {
		address, pid, stop, err := self(s.kind, d.Issuer, d.Audience)
		if err != nil {
			return err
		}
		defer stop()
		rows = append(rows, &row{name: s.name, pid: pid, call: withTokens(address, s.tokens)})
	}
	if err := measure(rows, requests); err != nil {
		return err
	}
	fmt.Printf("\nA route behind a check, %d connections; the best of %d rounds\n", connections, rounds)
	printRows(rows, rows[0].best.cpu)
	return nil
}

// withTokens calls an address with one token after the other.
func withTokens(address string, tokens []string) func(*http.Client) error {
	var next atomic.Int64
	return func(c *http.Client) error {
		r, err := http.NewRequest("GET", address, nil)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+tokens[int(next.Add(1))%len(tokens)])
		response, err := c.Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		io.Copy(io.Discard, response.Body)
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", response.Status)
		}
		return nil
	}
}

// self runs this program again as a server of some kind.
func self(kind string, args ...string) (address string, pid int, stop func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return "", 0, nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), serverEnv+"="+kind)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", 0, nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", 0, nil, err
	}
	stop = func() { cmd.Process.Kill(); cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", 0, nil, fmt.Errorf("server %s: %w", kind, err)
	}
	return "http://" + strings.TrimSpace(line) + "/", cmd.Process.Pid, stop, nil
}

// serverEnv makes this program a server of the kind that it names.
const serverEnv = "GATEHOUSE_BENCH_SERVER"

// serveKind answers a constant until it is killed, or for five minutes.
func serveKind(kind string, args []string) {
	constant := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}\n")) })
	var h http.Handler = constant
	switch kind {
	case "bare-token":
		h = http.HandlerFunc(bareToken)
	case "bare-signed":
		h = signed(http.HandlerFunc(bareToken))
	case "guard", "guard-uncached":
		config := guard.Config{Issuer: args[0], Audience: args[1], Logger: slog.New(slog.DiscardHandler)}
		if kind == "guard-uncached" {
			config.CacheSize = 1 // distinct tokens are verified each time
		}
		g, err := guard.New(config)
		check(err)
		check(g.Ready(context.Background()))
		h = g.Authenticated()(constant)
	case "golang-jwt":
		h = plain(args[0], args[1], constant)
	default:
		if hop := serveHop(kind, args); hop != nil {
			h = hop
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(err)
	fmt.Println(l.Addr())
	time.AfterFunc(5*time.Minute, func() { os.Exit(0) })
	check(http.Serve(l, h))
}

// bareToken reads a form and answers as much as a token takes.
func bareToken(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil || r.PostForm.Get("grant_type") == "" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":600,"scope":"orders:read"}`, strings.Repeat("x", 600))
}

// signed makes one ES256 signature for each request.
func signed(next http.Handler) http.Handler {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	digest := sha256.Sum256([]byte("x"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		check(err)
		next.ServeHTTP(w, r)
	})
}

// plain is what a careful user of golang-jwt writes, with the keys fetched once.
func plain(issuer, audience string, next http.Handler) http.Handler {
	response, err := http.Get(issuer + "/.well-known/jwks.json")
	check(err)
	defer response.Body.Close()
	var set josejwt.JSONWebKeySet
	check(json.NewDecoder(response.Body).Decode(&set))
	keys := map[string]*ecdsa.PublicKey{}
	for _, k := range set.Keys {
		if key, ok := k.Key.(*ecdsa.PublicKey); ok {
			keys[k.KeyID] = key
		}
	}
	type claims struct {
		jwt.RegisteredClaims
		Scope    string `json:"scope"`
		ClientID string `json:"client_id"`
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		token, err := parser.ParseWithClaims(raw, &claims{}, func(t *jwt.Token) (any, error) {
			kid, _ := t.Header["kid"].(string)
			key, ok := keys[kid]
			if !ok {
				return nil, jwt.ErrTokenUnverifiable
			}
			return key, nil
		})
		if !ok || err != nil || token.Header["typ"] != "at+jwt" {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func postJSON(c *http.Client, address string, form url.Values, into any) error {
	response, err := c.PostForm(address, form)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 512))
		return fmt.Errorf("%s: %s %s", address, response.Status, body)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
