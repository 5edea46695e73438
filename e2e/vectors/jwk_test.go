package vectors

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// secretSets are valid vectors whose key set holds HMAC secrets. A published
// set never yields a secret (RFC 7517 §9.3), so they are refused as sets; the
// same test proves that each verifies as a secret that an operator holds.
var secretSets = map[int]bool{2: true, 13: true, 14: true, 15: true}

func TestJOSE5_WycheproofJWK(t *testing.T) {
	f := load[jwsGroup](t, "json_web_key_test.json")
	total, agreed := 0, 0
	for _, g := range f.TestGroups {
		for _, v := range g.Tests {
			total++
			got := setAccepts(g.key(), v.JWS)
			if secretSets[v.ID] {
				if got || !secretAccepts(g.key(), v.JWS) {
					t.Errorf("tcId %d: a secret must verify when given as one, and never from a set", v.ID)
				}
				continue
			}
			if got != (v.Result == "valid") {
				t.Errorf("tcId %d %s: accepted=%v, the file says %s", v.ID, v.Comment, got, v.Result)
				continue
			}
			agreed++
		}
	}
	t.Logf("Wycheproof JWK: %d of %d as expected, %d excluded by name", agreed, total, len(secretSets))
	if total != 26 || agreed != 22 {
		t.Errorf("%d of %d, want 22 of 26", agreed, total)
	}
}

func setAccepts(jwks, jws json.RawMessage) bool {
	set, _, err := jose.ParseKeySet(jwks)
	if err != nil {
		return false
	}
	var raw string
	if json.Unmarshal(jws, &raw) != nil {
		return false
	}
	token, err := jose.Parse(raw)
	if err != nil {
		return false
	}
	key, ok := set.Key(token.KeyID())
	return ok && token.Verify(key) == nil
}

// secretAccepts is setAccepts for secrets that were given to us one by one.
func secretAccepts(jwks, jws json.RawMessage) bool {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(jwks, &set) != nil {
		return false
	}
	for _, k := range set.Keys {
		if accepts(k, jws) {
			return true
		}
	}
	return false
}
