package page_test

import (
	"bytes"
	"log/slog"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/page"
)

func TestTheAccentCanBeRead(t *testing.T) {
	for _, tc := range []struct{ accent, light, dark, fault string }{
		{"", "#1c5fd4", "#7fb0ff", ""},
		{"#1c5fd4", "#1c5fd4", "#4c81dd", ""},
		{"#0A6B4F", "#0a6b4f", "#468f7a", ""},
		{"#b3261e", "#b3261e", "#c9645e", ""},
		{"#000000", "#000000", "#828282", ""},
		{"#1c5fd4 #7fb0ff", "#1c5fd4", "#7fb0ff", ""},
		{"#ffcc00", "", "", "accent #ffcc00: its contrast on a light page is 1.4:1, and text needs 4.5:1. The nearest shade that passes is #8a6e00"},
		{"#7fb0ff", "", "", "its contrast on a light page is 2.0:1"},
		{"#ffffff", "", "", "The nearest shade that passes is #717171"},
		{"#1c5fd4 #1c5fd4", "", "", "accent #1c5fd4: its contrast on a dark page is 2.9:1"},
		{"blue", "", "", `accent "blue": a colour is written like #1c5fd4`},
		{"#fff", "", "", "a colour is written like #1c5fd4"},
		{"#1c5fd4;}", "", "", "a colour is written like #1c5fd4"},
		{"#+12345", "", "", "a colour is written like #1c5fd4"},
		{"#1c5fd4 #7fb0ff #000000", "", "", "one colour such as #1c5fd4, or two"},
	} {
		t.Run(tc.accent, func(t *testing.T) {
			light, dark, err := page.AccentOf(tc.accent)
			if tc.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fault) {
					t.Fatalf("got %v, want %q", err, tc.fault)
				}
				if _, suggestion, found := strings.Cut(err.Error(), "passes is "); found && !strings.Contains(tc.accent, " ") {
					if _, _, err := page.AccentOf(suggestion); err != nil {
						t.Errorf("the suggestion %s does not pass: %v", suggestion, err)
					}
				}
				return
			}
			if err != nil || light != tc.light || dark != tc.dark {
				t.Fatalf("got %s and %s, %v; want %s and %s", light, dark, err, tc.light, tc.dark)
			}
			if l, d := page.Contrasts(tc.accent); l < 4.5 || d < 4.5 {
				t.Errorf("contrast %.2f on light, %.2f on dark", l, d)
			}
			p := pages(t, page.Config{Accent: tc.accent})
			if sheet := asset(p, "/assets/gatehouse.css").Body.String(); !strings.Contains(sheet, "--accent: light-dark("+light+", "+dark+")") {
				t.Errorf("the stylesheet has another accent than %s and %s", light, dark)
			}
		})
	}
}

// Values that others computed (WCAG's own examples).
func TestContrast(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#767676", "#ffffff", 4.54}, {"#777777", "#ffffff", 4.48}, {"#ffffff", "#ff0000", 4.0}, {"#123456", "#123456", 1}} {
		if got := page.Contrast(tc.a, tc.b); math.Abs(got-tc.want) > 0.006 {
			t.Errorf("%s on %s: %.3f, want %.2f", tc.a, tc.b, got, tc.want)
		}
	}
}

// The tokens of the stylesheet, against every surface that they stand on.
func TestTheColoursOfTheStylesheet(t *testing.T) {
	sheet := asset(pages(t, page.Config{}), "/assets/gatehouse.css").Body.String()
	token := func(name string) (light, dark string) {
		_, rest, found := strings.Cut(sheet, "--"+name+": light-dark(")
		pair, _, closed := strings.Cut(rest, ")")
		light, dark, both := strings.Cut(pair, ", ")
		if !found || !closed || !both {
			t.Fatalf("no token %s", name)
		}
		return light, dark
	}
	for _, on := range []string{"page", "card", "well"} {
		for name, least := range map[string]float64{"text": 7, "muted": 4.5, "accent": 4.5, "good": 4.5, "warn": 4.5, "bad": 4.5, "edge": 3} {
			light, dark := token(name)
			onLight, onDark := token(on)
			if l, d := page.Contrast(light, onLight), page.Contrast(dark, onDark); l < least || d < least {
				t.Errorf("%s on %s: %.2f light, %.2f dark, want %.1f", name, on, l, d, least)
			}
		}
	}
	ink, darkInk := token("on-accent")
	accent, darkAccent := token("accent")
	if l, d := page.Contrast(ink, accent), page.Contrast(darkInk, darkAccent); l < 4.5 || d < 4.5 {
		t.Errorf("text on the accent: %.2f light, %.2f dark", l, d)
	}
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// changed is a template of ours with one text replaced.
func changed(t *testing.T, name, before, after string) string {
	t.Helper()
	sources, err := page.Sources()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(sources[name], before) {
		t.Fatalf("%s has no %q", name, before)
	}
	return strings.ReplaceAll(sources[name], before, after)
}

func TestTemplatesOfOnesOwnAreChecked(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  []string // nil: fine
	}{
		{"nothing", map[string]string{}, nil},
		{"a stylesheet", map[string]string{"custom.css": "main { max-inline-size: 40rem; }"}, nil},
		{"another heading", map[string]string{"login.html": changed(t, "login", "<h1>", "<h1>Hello! ")}, nil},
		{"another frame", map[string]string{"layout.html": changed(t, "layout", "<footer>", "<footer><p>Help: 555 0100</p>")}, nil},
		{"notes and hidden files", map[string]string{"README.md": "x", ".keep": ""}, nil},
		{"no page", map[string]string{"signin.html": "x"}, []string{"signin.html: there is no page of this name. Pages: login, consent,"}},
		{"no template", map[string]string{"page.js": "x"}, []string{"page.js: the folder holds templates (PAGE.html) and custom.css only"}},
		{"does not parse", map[string]string{"login.html": "{{define \"content\"}}\n{{if .App}"}, []string{"login.html:2"}},
		{"an unknown field", map[string]string{"login.html": changed(t, "login", "{{.Flow}}", "{{.Flaw}}")}, []string{"login.html:", "this page has no field Flaw"}},
		{"an unknown field where no sample goes", map[string]string{"login.html": changed(t, "login", "<h1>", `{{if eq .App "Nobody"}}{{.Nope}}{{end}}<h1>`)}, []string{"this page has no field Nope"}},
		{"a field of another page", map[string]string{"login.html": changed(t, "login", "<h1>", "<h1>{{.Scopes}}")}, []string{"this page has no field Scopes"}},
		{"a field of an element", map[string]string{"account.html": changed(t, "account", "{{.Name}}", "{{.Nme}}")}, []string{"this page has no field Nme"}},
		{"an unknown message", map[string]string{"login.html": changed(t, "login", "login.submit", "login.sbmit")}, []string{`there is no message "login.sbmit"`}},
		{"an unknown function", map[string]string{"login.html": changed(t, "login", "<h1>", "<h1>{{shout .App}}")}, []string{`function "shout" not defined`}},
		{"no password", map[string]string{"login.html": changed(t, "login", `name="password"`, `name="pw"`)}, []string{"login.html: lacks the field password of the form that posts to /login, which this page needs"}},
		{"no flow", map[string]string{"login.html": changed(t, "login", `<input type="hidden" name="flow" value="{{.Flow}}">`, "")}, []string{"login.html: lacks the field flow of the form that posts to /login"}},
		{"no deny", map[string]string{"consent.html": changed(t, "consent", `value="deny"`, `value="no"`)}, []string{"consent.html: lacks the button decision=deny of the form that posts to /consent"}},
		{"posts elsewhere", map[string]string{"login.html": changed(t, "login", `action="/login"`, `action="https://evil.example/"`)}, []string{"login.html: lacks the form that posts to /login"}},
		{"no way on", map[string]string{"continue.html": changed(t, "continue", "{{proven .Target}}", "#")}, []string{"continue.html: lacks a link to https://orders.example.com/callback?code=c1&state=s1"}},
		{"inline style", map[string]string{"login.html": changed(t, "login", "<h1>", `<h1 style="color:red">`)}, []string{"login.html: has style=, which the policy of the pages blocks; use custom.css"}},
		{"inline script", map[string]string{"login.html": changed(t, "login", "<h1>", `<script>x()</script><h1>`)}, []string{"has a script of its own"}},
		{"script from elsewhere", map[string]string{"layout.html": changed(t, "layout", "<footer>", `<script src="https://cdn.example/x.js"></script><footer>`)}, []string{"fetches https://cdn.example/x.js"}},
		{"an input without label", map[string]string{"login.html": changed(t, "login", `<label for="username">`, `<label>`)}, []string{"has no label for the field username"}},
		{"a stylesheet that fetches", map[string]string{"custom.css": "a {}\nb { background: url(https://x.example/a.png) }"}, []string{"custom.css:2: url( fetches another file"}},
		{"a stylesheet that imports", map[string]string{"custom.css": "@IMPORT 'x.css';"}, []string{"custom.css:1: @import fetches"}},
		{"a large file", map[string]string{"custom.css": strings.Repeat("/* */", 20000)}, []string{"custom.css: is larger than 64 KB"}},
		{"several faults at once", map[string]string{"signin.html": "x", "page.js": "x", "login.html": changed(t, "login", "{{.Flow}}", "{{.Flaw}}")}, []string{"signin.html", "page.js", "Flaw"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := page.New(page.Config{Templates: folder(t, tc.files)})
			if len(tc.want) == 0 && err != nil {
				t.Errorf("got %v, want none", err)
			}
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}

func TestAllFaultsOfBrandingAtOnce(t *testing.T) {
	_, err := page.New(page.Config{LogoFile: "gone.svg", Accent: "#ffcc00", Templates: "gone"})
	for _, want := range []string{"gone.svg", "accent #ffcc00", "templates: open gone"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestAnOverrideIsShown(t *testing.T) {
	p := pages(t, page.Config{Product: "Acme & Sons", Templates: folder(t, map[string]string{
		"login.html": changed(t, "login", "<h1>", "<h1>Hello! "), "custom.css": "main { color: red; }",
	})})
	body := rendered(p, page.Samples(noon)[0], "en").Body.String()
	for _, want := range []string{"<h1>Hello! ", `<link rel="stylesheet" href="/assets/custom-`, "<span>Acme &amp; Sons</span>", "· Acme &amp; Sons</title>"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if got := asset(p, "/assets/custom.css").Body.String(); got != "main { color: red; }" {
		t.Errorf("custom.css: %q", got)
	}
}

// What no check foresaw must not keep people from signing in.
func TestAnOverrideThatFailsLaterGivesWayToOurs(t *testing.T) {
	var log bytes.Buffer
	p := pages(t, page.Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Templates: folder(t, map[string]string{
		"login.html": changed(t, "login", "<h1>", `<h1>Hello! {{if eq .App "Boom"}}{{index .App 99}}{{end}}`),
	})})
	w := httptest.NewRecorder()
	p.Login(w, request("en"), 200, page.Login{App: "Boom", Flow: "sealed"})
	if body := w.Body.String(); w.Code != 200 || strings.Contains(body, "Hello!") || !strings.Contains(body, `name="password"`) || strings.Count(body, "<!doctype html>") != 1 {
		t.Errorf("got %d\n%s", w.Code, body)
	}
	if !strings.Contains(log.String(), "page=login") || !strings.Contains(log.String(), "index out of range") {
		t.Errorf("the log: %s", &log)
	}
}
