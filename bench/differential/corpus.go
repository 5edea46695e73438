package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/c2sp/wycheproof"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
)

// verdict is what the corpus says about a token.
type verdict string

const (
	good     verdict = "must be accepted"
	bad      verdict = "must be refused"
	disputed verdict = "disputed" // the corpus and the RFCs do not agree
)

// sample is one token, and the keys of who it is sent to.
type sample struct {
	class string // a row of the matrix
	id    string // unique within the corpus
	title string
	raw   string
	want  verdict
	// keys is one JWK for a signature, a JWK set for an access token.
	keys string
	// access: the claims count too, as an access token's for audience.
	access bool
}

// corpus is everything: the forged tokens, the vectors and the examples.
func corpus() ([]sample, error) {
	var all []sample
	for _, source := range []func() ([]sample, error){forged, genuine, vectors, examples} {
		some, err := source()
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// algorithms are the kinds of keys that tokens are forged for.
var algorithms = []jose.Algorithm{jose.ES256, jose.ES384, jose.RS256, jose.PS256, jose.EdDSA}

func claims(now time.Time) map[string]any {
	return map[string]any{
		"iss": issuer, "aud": audience, "sub": "usr_1", "client_id": "app", "jti": "1", "iat": now.Unix(), "exp": now.Unix() + 3600,
		"scope": "orders:read", "roles": []string{"viewer"}, "acr": "pwd", "auth_time": now.Unix(),
	}
}

// forged is the catalogue, once for each kind of key.
func forged() ([]sample, error) {
	var all []sample
	for _, algorithm := range algorithms {
		signer, err := jose.GenerateSigner(algorithm)
		if err != nil {
			return nil, err
		}
		valid, err := signer.Sign("at+jwt", claims(time.Now()))
		if err != nil {
			return nil, err
		}
		set := jose.NewKeySet(signer.Key())
		keys, err := json.Marshal(set)
		if err != nil {
			return nil, err
		}
		tokens, err := forge.All(forge.Source{Valid: valid, Keys: set, Lab: signer, Issuer: issuer, Audience: audience, Now: time.Now()})
		if err != nil {
			return nil, err
		}
		for _, f := range tokens {
			row, _ := forge.Find(f.ID)
			all = append(all, sample{class: f.ID + " " + row.Title, id: fmt.Sprintf("%s %s (%s)", f.ID, f.Name, algorithm), title: f.Title, raw: f.Raw, want: bad, keys: string(keys), access: true})
		}
	}
	slices.SortStableFunc(all, func(a, b sample) int { return cmp.Compare(place(a.class), place(b.class)) })
	return all, nil
}

// place is where a row stands in the catalogue.
func place(class string) int {
	return slices.IndexFunc(forge.Catalogue, func(r forge.Row) bool { return class == r.ID+" "+r.Title })
}

// genuine are access tokens that nobody may refuse.
func genuine() ([]sample, error) {
	var all []sample
	for _, algorithm := range algorithms {
		signer, err := jose.GenerateSigner(algorithm)
		if err != nil {
			return nil, err
		}
		keys, err := json.Marshal(jose.NewKeySet(signer.Key()))
		if err != nil {
			return nil, err
		}
		now := time.Now()
		for _, v := range []struct {
			name, claim string
			value       any
		}{
			{"as issued", "x", 1}, {"two audiences", "aud", []string{"https://other.example.com", audience}}, {"an audience in a list", "aud", []string{audience}},
			{"nbf", "nbf", now.Add(-time.Minute).Unix()}, {"exp with a fraction", "exp", json.RawMessage(fmt.Sprint(now.Unix()+3600, ".5"))},
			{"exp with an exponent", "exp", json.RawMessage("2.5e9")}, {"letters beyond ASCII", "name", "Grüße 🗝"}, {"nested", "x", map[string]any{"a": []any{1, nil, map[string]bool{"b": true}}}},
			{"no scope", "scope", ""}, {"long", "x", string(slices.Repeat([]byte("x"), 8000))},
		} {
			c := claims(now)
			c[v.claim] = v.value
			raw, err := signer.Sign("at+jwt", c)
			if err != nil {
				return nil, err
			}
			all = append(all, sample{class: "Genuine access tokens", id: fmt.Sprintf("genuine, %s (%s)", v.name, algorithm), raw: raw, want: good, keys: string(keys), access: true})
		}
	}
	return all, nil
}

// disputes are vectors of Wycheproof's JWS file whose verdict an RFC
// contradicts; e2e/vectors has the reasons one by one.
var disputes = []int{346, 347, 350, 351, 367, 370, 372, 373}

// vectors are Wycheproof's file of signatures.
func vectors() ([]sample, error) {
	data, err := fs.ReadFile(wycheproof.TestVectors, "json_web_signature_test.json")
	if err != nil {
		return nil, err
	}
	var file struct {
		TestGroups []struct {
			Comment string          `json:"comment"`
			Private json.RawMessage `json:"private"`
			Public  json.RawMessage `json:"public"`
			Tests   []struct {
				ID      int             `json:"tcId"`
				Comment string          `json:"comment"`
				Result  string          `json:"result"`
				JWS     json.RawMessage `json:"jws"`
			} `json:"tests"`
		} `json:"testGroups"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	var all []sample
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			s := sample{class: "Wycheproof, signatures", id: fmt.Sprint("Wycheproof tcId ", v.ID), title: g.Comment + ": " + v.Comment, raw: string(v.JWS), want: bad, keys: string(g.Public)}
			var text string
			if json.Unmarshal(v.JWS, &text) == nil {
				s.raw = text // the others are objects: they reach an API as the text they are
			}
			if len(g.Public) == 0 {
				s.keys = string(g.Private)
			}
			if v.Result == "valid" {
				s.want = good
			}
			if slices.Contains(disputes, v.ID) {
				s.class, s.want = "Wycheproof, disputed", disputed
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// examplesFile has the examples of RFC 7515, 7520, 7797 and 8037.
const examplesFile = "internal/jose/testdata/rfc.json"

func examples() ([]sample, error) {
	data, err := os.ReadFile(root(examplesFile))
	if err != nil {
		return nil, err
	}
	var file []struct {
		Name, Token, Want string
		JWK               json.RawMessage
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	var all []sample
	for _, v := range file {
		s := sample{class: "Examples of the RFCs", id: v.Name, raw: v.Token, want: bad, keys: string(v.JWK)}
		if v.Want == "valid" {
			s.want = good
		}
		if v.Name == defaulted {
			s.class, s.want = "RFC, disputed", disputed
		}
		all = append(all, s)
	}
	return all, nil
}

// defaulted is good by its RFC. Its key names no algorithm, and by ours an RSA
// key is then one for RS256.
const defaulted = "RFC 7520 4.2, PS384 under a key of RS256"
