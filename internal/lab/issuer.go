package lab

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Issuer is an authorization server for a lab: discovery, a key set, and
// tokens that say whatever they are told to.
type Issuer struct {
	url      string
	audience string
	signers  []jose.Signer

	mu      sync.Mutex
	fetches int
}

// file is what a lab writes into its folder.
const file = "lab.json"

// saved is an issuer on disk.
type saved struct {
	Issuer   string       `json:"issuer"`
	Audience string       `json:"audience"`
	Keys     []savedKey   `json:"keys"`
	Public   *jose.KeySet `json:"jwks"`
}

type savedKey struct {
	Algorithm jose.Algorithm `json:"alg"`
	Private   []byte         `json:"pkcs8"`
}

// NewIssuer draws a key for each algorithm; the first one is what Signer returns.
func NewIssuer(url, audience string, algorithms ...jose.Algorithm) (*Issuer, error) {
	i := &Issuer{url: url, audience: audience}
	for _, algorithm := range algorithms {
		signer, err := jose.GenerateSigner(algorithm)
		if err != nil {
			return nil, err
		}
		i.signers = append(i.signers, signer)
	}
	if len(i.signers) == 0 {
		return nil, errors.New("lab: an issuer needs an algorithm")
	}
	return i, nil
}

// IsFolder tells whether an issuer was saved in dir.
func IsFolder(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, file))
	return err == nil
}

// Load reads an issuer that Save wrote.
func Load(dir string) (*Issuer, error) {
	content, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return nil, fmt.Errorf("read the lab: %w", err)
	}
	var s saved
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, file), err)
	}
	i := &Issuer{url: s.Issuer, audience: s.Audience}
	for _, k := range s.Keys {
		signer, err := jose.ParseSigner(k.Algorithm, k.Private)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, file), err)
		}
		i.signers = append(i.signers, signer)
	}
	if len(i.signers) == 0 {
		return nil, fmt.Errorf("%s holds no key", filepath.Join(dir, file))
	}
	return i, nil
}

// Save writes the issuer with its private keys, for `audit --lab`. They are
// worth nothing: no real API trusts a lab.
func (i *Issuer) Save(dir string) error {
	s := saved{Issuer: i.url, Audience: i.audience}
	set := i.Keys()
	s.Public = &set
	for _, signer := range i.signers {
		private, err := signer.PKCS8()
		if err != nil {
			return err
		}
		s.Keys = append(s.Keys, savedKey{signer.Key().Algorithm(), private})
	}
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, file), append(content, '\n'), 0o600)
}

// URL is the `iss`, Audience the `aud` of its tokens.
func (i *Issuer) URL() string      { return i.url }
func (i *Issuer) Audience() string { return i.audience }

// Keys are the public keys.
func (i *Issuer) Keys() jose.KeySet {
	var keys []jose.Key
	for _, s := range i.signers {
		keys = append(keys, s.Key())
	}
	return jose.NewKeySet(keys...)
}

// Signer is the key of an algorithm, "" for the first one.
func (i *Issuer) Signer(algorithm jose.Algorithm) (jose.Signer, error) {
	at := slices.IndexFunc(i.signers, func(s jose.Signer) bool { return algorithm == "" || s.Key().Algorithm() == algorithm })
	if at < 0 {
		return jose.Signer{}, fmt.Errorf("the lab has no key for %s", algorithm)
	}
	return i.signers[at], nil
}

// Fetches counts how often the key set was asked for.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// ServeHTTP answers discovery (RFC 8414, OpenID Connect) and the key set.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration":
		json.NewEncoder(w).Encode(map[string]string{"issuer": i.url, "jwks_uri": i.url + "/jwks.json"})
	case "/jwks.json":
		i.mu.Lock()
		i.fetches++
		i.mu.Unlock()
		json.NewEncoder(w).Encode(i.Keys())
	default:
		http.NotFound(w, r)
	}
}

// Claims are those of a good access token (RFC 9068 §2.2) of a user, with
// changes; a nil value takes a claim away.
func (i *Issuer) Claims(changes map[string]any) map[string]any {
	now := time.Now()
	claims := map[string]any{
		"iss": i.url, "aud": i.audience, "sub": "usr_lab", "client_id": "lab", "jti": strings.ToLower(rand.Text()), "scope": "orders:read",
		"roles": []string{"viewer"}, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// Token signs a good access token.
func (i *Issuer) Token(algorithm jose.Algorithm) (string, error) {
	signer, err := i.Signer(algorithm)
	if err != nil {
		return "", err
	}
	return signer.Sign(forge.AccessToken, i.Claims(nil))
}

// WeakSecret is the one of the lab's API with a weak secret.
const WeakSecret = "secret123"

// SecretToken is a good token signed with HS256.
func (i *Issuer) SecretToken(secret string) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(i.Claims(nil)))
	token.Header["typ"] = forge.AccessToken
	return token.SignedString([]byte(secret))
}
