package attack_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/lab"
)

// rsaKey is a key with an exponent of one's choice.
func rsaKey(t testing.TB, e int64) *rsa.PrivateKey {
	t.Helper()
	one, exponent := big.NewInt(1), big.NewInt(e)
	for {
		p, errP := rand.Prime(rand.Reader, 1024)
		q, errQ := rand.Prime(rand.Reader, 1024)
		if errP != nil || errQ != nil {
			t.Fatal(errP, errQ)
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(exponent, phi)
		if d == nil || new(big.Int).Mul(p, q).BitLen() != 2048 {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: p.Mul(p, q), E: int(e)}, D: d}
		key.Primes = []*big.Int{q, new(big.Int).Div(key.N, q)}
		key.Precompute()
		return key
	}
}

// confusable is an API that takes its RSA key for a secret, whose key is nowhere
// published, and a source of its tokens.
func confusable(t *testing.T, algorithm jose.Algorithm, e int64) (*httptest.Server, func(context.Context) (string, error)) {
	t.Helper()
	signer, err := jose.NewSigner(algorithm, rsaKey(t, e))
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := lab.NewIssuer("https://issuer.lab.invalid", "https://orders.lab.invalid", jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	verifier := &lab.Verifier{Key: signer.Key(), Issuer: issuer.URL(), Audience: issuer.Audience(), Flaw: "one key for every algorithm"}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		subject, ok := verifier.Caller(r.Context(), raw)
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"subject": subject})
	}))
	t.Cleanup(api.Close)
	return api, func(context.Context) (string, error) { return signer.Sign("at+jwt", issuer.Claims(nil)) }
}

// T06 for RSA: the key is computed from two tokens or more, and used as T05 does.
func TestT06RecoversRSAKeys(t *testing.T) {
	for _, tc := range []struct {
		name      string
		algorithm jose.Algorithm
		e         int64
		more      int
		want      attack.Verdict
		reason    string
	}{
		{"RS256 with the exponent 3", jose.RS256, 3, 1, attack.Vulnerable, "accepted"},
		{"RS384 with the exponent 257", jose.RS384, 257, 1, attack.Vulnerable, "accepted"},
		{"RS512 from four tokens", jose.RS512, 17, 3, attack.Vulnerable, "accepted"},
		{"the usual exponent is not tried unasked", jose.RS256, 65537, 1, attack.NotTestable, "--recover-key"},
		{"PS256 has a salt", jose.PS256, 3, 1, attack.NotTestable, "no key can be computed from signatures of PS256"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			api, token := confusable(t, tc.algorithm, tc.e)
			var more []string
			for range tc.more {
				raw, err := token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				more = append(more, raw)
			}
			report, err := attack.Run(t.Context(), attack.Config{Targets: []attack.Target{{URL: api.URL}}, Token: token, More: more, Only: []string{"T06"}, Rate: 2000})
			if err != nil {
				t.Fatal(err)
			}
			if got := report.Results[0]; got.Verdict != tc.want || !strings.Contains(got.Reason, tc.reason) {
				t.Errorf("%s: %s", got.Verdict, got.Reason)
			}
			if noted := strings.Contains(strings.Join(report.Notes, " "), "was computed from"); noted != (tc.want == attack.Vulnerable) {
				t.Errorf("the notes are %q", report.Notes)
			}
		})
	}
}

// T06: tokens of two keys have no key in common, and one token is not two.
func TestT06NeedsTwoTokensOfOneKey(t *testing.T) {
	api, token := confusable(t, jose.RS256, 3)
	_, stranger := confusable(t, jose.RS256, 3)
	mine, err := token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := stranger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		more []string
		want string
	}{"of two keys": {[]string{theirs}, "different keys"}, "the same twice": {[]string{mine}, "one and the same"}, "none": {nil, "--second-token"}} {
		t.Run(name, func(t *testing.T) {
			report, err := attack.Run(t.Context(), attack.Config{Targets: []attack.Target{{URL: api.URL}}, Token: always(mine), More: tc.more, Only: []string{"T06"}, Rate: 2000})
			if err != nil {
				t.Fatal(err)
			}
			if got := report.Results[0]; got.Verdict != attack.NotTestable || !strings.Contains(got.Reason, tc.want) {
				t.Errorf("%s: %s", got.Verdict, got.Reason)
			}
		})
	}
}

// T06: Ctrl-C ends the long computation in seconds, and the report is a part.
func TestT06CanBeInterrupted(t *testing.T) {
	api, token := confusable(t, jose.RS256, 65537)
	more, err := token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var pressed time.Time
	report, err := attack.Run(ctx, attack.Config{
		Targets: []attack.Target{{URL: api.URL}}, Token: token, More: []string{more}, RecoverKey: true, Only: []string{"T06"}, Rate: 2000,
		Progress: func(p attack.Progress) {
			if p.Doing != "" && pressed.IsZero() {
				pressed = time.Now()
				cancel()
			}
		},
	})
	if err != nil || !report.Interrupted || len(report.Results) != 1 {
		t.Fatalf("%v, interrupted %v, %d results", err, report.Interrupted, len(report.Results))
	}
	if took := time.Since(pressed); pressed.IsZero() || took > 20*time.Second {
		t.Errorf("ended %s after it was told to", took)
	}
}
