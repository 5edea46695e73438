package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"time"

	josejwt "github.com/go-jose/go-jose/v4"
	gojose "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
	distinct = 512
)

// subject is one algorithm with its keys and tokens.
type subject struct {
	algorithm jose.Algorithm
	private   crypto.Signer
	key       jose.Key
	tokens    []string
}

func newSubject(algorithm jose.Algorithm) subject {
	s := subject{algorithm: algorithm}
	var err error
	switch algorithm {
	case jose.ES256:
		s.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.RS256:
		s.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.EdDSA:
		_, s.private, err = ed25519.GenerateKey(rand.Reader)
	}
	check(err)
	signer, err := jose.NewSigner(algorithm, s.private)
	check(err)
	s.key = signer.Key()
	now := time.Now().Unix()
	for n := range distinct {
		raw, err := signer.Sign("at+jwt", map[string]any{
			"iss": issuer, "aud": audience, "sub": fmt.Sprint("usr_", n), "client_id": "app", "jti": fmt.Sprint(n), "iat": now, "exp": now + 36000,
			"scope": "orders:read orders:write", "roles": []string{"editor"}, "gid": "gr_x", "ue": 1, "ce": 1, "acr": "pwd", "auth_time": now,
		})
		check(err)
		s.tokens = append(s.tokens, raw)
	}
	return s
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// verifier is a row of the table.
type verifier struct {
	name        string
	run         func(raw string) error
	best        time.Duration // of one call
	bytes, news uint64
}

// verifyRounds is how often each verifier has its turn; the best counts.
const verifyRounds = 15

// verify prints a table for each algorithm. The verifiers run in turns, so that
// noise meets all of them.
func verify() {
	fmt.Printf("%-8s %-34s %12s %10s %8s %8s\n", "", "", "ns/op", "B/op", "allocs", "ratio")
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.RS256, jose.EdDSA} {
		s := newSubject(algorithm)
		rows := []*verifier{
			{name: "golang-jwt Parse", run: s.golangJWT()}, {name: "gatehouse jose", run: s.ours()}, {name: "gatehouse guard, distinct", run: s.guard(1)},
			{name: "gatehouse guard, cached", run: s.guard(8192)}, {name: "go-jose jwt", run: s.goJOSE()}, {name: "jwx v3", run: s.jwx()},
			{name: "floor: hash and signature only", run: s.floor()},
		}
		for range verifyRounds {
			for _, row := range rows {
				row.turn(s.tokens)
			}
		}
		for _, row := range rows {
			fmt.Printf("%-8s %-34s %12d %10d %8d %8.2f\n", algorithm, row.name, row.best.Nanoseconds(), row.bytes, row.news, float64(row.best)/float64(rows[0].best))
		}
	}
}

// turn calls a verifier once with every token.
func (v *verifier) turn(tokens []string) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	for _, raw := range tokens {
		check(v.run(raw))
	}
	took := time.Since(began) / time.Duration(len(tokens))
	runtime.ReadMemStats(&after)
	if v.best == 0 || took < v.best {
		n := uint64(len(tokens))
		v.best, v.bytes, v.news = took, (after.TotalAlloc-before.TotalAlloc)/n, (after.Mallocs-before.Mallocs)/n
	}
}

func (s subject) ours() func(string) error {
	return func(raw string) error {
		t, err := jose.Parse(raw)
		if err != nil {
			return err
		}
		if err := t.Verify(s.key); err != nil {
			return err
		}
		c, err := t.Claims()
		if err != nil {
			return err
		}
		return jose.Expect{Type: "at+jwt", Issuer: issuer, Audience: audience, Now: time.Now()}.Check(t, c)
	}
}

// guard verifies with a cache of a given size; 1 forgets almost everything.
func (s subject) guard(size int) func(string) error {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(jose.NewKeySet(s.key)) }))
	g, err := guard.New(guard.Config{Issuer: issuer, Audience: audience, KeysURL: server.URL, CacheSize: size})
	check(err)
	check(g.Ready(context.Background()))
	return func(raw string) error {
		_, err := g.Verify(context.Background(), raw)
		return err
	}
}

func (s subject) golangJWT() func(string) error {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{string(s.algorithm)}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired())
	return func(raw string) error {
		_, err := parser.Parse(raw, func(*jwt.Token) (any, error) { return s.private.Public(), nil })
		return err
	}
}

func (s subject) goJOSE() func(string) error {
	return func(raw string) error {
		t, err := gojose.ParseSigned(raw, []josejwt.SignatureAlgorithm{josejwt.SignatureAlgorithm(s.algorithm)})
		if err != nil {
			return err
		}
		var claims gojose.Claims
		if err := t.Claims(s.private.Public(), &claims); err != nil {
			return err
		}
		return claims.Validate(gojose.Expected{Issuer: issuer, AnyAudience: gojose.Audience{audience}, Time: time.Now()})
	}
}

func (s subject) jwx() func(string) error {
	algorithm, ok := jwa.LookupSignatureAlgorithm(string(s.algorithm))
	if !ok {
		panic("jwx does not know " + s.algorithm)
	}
	return func(raw string) error {
		_, err := jwxjwt.Parse([]byte(raw), jwxjwt.WithKey(algorithm, s.private.Public()), jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(audience))
		return err
	}
}

// floor is what no verifier can be faster than.
func (s subject) floor() func(string) error {
	type part struct{ digest, message, signature []byte }
	parts := map[string]part{}
	for _, raw := range s.tokens {
		at := strings.LastIndexByte(raw, '.')
		digest := sha256.Sum256([]byte(raw[:at]))
		signature, err := base64.RawURLEncoding.DecodeString(raw[at+1:])
		check(err)
		parts[raw] = part{digest[:], []byte(raw[:at]), signature}
	}
	return func(raw string) error {
		p := parts[raw]
		digest := sha256.Sum256(p.message)
		ok := false
		switch public := s.private.Public().(type) {
		case *ecdsa.PublicKey:
			ok = ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(p.signature[:32]), new(big.Int).SetBytes(p.signature[32:]))
		case *rsa.PublicKey:
			ok = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], p.signature) == nil
		case ed25519.PublicKey:
			ok = ed25519.Verify(public, p.message, p.signature)
		}
		if !ok {
			return fmt.Errorf("bad signature")
		}
		return nil
	}
}
