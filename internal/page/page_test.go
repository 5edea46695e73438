package page_test

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/page"
)

var noon = time.Date(2026, time.November, 25, 12, 0, 0, 0, time.UTC)

func pages(t *testing.T, c page.Config) *page.Pages {
	t.Helper()
	c.Host, c.Now = "auth.example.com", func() time.Time { return noon }
	p, err := page.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request(language string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://auth.example.com/", nil)
	r.Header.Set("Accept-Language", language)
	return r
}

func rendered(p *page.Pages, s page.Sample, language string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Show(p, w, request(language))
	return w
}

func TestEveryPageInEveryLanguage(t *testing.T) {
	p := pages(t, page.Config{Pseudo: true})
	for _, s := range page.Samples(noon) {
		for _, language := range []string{"en", "de", "en-XA"} {
			t.Run(s.Name()+" "+language, func(t *testing.T) {
				w := rendered(p, s, language)
				body := w.Body.String()
				if !strings.Contains(body, `<html lang="`+language+`">`) || w.Header().Get("Content-Language") != language {
					t.Errorf("the page is not in %s:\n%s", language, body)
				}
				for _, wrong := range []string{"ZgotmplZ", "<no value>", "{app}", "{host}", "{user}", "{span}", "{when}", "{n}"} {
					if strings.Contains(body, wrong) {
						t.Errorf("the page has %q:\n%s", wrong, body)
					}
				}
				for _, fault := range page.Review(body) {
					t.Errorf("the page %s", fault)
				}
			})
		}
	}
}

// The review itself must find what it looks for.
func TestTheReviewFinds(t *testing.T) {
	for _, tc := range []struct{ body, want string }{
		{`<p style="x">`, "has style=, which the policy of the pages blocks; use custom.css"},
		{`<p onclick='x'>`, "has onclick=, which the policy of the pages blocks; use custom.css"},
		{`<style>x</style>`, "has <style>, which the policy of the pages blocks"},
		{`<script>x</script>`, "has a script of its own, which the policy of the pages blocks"},
		{`<script src="https://x.example/a.js"></script>`, "fetches https://x.example/a.js, and the pages fetch nothing from elsewhere"},
		{`<img alt="" src=//x.example/a.png>`, "fetches //x.example/a.png, and the pages fetch nothing from elsewhere"},
		{`<link rel="stylesheet" href="https://x.example/a.css">`, "fetches https://x.example/a.css, and the pages fetch nothing from elsewhere"},
		{`<input name="a" type="text">`, "has no label for the field a"},
		{`<input name="a"><label for="b">`, "has no label for the field a"},
		{`<label for="a">`, "for names the id a, which is not on the page"},
		{`<p id="a"><p id="a">`, "has the id a twice"},
		{`<input type="hidden" aria-describedby="gone">`, "aria-describedby names the id gone, which is not on the page"},
	} {
		if got := page.Review(tc.body); !slices.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.body, got, tc.want)
		}
	}
}

func TestHeadersOfEveryPage(t *testing.T) {
	p := pages(t, page.Config{})
	for _, s := range page.Samples(noon) {
		t.Run(s.Name(), func(t *testing.T) {
			w := rendered(p, s, "en")
			action, script := "'self'", ""
			if s.Page == "form-post" {
				action = "https://orders.example.com"
			}
			if strings.Contains(w.Body.String(), "<script") {
				script = "script-src 'self'; "
			}
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; " + script + "style-src 'self'; img-src 'self'; form-action " + action +
					"; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'; report-uri /csp-report",
				"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
				"Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), geolocation=()",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

// attributes and hidden inputs carry machine values, which no person sees.
var (
	attributes   = regexp.MustCompile(`(?:href|action|content|value)="[^"]*"`)
	hiddenInputs = regexp.MustCompile(`<input type="hidden"[^>]*>`)
)

// hostile is what a client, an API or a person might be called: markup, quotes,
// a template, a direction override, control characters, an endless name.
var hostile = "a\"'>`<script>alert(1)</script><img src=x onerror=alert(1)>{{.App}}\u202egnp.exe\u2066\x00\x1b[31m\r\nSet-Cookie: a=b\u2028\ufeff" + strings.Repeat("W", 3000)

// fill sets every text of a view to hostile, slices to one element.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() {
			v.SetString(text)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[page.Common]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	}
}

func filled[V any](text string) V {
	var v V
	fill(reflect.ValueOf(&v).Elem(), text)
	return v
}

func TestHostileTextStaysText(t *testing.T) {
	p := pages(t, page.Config{})
	for name, show := range map[string]func(http.ResponseWriter, *http.Request, string){
		"login": func(w http.ResponseWriter, r *http.Request, text string) {
			v := filled[page.Login](text)
			v.Fault, v.Why, v.Cancel = page.FaultDenied, page.WhyAge, true
			p.Login(w, r, 200, v)
		},
		"consent": func(w http.ResponseWriter, r *http.Request, text string) {
			v := filled[page.Consent](text)
			v.Native = true
			v.Scopes = append(v.Scopes, page.ConsentScope{Name: text, Sentence: text, Optional: true}, page.ConsentScope{Name: text})
			p.Consent(w, r, 200, v)
		},
		"device-code": func(w http.ResponseWriter, r *http.Request, text string) {
			v := filled[page.DeviceCode](text)
			v.Fault = page.FaultCode
			p.DeviceCode(w, r, 200, v)
		},
		"device-confirm": func(w http.ResponseWriter, r *http.Request, text string) {
			p.DeviceConfirm(w, r, 200, filled[page.DeviceConfirm](text))
		},
		"device-done": func(w http.ResponseWriter, r *http.Request, text string) {
			p.DeviceDone(w, r, 200, filled[page.DeviceDone](text))
		},
		"continue": func(w http.ResponseWriter, r *http.Request, text string) {
			v := filled[page.Continue](text)
			v.Target = "https://app.example.com/cb?state=" + strings.NewReplacer("\x00", "", "\x1b", "", "\r", "", "\n", "").Replace(text)
			p.Continue(w, r, 200, v)
		},
		"form-post": func(w http.ResponseWriter, r *http.Request, text string) {
			v := filled[page.FormPost](text)
			v.Action = "https://app.example.com/cb?x=" + strings.NewReplacer("\x00", "", "\x1b", "", "\r", "", "\n", "").Replace(text)
			p.FormPost(w, r, 200, v)
		},
		"logout": func(w http.ResponseWriter, r *http.Request, text string) {
			p.Logout(w, r, 200, filled[page.Logout](text))
		},
		"logged-out": func(w http.ResponseWriter, r *http.Request, text string) {
			v := filled[page.LoggedOut](text)
			v.Target = "https://app.example.com/"
			p.LoggedOut(w, r, 200, v)
		},
		"account": func(w http.ResponseWriter, r *http.Request, text string) {
			v := filled[page.Account](text)
			v.Notice = page.NoticeRevoked
			p.Account(w, r, 200, v)
		},
		"problem": func(w http.ResponseWriter, r *http.Request, text string) {
			v := filled[page.Problem](text)
			p.Problem(w, r, 400, v)
		},
	} {
		t.Run(name, func(t *testing.T) {
			calm, wild := httptest.NewRecorder(), httptest.NewRecorder()
			show(calm, request("en"), "x")
			show(wild, request("en"), hostile)
			body := wild.Body.String()
			if got, want := page.TagNames(body), page.TagNames(calm.Body.String()); !slices.Equal(got, want) {
				t.Errorf("the text made elements of its own: got %q, want %q", got, want)
			}
			for _, fault := range page.Review(body) {
				t.Errorf("the page %s", fault)
			}
			// Machine values travel as they are, within quotes; what is shown does not.
			shown := hiddenInputs.ReplaceAllString(attributes.ReplaceAllString(body, ""), "")
			for _, wrong := range []string{"\u202e", "\u2066", "\x00", "\x1b", "\u2028", "\ufeff", "<script>", strings.Repeat("W", 300)} {
				if strings.Contains(shown, wrong) {
					t.Errorf("the page shows %q", wrong)
				}
			}
		})
	}
}

func TestContinueGoesOnlyWhereNoCodeRuns(t *testing.T) {
	p := pages(t, page.Config{})
	for _, tc := range []struct {
		name, target string
		goes, itself bool // shows a link; goes by itself
	}{
		{"https", "https://app.example.com/cb?code=a%2Bb&state=c&iss=https%3A%2F%2Fauth.example.com", true, true},
		{"http on loopback", "http://127.0.0.1:4711/cb?code=a", true, true},
		{"RFC 8252 private-use scheme", "com.example.app:/cb?code=a&state=b", true, false},
		{"private-use scheme with a host", "myapp://cb?code=a", true, false},
		{"javascript", "javascript:alert(1)", false, false},
		{"javascript in capitals", "JavaScript:alert(1)", false, false},
		{"javascript behind a blank", " javascript:alert(1)", false, false},
		{"javascript with a tab", "java\tscript:alert(1)", false, false},
		{"data", "data:text/html,<script>alert(1)</script>", false, false},
		{"vbscript", "vbscript:x", false, false},
		{"blob", "blob:https://auth.example.com/x", false, false},
		{"file", "file:///etc/passwd", false, false},
		{"about", "about:blank", false, false},
		{"no scheme", "/cb", false, false},
		{"no scheme but a host", "//evil.example/cb", false, false},
		{"https without a host", "https:/cb", false, false},
		{"empty", "", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			p.Continue(w, request("en"), 200, page.Continue{App: "App", Target: tc.target})
			body := w.Body.String()
			href := `href="` + strings.ReplaceAll(tc.target, "&", "&amp;") + `"`
			refresh := `content="0;url=` + strings.ReplaceAll(tc.target, "&", "&amp;") + `"`
			if tc.goes != (w.Code == 200 && strings.Contains(body, href)) || tc.itself != strings.Contains(body, refresh) {
				t.Errorf("goes %v, by itself %v, but got %d:\n%s", tc.goes, tc.itself, w.Code, body)
			}
			if !tc.goes && (w.Code != 500 || strings.Contains(body, "alert(1)") || strings.Contains(body, "http-equiv")) {
				t.Errorf("got %d:\n%s", w.Code, body)
			}
			out := httptest.NewRecorder()
			p.LoggedOut(out, request("en"), 200, page.LoggedOut{Target: tc.target})
			if tc.goes != strings.Contains(out.Body.String(), href) {
				t.Errorf("signed out: a link to the target %v, want %v", !tc.goes, tc.goes)
			}
		})
	}
}

func TestFormPostMayPostToOneOrigin(t *testing.T) {
	p := pages(t, page.Config{})
	for _, tc := range []struct{ name, action, want string }{
		{"https", "https://app.example.com/cb?x=1", "https://app.example.com"},
		{"with a port", "https://app.example.com:8443/cb", "https://app.example.com:8443"},
		{"http on loopback", "http://127.0.0.1:4711/cb", "http://127.0.0.1:4711"},
		{"javascript", "javascript:alert(1)", ""},
		{"private-use scheme", "com.example.app:/cb", ""},
		{"a policy in the host", "https://app.example.com;script-src *", ""},
		{"a user", "https://a@app.example.com/", ""},
		{"a wildcard", "https://*.example.com/", ""},
		{"no host", "https:///cb", ""},
		{"empty", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			p.FormPost(w, request("en"), 200, page.FormPost{App: "App", Action: tc.action, Fields: [][2]string{{"code", "c"}}})
			policy := w.Header().Get("Content-Security-Policy")
			if tc.want == "" {
				if w.Code != 500 || !strings.Contains(policy, "form-action 'self';") || strings.Contains(w.Body.String(), `id="answer"`) {
					t.Errorf("got %d, %s", w.Code, policy)
				}
				return
			}
			if w.Code != 200 || !strings.Contains(policy, "form-action "+tc.want+";") {
				t.Errorf("got %d, %s", w.Code, policy)
			}
		})
	}
}

// The words of one sentence for every refusal (ux a.3), and what goes with it.
func TestLoginAfterAFault(t *testing.T) {
	p := pages(t, page.Config{})
	for _, tc := range []struct {
		fault page.Fault
		wait  time.Duration
		want  string
	}{
		{page.FaultDenied, 0, "That username and password don&#39;t match."},
		{page.FaultTooMany, 5 * time.Minute, "Too many attempts. Try again in 5 minutes."},
		{page.FaultTooMany, 61 * time.Second, "Too many attempts. Try again in 2 minutes."},
		{page.FaultTooMany, 1500 * time.Millisecond, "Too many attempts. Try again in 2 seconds."},
		{page.FaultTooMany, 2 * time.Hour, "Too many attempts. Try again in 2 hours."},
		{page.FaultTooMany, 0, "Too many attempts. Try again in a few minutes."},
		{page.FaultExpired, 0, "This page was open too long. Nothing was lost, try again."},
	} {
		w := httptest.NewRecorder()
		p.Login(w, request("en"), 400, page.Login{App: "App", Flow: "sealed", Username: "ada", Fault: tc.fault, Wait: tc.wait})
		body := w.Body.String()
		if w.Code != 400 || !strings.Contains(body, tc.want) || !strings.Contains(body, "<title>Error: ") || !strings.Contains(body, `value="ada"`) ||
			!strings.Contains(body, `name="flow" value="sealed"`) || strings.Count(body, "autofocus") != 1 {
			t.Errorf("%s: got %d\n%s", tc.fault, w.Code, body)
		}
		if password := body[strings.Index(body, `id="password"`):]; strings.Contains(password[:strings.Index(password, ">")], "value=") {
			t.Errorf("%s: the password is sent back", tc.fault)
		}
	}
}

func TestAProblemFindsItsWords(t *testing.T) {
	p := pages(t, page.Config{})
	for _, tc := range []struct {
		status int
		view   page.Problem
		want   []string
	}{
		{400, page.Problem{AppAtFault: true, Detail: "redirect_uri: not registered", Reference: "r7"}, []string{"This app cannot sign you in", "The app that sent you here is set up wrongly. Nothing is wrong with your account.", "<details>", "redirect_uri: not registered", "r7"}},
		{500, page.Problem{Reference: "r7"}, []string{"Something went wrong on our side", "Reference <strong><bdi>r7</bdi></strong>"}},
		{503, page.Problem{}, []string{"Too busy right now"}},
		{429, page.Problem{Wait: time.Minute}, []string{"Too many attempts", "Try again in 1 minute."}},
		{404, page.Problem{}, []string{"There is nothing here"}},
		{400, page.Problem{}, []string{"That did not work"}},
		{403, page.Problem{Title: page.FaultNoAccess, Message: page.FaultNoAccess}, []string{"You have no access"}},
		{403, page.Problem{Message: page.FaultCross}, []string{"That came from another site"}},
	} {
		w := httptest.NewRecorder()
		p.Problem(w, request("en"), tc.status, tc.view)
		for _, want := range tc.want {
			if !strings.Contains(strings.ReplaceAll(w.Body.String(), "&#39;", "'"), want) || w.Code != tc.status {
				t.Errorf("%d %+v: %d, no %q in\n%s", tc.status, tc.view, w.Code, want, w.Body)
			}
		}
	}
}
