package page_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
	"github.com/gatehouse-auth/gatehouse/internal/inspect"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/page"
)

// germanPage is the page about a token as a German browser gets it.
func germanPage(t *testing.T, view page.InspectReport) string {
	t.Helper()
	w := httptest.NewRecorder()
	pages(t, page.Config{}).Inspect(w, request("de"), 200, page.Inspect{Report: view})
	return w.Body.String()
}

var marked = regexp.MustCompile(`<span lang="en">([^<]*)`)

// Every finding that the inspector can have has its words in German. Which those
// are the inspector's source says.
func TestFindingsAreSaidInGerman(t *testing.T) {
	source, err := os.ReadFile("../inspect/finding.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range finding.Table {
		if !strings.Contains(string(source), `"`+f.ID+`"`) {
			continue
		}
		seen++
		body := germanPage(t, page.InspectReport{Verdict: "invalid", Findings: []page.InspectFinding{{ID: f.ID, Severity: string(f.Severity), Title: f.Title, Why: f.Why, Fix: f.Fix}}})
		for _, m := range marked.FindAllStringSubmatch(body, -1) {
			t.Errorf("%s: %q has no translation", f.ID, m[1])
		}
		if strings.Contains(body, f.Why) {
			t.Errorf("%s is said in English", f.ID)
		}
	}
	if seen < 45 {
		t.Errorf("only %d findings were looked at", seen)
	}
}

// Every claim that the inspector explains is explained in German, and the
// sentences around them.
func TestClaimsAreSaidInGerman(t *testing.T) {
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	claims := map[string]any{
		"iss": "https://auth.example.com", "sub": "usr_1", "aud": []string{"a", "b"}, "exp": now.Add(3 * 24 * time.Hour).Unix(), "iat": now.Add(-time.Minute).Unix(), "nbf": now.Unix(), "auth_time": now.Add(-50 * time.Hour).Unix(),
		"scope": "a b c", "roles": []string{"x", "admin"}, "amr": []string{"pwd", "otp"}, "acr": "mfa", "email": "ada@example.com", "email_verified": false, "cnf": map[string]string{"jkt": "x"}, "act": map[string]string{"sub": "svc"}, "gty": "password", "ver": "2.0", "updated_at": now.Unix(),
		"custom:x": "1", "password": "hunter2",
	}
	source, err := os.ReadFile("../inspect/claims.go")
	if err != nil {
		t.Fatal(err)
	}
	words, _, _ := strings.Cut(string(source), "// times are claims")
	for _, m := range regexp.MustCompile(`"([a-zA-Z_:.#0-9-]+)": "[a-zA-Z]`).FindAllStringSubmatch(words, -1) {
		if claims[m[1]] == nil {
			claims[m[1]] = "x"
		}
	}
	delete(claims, "kid")
	raw, err := signer.Sign("JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	for name, input := range map[string]string{"whole": "Bearer " + raw, "cut off": raw[:len(raw)-30], "no signature": raw[:strings.LastIndexByte(raw, '.')+1], "none": "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.", "encoded": "ZXlKaGJHY2lPaUp1YjI1bEluMC5leUpsZUhBaU9qRjku",
		"nothing": " ", "an opaque one": "gho_1234567890abcdefghij", "words": "no token here", "a key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "a JWK": `{"kty":"EC"}`, "a private JWK": `{"kty":"EC","d":"x"}`, "JSON": `{"a":1}`, "JSON form": `{"payload":"e30","signatures":[]}`,
		"PASETO": "v4.public.abc", "encrypted": "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", "three parts": "aaaa.bbbb.cccc", "two": raw + " " + raw + "x"} {
		report := inspect.Inspect(input, inspect.Options{Keys: inspect.FromSet(jose.NewKeySet(signer.Key()), "this issuer"), Now: now})
		view := page.InspectReport{Verdict: string(report.Verdict), Kind: report.Kind.Title, Advice: report.Kind.Advice, Notes: report.Found.Notes, Not: strings.Join(report.Unchecked, ", ")}
		if report.Life != nil {
			view.Life = report.Life.Text
		}
		for _, r := range report.Reasons {
			view.Reasons = append(view.Reasons, page.InspectReason{Text: r.Text})
		}
		for _, c := range append(report.Claims, report.Header...) {
			view.Claims = append(view.Claims, page.InspectClaim{Name: c.Name, Meaning: c.Meaning})
		}
		for _, f := range report.Findings {
			view.Findings = append(view.Findings, page.InspectFinding{ID: f.ID, Severity: string(f.Severity), Title: f.Title, Detail: f.Detail, Why: f.Why, Fix: f.Fix})
		}
		body := germanPage(t, view)
		for _, m := range marked.FindAllStringSubmatch(body, -1) {
			// A name of a claim, and nothing else, is the same in both languages.
			if regexp.MustCompile(`^[a-z_:&;0-9#]+(?:, [a-z_:]+)*$`).MatchString(m[1]) {
				continue
			}
			t.Errorf("%s: %q has no translation", name, m[1])
		}
		for _, english := range []string{" ago", "expires", " days", "who made it", " is missing"} {
			if strings.Contains(body, english) {
				t.Errorf("%s: the page says %q", name, english)
			}
		}
	}
}

// A sentence without a translation is marked as English; markup stays text, and
// the English page says everything as it is.
func TestPhrase(t *testing.T) {
	view := page.InspectReport{Verdict: "invalid", Reasons: []page.InspectReason{{Text: "no sentence of ours <b>"}, {Text: "typ is <script>"}}}
	body := germanPage(t, view)
	for _, want := range []string{`<span lang="en">no sentence of ours &lt;b&gt;</span>`, `typ ist &lt;script&gt;`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	w := httptest.NewRecorder()
	pages(t, page.Config{}).Inspect(w, request("en"), 200, page.Inspect{Report: view})
	if !strings.Contains(w.Body.String(), `<p>no sentence of ours &lt;b&gt;</p>`) || strings.Contains(w.Body.String(), `<span lang="en">`) {
		t.Error("the English page is not as it was")
	}
}

// Every pattern has in German the holes that it has in English.
func TestPhrasesHaveTheSameHoles(t *testing.T) {
	content, err := os.ReadFile("phrases/de.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]string
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	holes := regexp.MustCompile(`\{(\d)d?\}`)
	for english, german := range all {
		count := map[string]int{}
		for _, m := range holes.FindAllStringSubmatch(english, -1) {
			count[m[1]]++
		}
		for _, m := range holes.FindAllStringSubmatch(german, -1) {
			count[m[1]]--
		}
		for hole, n := range count {
			if n != 0 {
				t.Errorf("%q: {%s} is not in both", english, hole)
			}
		}
		if german == "" || strings.Contains(german, "  ") {
			t.Errorf("%q: %q", english, german)
		}
	}
}
