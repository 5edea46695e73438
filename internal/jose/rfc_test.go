package jose_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// vector is an example of an RFC: a key, a token, and what we make of it.
type vector struct {
	Name  string          `json:"name"`
	JWK   json.RawMessage `json:"jwk"`
	Token string          `json:"token"`
	Want  string          `json:"want"`
	Why   string          `json:"why"` // where our verdict needs a reason
}

var verdicts = map[string]error{
	"valid": nil, "malformed": jose.ErrMalformed, "algorithm": jose.ErrAlgorithm, "signature": jose.ErrSignature, "critical": jose.ErrCritical,
}

func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/rfc.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRFCExamples(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			want, known := verdicts[v.Want]
			if !known || want != nil && v.Why == "" {
				t.Fatalf("want %q, why %q", v.Want, v.Why)
			}
			key, err := jose.ParseKey(v.JWK)
			if err != nil {
				t.Fatal(err)
			}
			token, err := jose.Parse(v.Token)
			if err == nil {
				err = token.Verify(key)
			}
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}

// RFC 7638 §3.1 and RFC 8037 A.3.
func TestJOSE10_ThumbprintExamples(t *testing.T) {
	for _, v := range []struct{ name, jwk, want string }{
		{"RFC 7638 §3.1", `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{"RFC 8037 A.3", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	} {
		key, err := jose.ParseKey([]byte(v.jwk))
		if err != nil {
			t.Fatal(err)
		}
		if got := key.Thumbprint(); got != v.want {
			t.Errorf("%s: got %s, want %s", v.name, got, v.want)
		}
	}
}
