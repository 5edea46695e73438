package jose_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// FuzzParse: a token that is taken has one text, and its header says the same
// to encoding/json as to us.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Token)
	}
	s := signer(f, jose.ES256)
	for _, more := range []string{``, `,"crit":["x"]`, `,"b64":false`, `,"\u0061lg":"none"`, `,"x":{"a":[1,null]}`, `,"x":"\ud83d\ude00"`} {
		f.Add(signed(f, s, header(s, more), payload("")))
	}
	f.Add("..")
	f.Add("e30.e30.")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, raw string) {
		parsed, err := jose.Parse(raw)
		if err != nil {
			return
		}
		segments := strings.Split(raw, ".")
		if len(segments) != 3 || len(raw) > jose.MaxTokenBytes {
			t.Fatalf("taken: %d segments, %d bytes", len(segments), len(raw))
		}
		for _, segment := range segments {
			if encode(decode(t, segment)) != segment {
				t.Errorf("%q is not canonical", segment)
			}
		}
		if encode(parsed.Payload()) != segments[1] || parsed.Raw() != raw {
			t.Error("the payload or the text is another")
		}
		var members map[string]any
		if err := json.Unmarshal(decode(t, segments[0]), &members); err != nil && !strings.Contains(err.Error(), "number") {
			t.Fatalf("encoding/json refuses the header: %v", err)
		}
		if members["alg"] != string(parsed.Algorithm()) && members != nil {
			t.Errorf("alg %q, encoding/json says %v", parsed.Algorithm(), members["alg"])
		}
		if kid, _ := members["kid"].(string); kid != parsed.KeyID() {
			t.Errorf("kid %q, encoding/json says %q", parsed.KeyID(), kid)
		}
		for _, name := range []string{"crit", "b64", "enc", "zip"} {
			if _, ok := members[name]; ok {
				t.Errorf("taken with %s", name)
			}
		}
	})
}

// FuzzClaims: whatever our scanner takes, encoding/json takes with the same
// names and values.
func FuzzClaims(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":1}`, ` {"a" : [1, 2.5e3, -0, true, null, "x\u0041"] } `, `{"iss":"a","sub":"b","aud":["c"],"exp":1,"nbf":2.5,"iat":3e0,"jti":"d"}`, `{"a":{"b":{"c":[{}]}}}`,
		`{"a":"\ud83d\ude00"}`, `{"a":"\ud800"}`, `{"a":1,"A":2}`, "{\"k\":1,\"\u212a\":2}", `{"a":1}{}`, `{"a":01}`, "{\"a\":\"\xff\"}", `[]`, `null`, "\ufeff{}",
	} {
		f.Add([]byte(text))
	}
	f.Add([]byte(payload(manyMembers(100))))
	f.Fuzz(func(t *testing.T, data []byte) {
		claims, err := jose.ParseClaims(data)
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		for name, raw := range members {
			if !bytes.Equal(claims.Raw(name), raw) {
				t.Errorf("%q is %s, encoding/json says %s", name, claims.Raw(name), raw)
			}
			for other := range members {
				if name != other && strings.EqualFold(name, other) {
					t.Errorf("%q and %q are both taken", name, other)
				}
			}
			sameString(t, claims, name, raw)
		}
		var exact map[string]json.RawMessage
		if err := claims.Decode(&exact); err != nil || len(exact) != len(members) {
			t.Errorf("decode: %d names of %d, %v", len(exact), len(members), err)
		}
	})
}

func sameString(t *testing.T, claims jose.Claims, name string, raw json.RawMessage) {
	t.Helper()
	var want string
	got, err := claims.String(name)
	isString := raw[0] == '"' && json.Unmarshal(raw, &want) == nil
	if isString != (err == nil) || got != want {
		t.Errorf("%q as a string: %q, %v, encoding/json says %q", name, got, err, want)
	}
}

// FuzzKeySet: no document makes it panic, and what it takes is public, strong
// and reads back the same.
func FuzzKeySet(f *testing.F) {
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.RS256, jose.EdDSA} {
		f.Add([]byte(`{"keys":[` + jwk(f, signer(f, algorithm)) + `]}`))
	}
	for _, v := range vectors(f) {
		f.Add([]byte(`{"keys":[` + string(v.JWK) + `]}`))
	}
	for _, text := range []string{
		`{"keys":[]}`, `{"keys":[{}]}`, `{"keys":[null,1,"x",[]]}`, `{"keys":[{"kty":"AKP","pub":"AA"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`,
		`{"keys":[{"kty":"RSA","n":"","e":""}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":""}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","x5c":["AAAA"]}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, _, err := jose.ParseKeySet(data)
		if err != nil {
			return
		}
		again, skipped, err := jose.ParseKeySet([]byte(marshal(t, set)))
		if err != nil || len(skipped) > 0 || again.Len() != set.Len() {
			t.Fatalf("%d keys read back as %d, skipped %v, error %v", set.Len(), again.Len(), skipped, err)
		}
		for _, key := range set.Keys() {
			other, ok := again.Key(key.ID())
			if !ok || !other.Equal(key) || key.Public() == nil || strings.HasPrefix(string(key.Algorithm()), "HS") {
				t.Errorf("%s is not a public key that reads back", key)
			}
		}
	})
}
