package vectors

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// excluded are the vectors whose verdict we do not share, each with its reason.
var excluded = map[int]string{
	346: "the JWK's alg is not the header's: one key, one algorithm (RFC 8725 §3.1)",
	347: "the JWK's alg is not the header's: one key, one algorithm (RFC 8725 §3.1)",
	350: "the JWK's alg is not the header's: one key, one algorithm (RFC 8725 §3.1)",
	351: "the JWK's alg is not the header's: one key, one algorithm (RFC 8725 §3.1)",
	367: "byte for byte the valid vector 357: the file lost the padding it wanted to show",
	370: "byte for byte the valid vector 357: the file lost the padding it wanted to show",
	372: "marked valid, though `?` is not in the alphabet of base64url (RFC 7515 §2)",
	373: "marked valid, though `?` is not in the alphabet of base64url (RFC 7515 §2)",
}

type jwsGroup struct {
	Private json.RawMessage `json:"private"`
	Public  json.RawMessage `json:"public"`
	Tests   []struct {
		verdict
		JWS json.RawMessage `json:"jws"`
	} `json:"tests"`
}

// key is what a verifier holds: the public key, or the secret where there is none.
func (g jwsGroup) key() json.RawMessage {
	if len(g.Public) > 0 {
		return g.Public
	}
	return g.Private
}

func TestJOSE1_WycheproofJWS(t *testing.T) {
	f := load[jwsGroup](t, "json_web_signature_test.json")
	total, agreed := 0, 0
	for _, g := range f.TestGroups {
		for _, v := range g.Tests {
			total++
			got := accepts(g.key(), v.JWS)
			if reason, ok := excluded[v.ID]; ok {
				if got == (v.Result == "valid") {
					t.Errorf("tcId %d: agrees with the file; its exclusion is out of date (%s)", v.ID, reason)
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
	t.Logf("Wycheproof JWS: %d of %d as expected, %d excluded by name", agreed, total, len(excluded))
	if total != 401 || agreed != 393 {
		t.Errorf("%d of %d, want 393 of 401", agreed, total)
	}
}

// accepts tells whether a verifier with that one key takes the token. Some
// vectors are JSON objects: they reach an API as the text they are.
func accepts(jwk, jws json.RawMessage) bool {
	raw := string(jws)
	var text string
	if json.Unmarshal(jws, &text) == nil {
		raw = text
	}
	key, err := jose.ParseKey(jwk)
	if err != nil {
		return false
	}
	token, err := jose.Parse(raw)
	return err == nil && token.Verify(key) == nil
}
