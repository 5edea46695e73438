package guardtest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/lab"
)

// sloppy is a handler behind a verifier with a flaw.
func sloppy(v *lab.Verifier) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, ok := v.Caller(r.Context(), raw); !ok {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
}

func TestAttackFindsTheFlawAndNoOther(t *testing.T) {
	issuers := map[string]*Issuer{}
	for _, algorithm := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
		issuers[algorithm] = NewIssuer(t)
		issuers[algorithm].RotateTo(algorithm)
		issuers[algorithm].patience = 5 * time.Second
	}
	seen := map[string]bool{}
	for _, tc := range []struct {
		flaw      string
		rows      string // exactly these rows are reported
		algorithm string // of the key, "" for ES256
	}{
		{"", "", ""},
		{"", "", "RS256"},
		{"", "", "PS256"},
		{"", "", "EdDSA"},
		{"signature not checked", "*", ""},
		{"signature checked only when there is one", "T03", ""},
		{"algorithm none", "T01", ""},
		{"algorithm none in any case", "T02", ""},
		{"one key for every algorithm", "T05", ""},
		{"a development secret", "T10 T25", ""},
		{"an empty secret", "T11", ""},
		{"zero is a signature", "T12 T13", ""},
		{"DER is a signature", "T13", ""},
		{"S is not compared with the order", "T14", "EdDSA"},
		{"the key of the header", "T15 T25", "RS256"},
		{"any salt will do", "T15", "PS256"},
		{"a comparison that is cut short", "T13 T16 T63", ""},
		{"more bytes of a signature are ignored", "T13 T63", ""},
		{"a cache keyed by the signature", "T01 T04 T32 T37", ""},
		{"keys are fetched from jku", "T23", ""},
		{"keys are fetched from x5u", "T24", ""},
		{"any issuer is as good as ours", "T09 T30 T55", ""},
		{"more segments are ignored", "T39", ""},
		{"expired is asked first", "T17 T51 T52", ""},
		{"the secret of the client that the token names", "T18", ""},
		{"kid is a file", "T20", ""},
		{"kid is a query", "T21", ""},
		{"an unknown kid finds no key", "T18 T20 T21 T22", ""},
		{"the key of the header", "T25", ""},
		{"the certificate of the header", "T26", ""},
		{"the algorithm of the token is not looked at", "T07 T08", ""},
		{"no check of crit", "T27", ""},
		{"no check of b64", "T28", ""},
		{"b64 is honoured", "T27 T28", ""},
		{"lenient JSON", "T29 T32", ""},
		{"lenient base64", "T31", ""},
		{"no check of zip", "T32", ""},
		{"JSON serialization", "T33", ""},
		{"five segments are decrypted", "T34 T35 T37", ""},
		{"passwords take as long as the token says", "T36", ""},
		{"no check of size", "T38", ""},
		{"no check of dates", "T50 T52", ""},
		{"no check of exp", "T51 T52", ""},
		{"five minutes of leeway and more", "T51", ""},
		{"no check of nbf", "T52 T53", ""},
		{"no check of aud", "T54", ""},
		{"audience by prefix", "T54", ""},
		{"no check of iss", "T55", ""},
		{"issuer in a list", "T55", ""},
		{"no check of typ", "T56", ""},
		{"no check of types", "T58", ""},
		{"no check of cnf", "C9", ""},
	} {
		algorithm := or(tc.algorithm, "ES256")
		iss := issuers[algorithm]
		t.Run(strings.TrimSpace(tc.flaw+" "+tc.algorithm), func(t *testing.T) {
			h := sloppy(&lab.Verifier{Key: iss.signer.Key(), Issuer: iss.URL(), Audience: audience, Flaw: tc.flaw})
			r := iss.attack(h, httptest.NewRequest("GET", "/", nil), Token{Audience: audience}, nil)
			if tc.rows == "*" {
				if !strings.Contains(r.broken, "broken gets the same answer") {
					t.Errorf("got %q", r.broken)
				}
				return
			}
			if r.broken != "" {
				t.Fatal(r.broken)
			}
			found := map[string]bool{}
			for _, f := range r.findings {
				found[f.forged.ID], seen[f.forged.ID] = true, true
			}
			if got := strings.Join(slices.Sorted(maps.Keys(found)), " "); got != tc.rows {
				t.Errorf("rows %q, want %q", got, tc.rows)
				for _, f := range r.findings {
					t.Log(f.forged.ID, f.forged.Name)
				}
			}
		})
	}
	for _, row := range forge.Catalogue {
		if row.Without == "" && !seen[row.ID] {
			t.Errorf("%s %s: no flaw shows that Attack finds it", row.ID, row.Title)
		}
	}
}
