package forge

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Source is what a forger knows.
type Source struct {
	Valid    string      // a real access token, unexpired
	Keys     jose.KeySet // the issuer's public keys
	Lab      jose.Signer // the issuer's own signer; zero: signed-but-wrong tokens are left out
	Issuer   string
	Audience string
	Now      time.Time
}

// Token is one forged token.
type Token struct {
	ID    string `json:"id"`    // row of the catalogue, such as "T01"
	Name  string `json:"name"`  // unique, in kebab case
	Title string `json:"title"` // what was done to it, in a sentence
	Raw   string `json:"token"`
}

// forger builds tokens from one source.
type forger struct {
	Source
	header  map[string]any
	claims  map[string]any
	key     jose.Key // that signed Valid
	made    []Token
	names   map[string]bool
	raws    map[string]bool
	problem error
}

// All makes every forged token that the source allows.
func All(s Source) ([]Token, error) {
	f, err := newForger(s)
	if err != nil {
		return nil, fmt.Errorf("forge: %w", err)
	}
	f.unsigned()
	f.confused()
	f.broken()
	f.foreign()
	f.injected()
	f.encoded()
	f.serialized()
	if !s.Lab.IsZero() {
		f.labHeaders()
		f.labTimes()
		f.labParties()
		f.labTypes()
	}
	return f.made, f.problem
}

func newForger(s Source) (*forger, error) {
	t, err := jose.Parse(s.Valid)
	if err != nil {
		return nil, err
	}
	key, ok := s.Keys.Key(t.KeyID())
	if !ok {
		return nil, errors.New("the valid token is not signed with a key of the set")
	}
	f := &forger{Source: s, key: key, names: map[string]bool{}, raws: map[string]bool{}}
	header, _ := base64.RawURLEncoding.DecodeString(strings.Split(s.Valid, ".")[0])
	if err := errors.Join(json.Unmarshal(header, &f.header), json.Unmarshal(t.Payload(), &f.claims)); err != nil {
		return nil, err
	}
	return f, nil
}

// add records a token. A name given twice is a mistake in this package.
func (f *forger) add(id, name, title, raw string) {
	if f.names[name] {
		f.problem = errors.Join(f.problem, fmt.Errorf("forge: the name %s is used twice", name))
		return
	}
	if f.raws[raw] {
		return // two forms of a short key coincide
	}
	f.names[name], f.raws[raw] = true, true
	f.made = append(f.made, Token{ID: id, Name: name, Title: title, Raw: raw})
}

// with copies a map and changes one member; a nil value takes it away.
func with(m map[string]any, name string, value any) map[string]any {
	copied := map[string]any{}
	for k, v := range m {
		copied[k] = v
	}
	if copied[name] = value; value == nil {
		delete(copied, name)
	}
	return copied
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("forge: plain maps always marshal: " + err.Error())
	}
	return b64(b)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// signed signs header and payload text with a private key, whatever the
// header claims.
func signed(method jwt.SigningMethod, private any, header, payload string) string {
	signature, err := method.Sign(header+"."+payload, private)
	if err != nil {
		panic("forge: sign: " + err.Error())
	}
	return header + "." + payload + "." + b64(signature)
}

// lab signs with the issuer's own key: signed, but wrong.
func (f *forger) lab(header, payload string) string {
	return signed(methodOf(f.Lab.Key().Algorithm()), f.Lab.Private(), header, payload)
}

func (f *forger) labHeader() map[string]any {
	return map[string]any{"alg": string(f.Lab.Key().Algorithm()), "kid": f.Lab.Key().ID(), "typ": "at+jwt"}
}

func methodOf(algorithm jose.Algorithm) jwt.SigningMethod {
	return jwt.GetSigningMethod(string(algorithm))
}

// parts of the valid token.
func (f *forger) parts() (header, payload, signature string) {
	p := strings.Split(f.Valid, ".")
	return p[0], p[1], p[2]
}

// forgedPayload is what an attacker wants to say: another subject, all scopes.
func (f *forger) forgedPayload() string {
	return encode(with(with(f.claims, "sub", "usr_attacker"), "scope", "orders:read orders:write admin"))
}

func signerFor(algorithm jose.Algorithm) (jose.Signer, crypto.Signer) {
	s, err := jose.GenerateSigner(algorithm)
	if err != nil {
		panic("forge: generate: " + err.Error())
	}
	return s, s.Private()
}
