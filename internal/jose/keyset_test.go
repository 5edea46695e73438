package jose_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// JOSE-6, T80: a set takes its good keys and names why it leaves the others:
// unknown kinds, secrets, private keys, keys for encryption, odd ones.
func TestJOSE6_KeySetSkipsOneByOne(t *testing.T) {
	good := jwk(t, signer(t, jose.ES256))
	id := signer(t, jose.ES256).Key().ID()
	for name, odd := range map[string]string{
		"symmetric":           `{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","alg":"HS256","kid":"s"}`,
		"symmetric by case":   `{"kty":"OCT","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","alg":"HS256"}`,
		"private":             strings.TrimSuffix(good, "}") + `,"d":"AQ"}`,
		"ML-DSA":              `{"kty":"AKP","alg":"ML-DSA-65","pub":"AAAA","kid":"pq"}`,
		"Ed448":               `{"kty":"OKP","crv":"Ed448","x":"AAAA"}`,
		"X25519":              `{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		"secp256k1":           `{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}`,
		"encryption":          strings.Replace(jwk(t, signer(t, jose.RS256)), `"sig"`, `"enc"`, 1),
		"no kty":              `{"kid":"x"}`,
		"kty number":          `{"kty":1}`,
		"empty object":        `{}`,
		"null":                `null`,
		"string":              `"x"`,
		"list":                `[]`,
		"missing y":           `{"kty":"EC","crv":"P-256","x":"AA"}`,
		"missing n":           `{"kty":"RSA","e":"AQAB"}`,
		"empty n and e":       `{"kty":"RSA","n":"","e":""}`,
		"n of another type":   `{"kty":"RSA","n":1,"e":"AQAB"}`,
		"e of 40 bytes":       `{"kty":"RSA","n":"` + strings.Repeat("A", 342) + `","e":"` + strings.Repeat("A", 56) + `"}`,
		"a name twice inside": `{"kty":"EC","kty":"oct"}`,
		"nested deep":         `{"kty":"EC","x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`,
	} {
		for _, document := range []string{`{"keys":[` + odd + `,` + good + `]}`, `{"keys":[` + good + `,` + odd + `],"more":1}`} {
			set, skipped, err := jose.ParseKeySet([]byte(document))
			if err != nil || set.Len() != 1 || len(skipped) != 1 || !errors.Is(skipped[0], jose.ErrKey) {
				t.Errorf("%s: %d keys, skipped %v, error %v", name, set.Len(), skipped, err)
				continue
			}
			if _, ok := set.Key(id); !ok {
				t.Errorf("%s: the good key is gone", name)
			}
		}
	}
}

// A document that is no key set is an error, and so is one without end.
func TestJOSE6_KeySetDocuments(t *testing.T) {
	for name, v := range map[string]struct {
		document string
		want     error
	}{
		"empty":         {``, jose.ErrMalformed},
		"HTML":          {`<html>`, jose.ErrMalformed},
		"list":          {`[]`, jose.ErrMalformed},
		"no keys":       {`{}`, jose.ErrMalformed},
		"keys null":     {`{"keys":null}`, jose.ErrMalformed},
		"keys object":   {`{"keys":{}}`, jose.ErrMalformed},
		"keys twice":    {`{"keys":[],"keys":[]}`, jose.ErrMalformed},
		"keys by case":  {`{"Keys":[]}`, jose.ErrMalformed},
		"error object":  {`{"error":"temporarily_unavailable"}`, jose.ErrMalformed},
		"trailing data": {`{"keys":[]}x`, jose.ErrMalformed},
		"not UTF-8":     {"{\"keys\":[],\"x\":\"\xff\"}", jose.ErrMalformed},
		"too large":     {`{"keys":[` + strings.Repeat(" ", jose.MaxKeySetBytes) + `]}`, jose.ErrTooLarge},
		"too many keys": {`{"keys":[{}` + strings.Repeat(",{}", 100) + `]}`, jose.ErrTooLarge},
		"no keys in it": {`{"keys":[]}`, nil},
	} {
		set, _, err := jose.ParseKeySet([]byte(v.document))
		if !errors.Is(err, v.want) || v.want == nil && err != nil || set.Len() != 0 {
			t.Errorf("%s: %d keys, got %v, want %v", name, set.Len(), err, v.want)
		}
	}
}

// T80: two keys under one id cannot be told apart, so both go; the same key
// twice is one key.
func TestJOSE6_OneIDTwoKeys(t *testing.T) {
	a, b := jwk(t, signer(t, jose.ES256), "kid"), jwk(t, mustGenerate(t, jose.ES256), "kid")
	named := func(jwk, kid string) string { return strings.TrimSuffix(jwk, "}") + `,"kid":"` + kid + `"}` }
	third := jwk(t, signer(t, jose.RS256))
	for name, v := range map[string]struct {
		keys          []string
		want, skipped int
	}{
		"different keys":        {[]string{named(a, "x"), named(b, "x"), third}, 1, 2},
		"different, three":      {[]string{named(a, "x"), named(b, "x"), named(a, "x"), third}, 1, 3},
		"the same key":          {[]string{named(a, "x"), named(a, "x"), third}, 2, 0},
		"one key, two ids":      {[]string{named(a, "x"), named(a, "y"), third}, 3, 0},
		"without kid":           {[]string{a, b, third}, 3, 0},
		"without kid, the same": {[]string{a, a, third}, 2, 0},
		"ids differ by case":    {[]string{named(a, "x"), named(b, "X"), third}, 3, 0},
	} {
		set, skipped, err := jose.ParseKeySet([]byte(`{"keys":[` + strings.Join(v.keys, ",") + `]}`))
		if err != nil || set.Len() != v.want || len(skipped) != v.skipped {
			t.Errorf("%s: %d keys, skipped %v, error %v", name, set.Len(), skipped, err)
		}
	}
	pkcs1 := signer(t, jose.RS256)
	pss, err := jose.NewSigner(jose.PS256, pkcs1.Private())
	if err != nil {
		t.Fatal(err)
	}
	if set := jose.NewKeySet(pkcs1.Key(), pss.Key()); set.Len() != 0 {
		t.Error("one id stands for two algorithms")
	}
}

// JOSE-6: what we publish has public members only, and reads back the same.
func TestJOSE6_PublishedSet(t *testing.T) {
	var keys []jose.Key
	for _, algorithm := range asymmetric {
		keys = append(keys, mustGenerate(t, algorithm).Key())
	}
	published := marshal(t, jose.NewKeySet(keys...))
	var document struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal([]byte(published), &document); err != nil || len(document.Keys) != len(keys) {
		t.Fatal(err, published)
	}
	for i, members := range document.Keys {
		for name := range members {
			if !slices.Contains([]string{"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}, name) {
				t.Errorf("member %s is published", name)
			}
		}
		if members["use"] != "sig" || members["alg"] != string(keys[i].Algorithm()) || members["kid"] != keys[i].ID() || members["kty"] == "oct" {
			t.Errorf("got %v", members)
		}
	}
	set, skipped, err := jose.ParseKeySet([]byte(published))
	if err != nil || len(skipped) > 0 || set.Len() != len(keys) {
		t.Fatal(err, skipped)
	}
	for _, k := range keys {
		if again, ok := set.Key(k.ID()); !ok || !again.Equal(k) {
			t.Errorf("%s does not read back", k)
		}
	}
	if got := marshal(t, jose.KeySet{}); got != `{"keys":[]}` {
		t.Errorf("the zero set: %s", got)
	}
	if _, ok := (jose.KeySet{}).Key(""); ok {
		t.Error("the zero set has a key")
	}
}
