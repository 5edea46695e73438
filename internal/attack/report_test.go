package attack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/finding"
	"github.com/gatehouse-auth/gatehouse/internal/lab"
)

func flaw(t testing.TB, name string) lab.Flaw {
	t.Helper()
	at := slices.IndexFunc(lab.Flaws, func(f lab.Flaw) bool { return f.Name == name })
	if at < 0 {
		t.Fatalf("the lab has no %q", name)
	}
	return lab.Flaws[at]
}

func audited(t *testing.T, h house, name string, change func(*attack.Config)) attack.Report {
	t.Helper()
	c := h.config(t, flaw(t, name))
	if change != nil {
		change(&c)
	}
	report, err := attack.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// No report holds a token, a secret or the value of a header, in any form.
func TestReportsHoldNoToken(t *testing.T) {
	h := newHouse(t)
	valid, err := h.Token(flaw(t, "algorithm none"))
	if err != nil {
		t.Fatal(err)
	}
	report := audited(t, h, "algorithm none", func(c *attack.Config) {
		c.Targets[0].Headers = http.Header{"X-Api-Key": {"hush-hush"}}
		c.Targets[0].URL += "?api_key=hush-hush"
		c.Token = func(context.Context) (string, error) { return valid, nil }
	})
	for _, format := range attack.Formats {
		var b bytes.Buffer
		if err := report.Write(&b, format, false); err != nil {
			t.Fatal(err)
		}
		segments := strings.Split(valid, ".")
		for _, secret := range []string{segments[1], segments[2], "eyJ", "hush-hush"} {
			if strings.Contains(b.String(), secret) {
				t.Errorf("%s: the report holds %.12s…", format, secret)
			}
		}
		if !strings.Contains(b.String(), "T01") {
			t.Errorf("%s: the finding is missing", format)
		}
	}
}

// A second run has the same fingerprints, and a baseline file with them accepts
// what is known.
func TestFingerprintsAreStableAndAccepted(t *testing.T) {
	h, again := newHouse(t), newHouse(t) // two ports
	first, second := audited(t, h, "algorithm none", nil), audited(t, again, "algorithm none", nil)
	seen := map[string]bool{}
	for i, r := range first.Results {
		if seen[r.Fingerprint] {
			t.Errorf("%s: the fingerprint is given twice", r.ID)
		}
		seen[r.Fingerprint] = true
		if second.Results[i].Fingerprint != r.Fingerprint {
			t.Errorf("%s: %s, then %s", r.ID, r.Fingerprint, second.Results[i].Fingerprint)
		}
	}
	accepted, err := attack.ReadAccepted(strings.NewReader("# known\n" + first.Findings()[0].Fingerprint + " until the gateway is there\n"))
	if err != nil {
		t.Fatal(err)
	}
	third := audited(t, h, "algorithm none", func(c *attack.Config) { c.Accepted = accepted })
	if third.FailsAt(finding.Low) || third.Summary.Accepted != 1 {
		t.Errorf("the accepted finding still fails: %+v", third.Summary)
	}
	if _, err := attack.ReadAccepted(strings.NewReader("T01")); err == nil {
		t.Error("a baseline file without fingerprints was taken")
	}
}

func TestJUnitHasPassedTestsToo(t *testing.T) {
	report := audited(t, newHouse(t), "algorithm none", nil)
	var b bytes.Buffer
	if err := report.Write(&b, "junit", false); err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Skipped  int `xml:"skipped,attr"`
			Cases    []struct {
				Failure *struct{} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	s := suites.Suites[0]
	if s.Tests != len(attack.Rows()) || len(s.Cases) != s.Tests || s.Failures != 1 || s.Skipped != report.Summary.NotTestable || s.Tests-s.Failures-s.Skipped < 30 {
		t.Errorf("%d tests, %d failures, %d skipped", s.Tests, s.Failures, s.Skipped)
	}
}

func TestThePageLoadsAndRunsNothing(t *testing.T) {
	report := audited(t, newHouse(t), "algorithm none", nil)
	report.Results[0].Reason = `<script>alert(1)</script>`
	var b bytes.Buffer
	if err := report.Write(&b, "html", false); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if !strings.Contains(page, `content="default-src 'none'; style-src 'sha256-`) {
		t.Error("the page has no policy")
	}
	for _, bad := range []string{"<script", "<link", "<img", "src=", "style=", "javascript:"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
}

// A host that is not this machine is refused without permission, before
// anything is sent.
func TestPermission(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:1/": true, "http://localhost:1/": true, "http://[::1]:1/": true, "http://api.localhost:1/": true,
		"http://192.168.0.1/": false, "https://api.example.com/": false, "http://127.0.0.1.example.com/": false, "http://localhost@example.com/": false, "http://0.0.0.0/": false,
	} {
		if got := (attack.Target{URL: address}).Loopback(); got != want {
			t.Errorf("%s: loopback %v, want %v", address, got, want)
		}
	}
	_, err := attack.Run(t.Context(), attack.Config{Targets: []attack.Target{{URL: "https://api.example.com/orders"}}, Token: func(context.Context) (string, error) {
		t.Error("a token was asked for")
		return "", nil
	}})
	if err == nil || !strings.Contains(err.Error(), "--i-am-authorized") {
		t.Errorf("got %v", err)
	}
}

// An interrupted run gives what it has.
func TestInterruptedRunsReportAPart(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := h.config(t, flaw(t, "algorithm none"))
	c.Progress = func(p attack.Progress) {
		if p.ID == "T10" {
			cancel()
		}
	}
	report, err := attack.Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Interrupted || len(report.Results) != len(attack.Rows()) || rowsOf(report.Findings()) != "T01" {
		t.Errorf("interrupted %v, %d results, found %s", report.Interrupted, len(report.Results), rowsOf(report.Findings()))
	}
}

// T06: a key that is not published is recovered from two tokens. T80: what a
// key set must not hold. T50, J01, J02: how long the token lives. T54, T56, T62:
// tokens that the user has.
func TestRowsThatNeedMoreThanARoute(t *testing.T) {
	h := newHouse(t)
	confused := flaw(t, "one key for every algorithm")
	second, err := h.Token(confused)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := h.issuer.Signer("ES256")
	if err != nil {
		t.Fatal(err)
	}
	living := func(exp any) func(context.Context) (string, error) {
		return func(context.Context) (string, error) {
			return signer.Sign("at+jwt", h.issuer.Claims(map[string]any{"exp": exp}))
		}
	}
	published := func(document string) func(*attack.Config) {
		return func(c *attack.Config) { c.KeysDocument = []byte(document) }
	}
	for name, tc := range map[string]struct {
		api    string
		change func(*attack.Config)
		row    string
		want   attack.Verdict
	}{
		"T06 recovered":              {"one key for every algorithm", func(c *attack.Config) { c.Keys, c.More = (attack.Config{}).Keys, []string{second} }, "T06", attack.Vulnerable},
		"T06 without a second one":   {"one key for every algorithm", func(c *attack.Config) { c.Keys, c.Token = (attack.Config{}).Keys, always(second) }, "T06", attack.NotTestable},
		"T06 with tokens of its own": {"one key for every algorithm", func(c *attack.Config) { c.Keys = (attack.Config{}).Keys }, "T06", attack.Vulnerable},
		"T80 a secret":               {lab.Sound, published(`{"keys":[{"kty":"oct","k":"AAAA"}]}`), "T80", attack.Vulnerable},
		"T80 a private key":          {lab.Sound, published(`{"keys":[{"kty":"EC","d":"AAAA"}]}`), "T80", attack.Vulnerable},
		"T80 one kid twice":          {lab.Sound, published(`{"keys":[{"kty":"EC","kid":"a"},{"kty":"EC","kid":"a"}]}`), "T80", attack.Vulnerable},
		"T80 a good one":             {lab.Sound, published(`{"keys":[{"kty":"EC","kid":"a"},{"kty":"EC","kid":"b"}]}`), "T80", attack.Resisted},
		"T50 no expiry":              {"no check of dates", func(c *attack.Config) { c.Token = living(nil) }, "T50", attack.Vulnerable},
		"J01 two hours":              {lab.Sound, func(c *attack.Config) { c.Token = living(time.Now().Add(2 * time.Hour).Unix()) }, "J01", attack.Vulnerable},
		"J02 two days":               {lab.Sound, func(c *attack.Config) { c.Token = living(time.Now().Add(48 * time.Hour).Unix()) }, "J02", attack.Vulnerable},
		"J01 ten minutes":            {lab.Sound, nil, "J01", attack.Resisted},
		"T62 a revoked token":        {lab.Sound, func(c *attack.Config) { c.Extra = []attack.Extra{{Row: "T62", Name: "given-revoked", Raw: second}} }, "T62", attack.Vulnerable},
		"T62 none given":             {lab.Sound, nil, "T62", attack.NotTestable},
	} {
		t.Run(name, func(t *testing.T) {
			report := audited(t, h, tc.api, func(c *attack.Config) {
				if tc.change != nil {
					tc.change(c)
				}
				c.Only = []string{tc.row}
			})
			if got := report.Results[0]; got.ID != tc.row || got.Verdict != tc.want {
				t.Errorf("%s %s: %s", got.ID, got.Verdict, got.Reason)
			}
		})
	}
}

func always(raw string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return raw, nil }
}

func TestCompare(t *testing.T) {
	h := newHouse(t)
	only := func(c *attack.Config) { c.Only = []string{"T01", "T03"} }
	bad, good := audited(t, h, "algorithm none", only), audited(t, h, "algorithm none", only)
	for i := range good.Results {
		good.Results[i].Verdict = attack.Resisted
	}
	if d := attack.Compare(good, bad); len(d.Worse) != 1 || d.Worse[0].ID != "T01" || len(d.Better) != 0 {
		t.Errorf("worse: %+v", d)
	}
	if d := attack.Compare(bad, good); len(d.Better) != 1 || len(d.Worse) != 0 {
		t.Errorf("better: %+v", d)
	}
	if d := attack.Compare(bad, bad); len(d.Better)+len(d.Worse)+len(d.Other) != 0 {
		t.Errorf("the same: %+v", d)
	}
}

// The default rate on this machine has the whole catalogue done in half a
// minute.
func TestSpeed(t *testing.T) {
	began := time.Now()
	report := audited(t, newHouse(t), lab.Sound, func(c *attack.Config) { c.Rate, c.Concurrency = 0, 0 })
	took := time.Since(began)
	t.Logf("%d requests in %s", report.Targets[0].Requests, took.Round(100*time.Millisecond))
	if took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}

const catalogue = "../../docs/reference/audit.md"

// The page lists every attack as the program does.
func TestThePageHasEveryRow(t *testing.T) {
	content, err := os.ReadFile(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	var missing strings.Builder
	for _, row := range attack.Rows() {
		line := fmt.Sprintf("| %s | %s | %s | %s | %s |", row.ID, row.Title, row.Severity, attack.Sends(row.ID), strings.Join(row.References(), ", "))
		if !strings.Contains(string(content), line+"\n") {
			missing.WriteString(line + "\n")
		}
	}
	if missing.Len() > 0 {
		t.Errorf("%s lacks\n%s", catalogue, missing.String())
	}
}

// OpenAPI: every operation is a target, also one without declared security.
func TestOpenAPI(t *testing.T) {
	document := `openapi: 3.1.0
servers: [{url: "http://127.0.0.1:8081/v1"}]
security: [{bearer: []}]
paths:
  /orders/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string, default: a b}}
    get: {}
    delete:
      security: []
  /orders:
    post:
      parameters: [{$ref: "#/components/parameters/page"}]
      requestBody: {content: {application/json: {schema: {type: object, properties: {item: {type: string, example: lantern}}}}}}
components:
  parameters:
    page: {name: page, in: query, required: true, schema: {type: integer, default: 2}}
`
	targets, err := attack.OpenAPI([]byte(document), "api.yaml", "")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(targets)
	for _, want := range []string{`"URL":"http://127.0.0.1:8081/v1/orders/a%20b","Method":"GET"`, `"Method":"DELETE"`, `"Open":true`, `/v1/orders?page=2`, `{\"item\":\"lantern\"}`, `"Declared":"api.yaml:8"`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	for name, bad := range map[string]string{"no document": "x", "version 2": "swagger: 2.0", "no address": "openapi: 3.0.0\npaths: {/a: {get: {}}}", "no operation": "openapi: 3.0.0\nservers: [{url: http://a}]\npaths: {}"} {
		if _, err := attack.OpenAPI([]byte(bad), "api.yaml", ""); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// T73: an API that answers with whatever headers it is sent, as a demo or a
// debugging route does, does not believe them for that.
func TestT73AMirrorIsNoFinding(t *testing.T) {
	h := newHouse(t)
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask, err := http.NewRequest(http.MethodGet, h.url+flaw(t, lab.Sound).Path(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		ask.Header["Authorization"] = r.Header["Authorization"]
		answer, err := http.DefaultClient.Do(ask)
		if err != nil {
			t.Error(err)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		if answer.StatusCode == http.StatusOK {
			json.NewEncoder(w).Encode(r.Header)
		}
	}))
	defer mirror.Close()
	report := audited(t, h, lab.Sound, func(c *attack.Config) { c.Targets[0].URL, c.Only = mirror.URL, []string{"T73"} })
	if got := report.Results[0]; got.Verdict != attack.Suspect || !strings.Contains(fmt.Sprint(got), "whatever headers") {
		t.Errorf("%s: %+v", got.Verdict, got)
	}
}
