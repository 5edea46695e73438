package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	gojosejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// library is a verifier, used as its documentation shows to a careful reader:
// compact tokens only, the algorithm fixed by the key, the key found by kid in
// the issuer's set, and whatever options it has for issuer, audience and expiry.
type library struct {
	name      string
	module    string // of go.mod, "" for ours
	signature func(s sample) error
	access    func(s sample) error
}

var libraries = []library{
	{"Gatehouse", "", ourSignature, ourAccess},
	{"golang-jwt", "github.com/golang-jwt/jwt/v5", golangSignature, golangAccess},
	{"go-jose", "github.com/go-jose/go-jose/v4", goJOSESignature, goJOSEAccess},
	{"jwx", "github.com/lestrrat-go/jwx/v3", jwxSignature, jwxAccess},
}

// accepts asks a library. A panic counts as a refusal and is told.
func (l library) accepts(s sample) (accepted bool, panicked any) {
	defer func() { panicked = recover() }()
	ask := l.signature
	if s.access {
		ask = l.access
	}
	return ask(s) == nil, nil
}

// pinned are the algorithms that a careful user of a key allows: the one that
// the JWK names, or those that fit its type.
func pinned(jwkText string) []string {
	var key struct{ Kty, Crv, Alg string }
	if json.Unmarshal([]byte(jwkText), &key) != nil {
		return nil
	}
	if key.Alg == "ES521" { // the vectors' name for ES512
		key.Alg = "ES512"
	}
	if key.Alg != "" {
		return []string{key.Alg}
	}
	switch key.Kty {
	case "RSA":
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case "EC":
		return []string{map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[key.Crv]}
	case "OKP":
		return []string{"EdDSA"}
	}
	return []string{"HS256", "HS384", "HS512"}
}

var errRefused = errors.New("refused")

func ourSignature(s sample) error {
	key, err := jose.ParseKey([]byte(s.keys))
	if err != nil {
		return err
	}
	token, err := jose.Parse(s.raw)
	if err != nil {
		return err
	}
	return token.Verify(key)
}

// guards are kept by key set: the samples of one kind of key share one.
var guards = map[string]*guard.Guard{}

func ourAccess(s sample) error {
	g := guards[s.keys]
	if g == nil {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s.keys) }))
		var err error
		if g, err = guard.New(guard.Config{Issuer: issuer, Audience: audience, KeysURL: server.URL}); err != nil {
			return err
		}
		if err := g.Ready(context.Background()); err != nil {
			panic(err)
		}
		guards[s.keys] = g
	}
	_, err := g.Verify(context.Background(), s.raw)
	if errors.Is(err, guard.ErrUnavailable) {
		panic(err) // no verdict: it must not pass for one
	}
	return err
}

// golangSignature is what Parse does, for payloads that are no claims.
func golangSignature(s sample) error {
	var key gojose.JSONWebKey // golang-jwt reads no JWK
	if err := key.UnmarshalJSON([]byte(s.keys)); err != nil {
		return err
	}
	segments := strings.Split(s.raw, ".")
	if len(segments) != 3 {
		return errRefused
	}
	parser := jwt.NewParser()
	head, err := parser.DecodeSegment(segments[0])
	if err != nil {
		return err
	}
	var header map[string]any
	if err := json.Unmarshal(head, &header); err != nil {
		return err
	}
	algorithm, _ := header["alg"].(string)
	method := jwt.GetSigningMethod(algorithm)
	if method == nil || !slices.Contains(pinned(s.keys), algorithm) {
		return errRefused
	}
	if _, err := parser.DecodeSegment(segments[1]); err != nil {
		return err
	}
	signature, err := parser.DecodeSegment(segments[2])
	if err != nil {
		return err
	}
	return method.Verify(segments[0]+"."+segments[1], signature, key.Key)
}

func golangAccess(s sample) error {
	set, err := readSet(s.keys)
	if err != nil {
		return err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{set.Keys[0].Algorithm}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	_, err = parser.Parse(s.raw, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if found := set.Key(kid); len(found) == 1 {
			return found[0].Key, nil
		}
		return nil, errRefused
	})
	return err
}

func readSet(text string) (set gojose.JSONWebKeySet, err error) {
	return set, json.Unmarshal([]byte(text), &set)
}

func goJOSESignature(s sample) error {
	var key gojose.JSONWebKey
	if err := key.UnmarshalJSON([]byte(s.keys)); err != nil {
		return err
	}
	var allowed []gojose.SignatureAlgorithm
	for _, a := range pinned(s.keys) {
		allowed = append(allowed, gojose.SignatureAlgorithm(a))
	}
	token, err := gojose.ParseSignedCompact(s.raw, allowed)
	if err != nil {
		return err
	}
	_, err = token.Verify(key)
	return err
}

func goJOSEAccess(s sample) error {
	set, err := readSet(s.keys)
	if err != nil {
		return err
	}
	token, err := gojosejwt.ParseSigned(s.raw, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(set.Keys[0].Algorithm)})
	if err != nil {
		return err
	}
	var claims gojosejwt.Claims
	if err := token.Claims(set, &claims); err != nil {
		return err
	}
	return claims.Validate(gojosejwt.Expected{Issuer: issuer, AnyAudience: gojosejwt.Audience{audience}, Time: time.Now()})
}

func jwxSignature(s sample) error {
	key, err := jwk.ParseKey([]byte(s.keys))
	if err != nil {
		return err
	}
	var failed = errRefused
	for _, name := range pinned(s.keys) {
		algorithm, ok := jwa.LookupSignatureAlgorithm(name)
		if !ok {
			return errRefused
		}
		if _, failed = jws.Verify([]byte(s.raw), jws.WithKey(algorithm, key), jws.WithCompact()); failed == nil {
			return nil
		}
	}
	return failed
}

func jwxAccess(s sample) error {
	set, err := jwk.Parse([]byte(s.keys))
	if err != nil {
		return err
	}
	_, err = jwxjwt.Parse([]byte(s.raw), jwxjwt.WithKeySet(set), jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(audience), jwxjwt.WithRequiredClaim("exp"))
	return err
}
