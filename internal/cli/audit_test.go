package cli_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/cli"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/lab"
)

// audited is an API with a flaw, its issuer at the same address, and the files
// that a user would have.
type audited struct {
	url    string // of the route
	dir    string
	issuer *lab.Issuer
	signer jose.Signer

	mu   sync.Mutex
	seen []seen
}

type seen struct {
	method, token, body string
	header              http.Header
	at                  time.Time
}

const auditAudience = "https://orders.lab.invalid"

// newAudited starts one. take says where it takes its token from; nil is the
// Authorization header. flaw is one of package lab, "" for none.
func newAudited(t *testing.T, flaw string, take func(*http.Request) string) *audited {
	t.Helper()
	a := &audited{dir: t.TempDir()}
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	var err error
	if a.issuer, err = lab.NewIssuer(base, auditAudience, jose.ES256); err != nil {
		t.Fatal(err)
	}
	if a.signer, err = a.issuer.Signer(jose.ES256); err != nil {
		t.Fatal(err)
	}
	if take == nil {
		take = func(r *http.Request) string {
			raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			return raw
		}
	}
	verifier := &lab.Verifier{Key: a.signer.Key(), Issuer: base, Audience: auditAudience, Flaw: flaw}
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/orders" {
			a.issuer.ServeHTTP(w, r)
			return
		}
		var body bytes.Buffer
		body.ReadFrom(r.Body)
		r.Body = http.NoBody
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			r.Body = readCloser{bytes.NewReader(body.Bytes())}
		}
		raw := take(r)
		a.mu.Lock()
		a.seen = append(a.seen, seen{r.Method, raw, body.String(), r.Header.Clone(), time.Now()})
		a.mu.Unlock()
		subject, ok := verifier.Caller(r.Context(), raw)
		w.Header().Set("Content-Type", "application/json")
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"subject": subject})
	})
	server.Start()
	t.Cleanup(server.Close)
	a.url = base + "/orders"
	a.write(t, "token", a.token(t, nil))
	return a
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// token is one of the issuer's with changes.
func (a *audited) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	raw, err := a.signer.Sign("at+jwt", a.issuer.Claims(changes))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (a *audited) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// audit runs the command as JSON and quickly.
func (a *audited) audit(t *testing.T, args ...string) (code int, report attack.Report, errs string) {
	t.Helper()
	args = append([]string{"audit", a.url, "--token", "@" + filepath.Join(a.dir, "token"), "--format", "json", "--quiet", "--rate", "2000"}, args...)
	code, out, errs := run(t, args...)
	if out != "" {
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	return code, report, errs
}

func verdictOf(report attack.Report, id string) attack.Result {
	for _, r := range report.Results {
		if r.ID == id {
			return r
		}
	}
	return attack.Result{}
}

// A secret typed into any flag is refused, and how to pass it is said.
func TestAuditRefusesPastedSecrets(t *testing.T) {
	a := newAudited(t, "", nil)
	raw := a.token(t, nil)
	for _, flag := range []string{"--token", "--second-token", "--id-token", "--expired", "--other-audience", "--revoked", "--login-secret"} {
		code, out, errs := run(t, "audit", a.url, flag, raw)
		if code != 2 || !strings.Contains(errs, "stays in the shell's history") || !strings.Contains(errs, flag+" @FILE") || strings.Contains(out+errs, "eyJ") {
			t.Errorf("%s: %d %s", flag, code, errs)
		}
	}
	for _, header := range []string{"Authorization: Bearer x", "cookie: session=x", "X-Token: " + raw} {
		if code, _, errs := run(t, "audit", a.url, "--token", "@"+filepath.Join(a.dir, "token"), "--header", header); code != 2 || !strings.Contains(errs, "--header @FILE") {
			t.Errorf("%.20s: %d %s", header, code, errs)
		}
	}
	if len(a.seen) > 0 {
		t.Error("something was sent")
	}
}

// How a request is made: method, headers, body, and where the token goes.
func TestAuditSendsWhatItIsTold(t *testing.T) {
	cookie := func(r *http.Request) string {
		c, err := r.Cookie("session")
		if err != nil {
			return ""
		}
		return c.Value
	}
	field := func(r *http.Request) string { return r.PostFormValue("token") }
	for _, tc := range []struct {
		name  string
		take  func(*http.Request) string
		args  func(*audited) []string
		check func(seen) string
	}{
		{"the header", nil, func(*audited) []string { return nil }, func(s seen) string { return s.header.Get("Authorization")[:10] + s.method }},
		{"a cookie", cookie, func(*audited) []string { return []string{"--cookie", "session"} }, func(s seen) string { return s.header.Get("Authorization") + "Bearer eyJGET" }},
		{"a form field", field, func(*audited) []string { return []string{"--form-field", "token", "--method", "POST", "--data", "a=1"} }, func(s seen) string { return "Bearer eyJ" + strings.TrimPrefix(s.body, "a=1&")[:6] + s.method }},
		{"method, header and body", nil, func(*audited) []string {
			return []string{"-X", "POST", "-H", "X-Tenant: t1", "-H", "Accept: a/b", "-d", `{"a":1}`}
		}, func(s seen) string {
			return s.header.Get("Authorization")[:10] + s.method + s.header.Get("X-Tenant") + s.header.Get("Accept") + s.body
		}},
		{"header and body from files", nil, func(a *audited) []string {
			return []string{"-X", "PUT", "-H", "@" + a.write(t, "headers", "X-Api-Key: hush\nCookie: other=1\n\n"), "-d", "@" + a.write(t, "body", "from a file")}
		}, func(s seen) string {
			return s.header.Get("Authorization")[:10] + s.method + s.header.Get("X-Api-Key") + s.header.Get("Cookie") + s.body
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAudited(t, "algorithm none", tc.take)
			code, report, errs := a.audit(t, append(tc.args(a), "--only", "T01")...)
			if code != 3 || verdictOf(report, "T01").Verdict != attack.Vulnerable {
				t.Fatalf("%d %s %+v", code, errs, report.Results)
			}
			want := map[string]string{
				"the header": "Bearer eyJGET", "a cookie": "Bearer eyJGET", "a form field": "Bearer eyJtoken=POST",
				"method, header and body": `Bearer eyJPOSTt1a/b{"a":1}`, "header and body from files": "Bearer eyJPUThushother=1from a file",
			}[tc.name]
			if got := tc.check(a.seen[0]); got != want {
				t.Errorf("sent %q, want %q", got, want)
			}
			if strings.Contains(fmt.Sprintf("%+v", report), "hush") {
				t.Error("the value of a header is in the report")
			}
		})
	}
}

// Where the issuer's key comes from: T05 can be sent with each, and cannot
// without any.
func TestAuditFindsKeys(t *testing.T) {
	a := newAudited(t, "one key for every algorithm", nil)
	set, err := json.Marshal(a.issuer.Keys())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(a.signer.Private().Public())
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, a.signer.Private().Public(), a.signer.Private())
	if err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSuffix(a.url, "/orders")
	files := map[string]string{
		"jwks":        a.write(t, "jwks.json", string(set)),
		"public":      a.write(t, "public.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))),
		"certificate": a.write(t, "certificate.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))),
		"nonsense":    a.write(t, "nonsense", "nonsense"),
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		want attack.Verdict
		says string
	}{
		"by discovery":             {nil, 3, attack.Vulnerable, ""},
		"--jwks FILE":              {[]string{"--jwks", files["jwks"]}, 3, attack.Vulnerable, ""},
		"--jwks URL":               {[]string{"--jwks", base + "/jwks.json"}, 3, attack.Vulnerable, ""},
		"--public-key":             {[]string{"--public-key", files["public"]}, 3, attack.Vulnerable, ""},
		"--public-key certificate": {[]string{"--public-key", files["certificate"]}, 3, attack.Vulnerable, ""},
		"nowhere":                  {[]string{"--issuer", "http://127.0.0.1:1"}, 0, attack.NotTestable, "--jwks"},
		"--jwks of no set":         {[]string{"--jwks", files["nonsense"]}, 2, "", "--jwks"},
		"--jwks URL of no set":     {[]string{"--jwks", base + "/nothing"}, 1, "", "--jwks"},
		"--jwks without a file":    {[]string{"--jwks", files["jwks"] + "x"}, 1, "", "read --jwks"},
		"--public-key of no key":   {[]string{"--public-key", files["nonsense"]}, 2, "", "BEGIN CERTIFICATE"},
	} {
		t.Run(name, func(t *testing.T) {
			code, report, errs := a.audit(t, append(tc.args, "--only", "T05")...)
			if got := verdictOf(report, "T05"); code != tc.code || got.Verdict != tc.want || !strings.Contains(errs+got.Reason, tc.says) {
				t.Errorf("%d %s %s %s", code, got.Verdict, got.Reason, errs)
			}
		})
	}
}

// Genuine tokens that this API must refuse, given by the user.
func TestAuditTriesTokensThatAreGiven(t *testing.T) {
	now := time.Now().Unix()
	for _, tc := range []struct {
		flag, row, flaw string
		changes         map[string]any
		kind            string
	}{
		{"--id-token", "T56", "no check of typ", nil, "JWT"},
		{"--expired", "T51", "no check of exp", map[string]any{"exp": now - 3600, "iat": now - 7200}, "at+jwt"},
		{"--other-audience", "T54", "no check of aud", map[string]any{"aud": "https://other.invalid"}, "at+jwt"},
		{"--revoked", "T62", "sound", map[string]any{"jti": "revoked"}, "at+jwt"},
	} {
		for _, flaw := range []string{tc.flaw, ""} {
			t.Run(tc.flag+" "+flaw, func(t *testing.T) {
				a := newAudited(t, flaw, nil)
				raw, err := a.signer.Sign(tc.kind, a.issuer.Claims(tc.changes))
				if err != nil {
					t.Fatal(err)
				}
				want, wantCode := attack.Vulnerable, 3
				if flaw == "" && tc.row != "T62" { // no API of the lab knows who logged out
					want, wantCode = attack.Resisted, 0
				}
				code, report, errs := a.audit(t, tc.flag, "@"+a.write(t, "extra", "Authorization: Bearer "+raw+"\n"), "--only", tc.row)
				got := verdictOf(report, tc.row)
				if code != wantCode || got.Verdict != want {
					t.Errorf("%d %s %s %s", code, got.Verdict, got.Reason, errs)
				}
				if want == attack.Vulnerable && got.Evidence[0].Name != "given"+tc.flag[1:] {
					t.Errorf("the evidence is %+v", got.Evidence)
				}
			})
		}
	}
}

// A secret that only the user's own list has is found, and not shown.
func TestAuditWordlist(t *testing.T) {
	a := newAudited(t, "", nil)
	const secret = "Correct-Horse-7"
	raw, err := a.issuer.SecretToken(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier := &lab.Verifier{Secret: []byte(secret), Issuer: a.issuer.URL(), Audience: auditAudience}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		subject, ok := verifier.Caller(r.Context(), token)
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintln(w, "orders of", subject)
	}))
	defer api.Close()
	a.url = api.URL
	a.write(t, "token", raw)
	if code, report, _ := a.audit(t, "--only", "T10"); code != 0 || verdictOf(report, "T10").Verdict != attack.Resisted {
		t.Errorf("without the list: %d %+v", code, report.Results)
	}
	code, report, _ := a.audit(t, "--only", "T10", "--wordlist", a.write(t, "words", "one\r\ntwo\n"+secret+"\r\n"))
	got := verdictOf(report, "T10")
	if code != 3 || !strings.Contains(got.Reason, "line 3 of the --wordlist") || strings.Contains(fmt.Sprintf("%+v", report), secret) {
		t.Errorf("with the list: %d %+v", code, got)
	}
}

// C37: the exit codes, by what was found and what was asked.
func TestAuditExitCodes(t *testing.T) {
	medium := newAudited(t, "no check of typ", nil) // T56 is medium unless a given token shows it
	if err := medium.issuer.Save(filepath.Join(medium.dir, "lab")); err != nil {
		t.Fatal(err)
	}
	critical := newAudited(t, "algorithm none", nil)
	sound := newAudited(t, "", nil)
	var public *audited
	public = newAudited(t, "", func(*http.Request) string { return public.token(t, nil) })
	refusing := newAudited(t, "", func(*http.Request) string { return "" })
	for _, tc := range []struct {
		name string
		api  *audited
		args []string
		code int
		says string
	}{
		{"critical fails at critical", critical, []string{"--only", "T01", "--fail-on", "critical"}, 3, "1 findings of severity critical"},
		{"medium fails at low", medium, []string{"--only", "T56", "--lab", filepath.Join(medium.dir, "lab"), "--fail-on", "low"}, 3, "severity low"},
		{"medium fails at medium", medium, []string{"--only", "T56", "--lab", filepath.Join(medium.dir, "lab"), "--fail-on", "medium"}, 3, "severity medium"},
		{"medium passes at high", medium, []string{"--only", "T56", "--lab", filepath.Join(medium.dir, "lab"), "--fail-on", "high"}, 0, ""},
		{"medium passes at critical", medium, []string{"--only", "T56", "--lab", filepath.Join(medium.dir, "lab"), "--fail-on", "critical"}, 0, ""},
		{"nothing found", sound, []string{"--only", "T01"}, 0, ""},
		{"a public route", public, nil, 5, "Public route"},
		{"a route that takes nothing", refusing, nil, 5, "nothing could be measured"},
		{"an unknown severity", sound, []string{"--fail-on", "terrible"}, 2, "--fail-on takes"},
		{"info is no severity to fail on", sound, []string{"--fail-on", "info"}, 2, "--fail-on takes"},
		{"an unknown format", sound, []string{"--format", "pdf"}, 2, "no --format pdf"},
		{"no token in the file", sound, []string{"--token", "@" + sound.write(t, "empty", "\n")}, 2, "nothing in"},
		{"an opaque token", sound, []string{"--token", "@" + sound.write(t, "opaque", "gho_1234")}, 2, "no signed JWT"},
		{"two sources of tokens", sound, []string{"--login-client", "x"}, 2, "Use one of them"},
		{"a baseline file of something else", sound, []string{"--baseline", sound.write(t, "base", "T01")}, 2, "--baseline"},
		{"a folder that is no lab", sound, []string{"--lab", sound.dir}, 2, "production authority"},
		{"an unknown flag", sound, []string{"--tokens", "@x"}, 2, "unknown flag"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, _, errs := tc.api.audit(t, tc.args...)
			if code != tc.code || !strings.Contains(errs, tc.says) {
				t.Errorf("exit code %d, want %d: %s", code, tc.code, errs)
			}
		})
	}
	sound.url = "http://127.0.0.1:1/orders"
	if code, _, errs := sound.audit(t, "--issuer", "http://127.0.0.1:1"); code != 6 || !strings.Contains(errs, "cannot be reached") {
		t.Errorf("nobody there: %d %s", code, errs)
	}
}

// A known finding is accepted by its fingerprint; another one still fails.
func TestAuditBaselineFile(t *testing.T) {
	a := newAudited(t, "algorithm none", nil)
	_, report, _ := a.audit(t, "--only", "T01")
	known := a.write(t, "known", "# reviewed\n\n"+verdictOf(report, "T01").Fingerprint+" until the new gateway is there\n")
	code, report, _ := a.audit(t, "--only", "T01", "--baseline", known)
	if got := verdictOf(report, "T01"); code != 0 || got.Accepted != "until the new gateway is there" || report.Summary.Accepted != 1 {
		t.Errorf("%d %+v", code, got)
	}
	other := newAudited(t, "signature checked only when there is one", nil)
	if code, report, _ := other.audit(t, "--only", "T03", "--baseline", known); code != 3 {
		t.Errorf("another finding: %d %+v", code, report.Results)
	}
}

// A host that is not this machine needs --i-am-authorized; the report names it.
func TestAuditPermission(t *testing.T) {
	a := newAudited(t, "", nil)
	a.url = "http://192.0.2.1/orders" // RFC 5737: nobody
	code, _, errs := a.audit(t, "--issuer", "http://127.0.0.1:1")
	if code != 2 || !strings.Contains(errs, "--i-am-authorized") || !strings.Contains(errs, "192.0.2.1") {
		t.Errorf("%d %s", code, errs)
	}
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // so that nothing leaves this machine
	code, report, errs := a.audit(t, "--issuer", "http://127.0.0.1:1", "--i-am-authorized", "--timeout", "2s")
	if code != 6 || report.Targets[0].Host != "192.0.2.1" || !strings.Contains(report.Permission, "--i-am-authorized") {
		t.Errorf("%d %s %+v", code, errs, report.Targets)
	}
}

// Two requests are never nearer than the rate allows.
func TestAuditRate(t *testing.T) {
	a := newAudited(t, "", nil)
	code, report, errs := a.audit(t, "--only", "T01", "--rate", "25")
	if code != 0 {
		t.Fatal(code, errs)
	}
	took := a.seen[len(a.seen)-1].at.Sub(a.seen[0].at)
	if least := time.Duration(len(a.seen)-1) * 35 * time.Millisecond; took < least || int(report.Targets[0].Requests) != len(a.seen) {
		t.Errorf("%d requests in %s, %d in the report", len(a.seen), took, report.Targets[0].Requests)
	}
}

// --methods keeps the operations of a document that are named; each skips and
// only takes rows and single requests.
func TestAuditMethodsOnlyAndSkip(t *testing.T) {
	a := newAudited(t, "", nil)
	document := a.write(t, "api.yaml", fmt.Sprintf("openapi: 3.0.3\ninfo: {title: o, version: '1'}\nservers: [{url: %s}]\npaths: {/orders: {get: {}, post: {}, delete: {}}}\n", strings.TrimSuffix(a.url, "/orders")))
	a.url = strings.TrimSuffix(a.url, "/orders")
	code, report, errs := a.audit(t, "--openapi", document, "--methods", "get,HEAD", "--only", "T01", "--only", "alg-none", "--skip", "T02")
	if code != 0 || len(report.Targets) != 1 || !strings.HasPrefix(report.Targets[0].Route, "GET ") || len(report.Results) == 0 {
		t.Errorf("%d %s %+v", code, errs, report.Targets)
	}
	for _, s := range a.seen {
		if s.method != "GET" {
			t.Errorf("a %s was sent", s.method)
		}
	}
	for _, r := range report.Results {
		if r.ID == "T02" {
			t.Error("T02 was not skipped")
		}
	}
}

// Ctrl-C gives a report of what was done until then, in every form, and 130.
func TestAuditInterrupted(t *testing.T) {
	for _, format := range attack.Formats {
		t.Run(format, func(t *testing.T) {
			a := newAudited(t, "algorithm none", nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for { // after T01, long before the end
					a.mu.Lock()
					n := len(a.seen)
					a.mu.Unlock()
					if n > 30 {
						cancel()
						return
					}
					if ctx.Err() != nil {
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
			var out, errs bytes.Buffer
			began := time.Now()
			code := cli.Run(ctx, []string{"audit", a.url, "--token", "@" + filepath.Join(a.dir, "token"), "--format", format, "--rate", "200", "--quiet"}, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
			if code != 130 || !strings.Contains(errs.String(), "the report is a part") || time.Since(began) > 20*time.Second {
				t.Fatalf("%d after %s: %s", code, time.Since(began), errs.String())
			}
			if !strings.Contains(out.String(), "T01") {
				t.Errorf("T01 is not in the report:\n%.300s", out.String())
			}
			whole := true
			switch format {
			case "json", "sarif":
				whole = json.Valid(out.Bytes())
			case "junit":
				whole = xml.Unmarshal(out.Bytes(), new(struct{})) == nil
			case "html":
				whole = strings.HasSuffix(strings.TrimSpace(out.String()), "</html>")
			}
			if !whole {
				t.Errorf("the report is cut off:\n%.300s", out.String())
			}
		})
	}
}

// A report that goes to a file is readable by its owner only.
func TestAuditWritesToAFile(t *testing.T) {
	a := newAudited(t, "", nil)
	path := filepath.Join(a.dir, "report.html")
	code, out, errs := run(t, "audit", a.url, "--token", "@"+filepath.Join(a.dir, "token"), "--only", "T01", "--rate", "2000", "--format", "html", "-o", path)
	info, err := os.Stat(path)
	if code != 0 || out != "" || err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(errs, "report: "+path) {
		t.Errorf("%d %q %q %v", code, out, errs, err)
	}
	content, _ := os.ReadFile(path)
	if !strings.Contains(string(content), `content="default-src 'none'; style-src 'sha256-`) || strings.Contains(string(content), "<script") {
		t.Error("the page has no policy, or a script")
	}
	if code, _, errs := run(t, "audit", a.url, "--token", "@"+filepath.Join(a.dir, "token"), "--only", "T01", "--rate", "2000", "-o", filepath.Join(a.dir, "no", "where")); code != 1 || !strings.Contains(errs, "write the report") {
		t.Errorf("a folder that is not there: %d %s", code, errs)
	}
}
