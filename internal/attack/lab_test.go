package attack_test

import (
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/lab"
)

// house is the lab on a free port.
type house struct {
	*lab.House
	issuer *lab.Issuer
	url    string
}

func newHouse(t testing.TB) house {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	issuer, err := lab.NewIssuer(url, "https://orders.lab.invalid", jose.ES256, jose.RS256, jose.PS256, jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	h, err := lab.NewHouse(issuer, lab.Flaws, "pZ0v7mR2x9Qf4kW8sT1yB6nL3cD5gH0j")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return house{h, issuer, url}
}

// config is a run against one API of the lab, with the issuer's keys.
func (h house) config(t testing.TB, f lab.Flaw) attack.Config {
	t.Helper()
	c := attack.Config{
		Targets: []attack.Target{{URL: h.url + f.Path()}}, Keys: h.issuer.Keys(), Issuer: h.issuer.URL(), Audience: h.issuer.Audience(),
		Token:          func(context.Context) (string, error) { return h.Token(f) },
		CallbackListen: "127.0.0.1:0", AllowDoS: f.Costly, Rate: 2000, Timeout: 4 * time.Second, Patience: 2 * time.Second,
	}
	if f.Rows == "T79" {
		c.Fetches = h.issuer.Fetches
	}
	if f.Post {
		c.Targets[0].Method, c.Targets[0].Body = "POST", "{}"
	}
	if f.Cookie {
		c.Targets[0].Cookie = "session"
	}
	if f.Tokens() != "HS256" {
		signer, err := h.issuer.Signer(f.Tokens())
		if err != nil {
			t.Fatal(err)
		}
		c.Lab = signer
	}
	return c
}

func rowsOf(results []attack.Result) string {
	rows := map[string]bool{}
	for _, r := range results {
		rows[r.ID] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(rows)), " ")
}

// Each API of the lab has one flaw: the auditor finds it by its rows and
// nothing else, and says which rows of the catalogue no flaw shows.
func TestEveryFlawIsFoundAndNothingElse(t *testing.T) {
	h := newHouse(t)
	var mu sync.Mutex
	shown := map[string]bool{}
	planted, found, falsely := 0, 0, 0
	t.Run("lab", func(t *testing.T) {
		for _, f := range lab.Flaws {
			t.Run(f.Slug(), func(t *testing.T) {
				t.Parallel()
				report, err := attack.Run(t.Context(), h.config(t, f))
				if err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if reason, ok := lab.Unmeasurable[f.Name]; ok {
					at := report.Targets[0]
					said := at.Reason
					if said == "" {
						said = report.Results[len(report.Results)-1].Reason
					}
					if !strings.Contains(said, reason) || len(report.Findings()) > 0 {
						t.Errorf("got %q with %s, want NOT_TESTABLE with %q", said, rowsOf(report.Findings()), reason)
					}
					return
				}
				got := rowsOf(report.Findings())
				for id := range strings.FieldsSeq(f.Rows) {
					planted++
					if strings.Contains(got, id) {
						found++
						shown[id] = true
					}
				}
				for id := range strings.FieldsSeq(got) {
					if !strings.Contains(f.Rows, id) {
						falsely++
					}
				}
				if got != f.Rows {
					t.Errorf("found %q, want %q", got, f.Rows)
					for _, r := range report.Findings() {
						t.Log(r.ID, r.Severity, r.Reason, r.Evidence)
					}
					if !report.Targets[0].Measurable {
						t.Log(report.Targets[0])
					}
				}
				for _, r := range report.Results {
					if (r.Verdict == attack.Suspect) != (r.ID == f.Suspect) {
						t.Errorf("%s is %s: %s", r.ID, r.Verdict, r.Reason)
					}
				}
			})
		}
	})
	var without []string
	for _, row := range attack.Rows() {
		if !shown[row.ID] {
			without = append(without, row.ID)
		}
	}
	t.Logf("planted %d rows, found %d (recall %.2f), %d found that were not planted (precision %.2f)", planted, found, float64(found)/float64(planted), falsely, float64(found)/float64(found+falsely))
	t.Logf("rows that no API of the lab shows: %s", strings.Join(without, " "))
}
