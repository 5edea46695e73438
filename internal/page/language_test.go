package page_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/page"
)

func TestTheLanguageOfAPage(t *testing.T) {
	p := pages(t, page.Config{})
	for _, tc := range []struct {
		name    string
		locales []string
		cookie  string
		accept  string
		want    string
	}{
		{"nothing known", nil, "", "", "en"},
		{"the browser", nil, "", "de", "de"},
		{"the browser, a region", nil, "", "de-AT,de;q=0.9,en;q=0.8", "de"},
		{"the browser, by weight", nil, "", "de;q=0.5, en;q=0.9", "en"},
		{"the browser, a language we lack first", nil, "", "fr, de;q=0.3", "de"},
		{"the browser, refused", nil, "", "de;q=0", "en"},
		{"the browser, broken", nil, "", "de;q=x,;;,", "en"},
		{"a choice wins over the browser", nil, "en", "de", "en"},
		{"the app wins over the choice", []string{"de"}, "en", "en", "de"},
		{"the app, in its order", []string{"fr-CA", "DE-ch", "en"}, "", "en", "de"},
		{"the app wants what we lack", []string{"fr"}, "de", "en", "de"},
		{"a cookie that is none of ours", nil, "<script>", "de", "de"},
		{"pseudo is not for everybody", []string{"en-XA"}, "", "de", "en"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := request(tc.accept)
			if tc.cookie != "" {
				r.AddCookie(&http.Cookie{Name: page.Cookie, Value: tc.cookie})
			}
			w := httptest.NewRecorder()
			p.DeviceDone(w, r, 200, page.DeviceDone{Common: page.Common{Locales: tc.locales}, App: "TV"})
			if got := w.Header().Get("Content-Language"); got != tc.want || !strings.Contains(w.Body.String(), `<html lang="`+tc.want+`">`) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestALanguageIsRemembered(t *testing.T) {
	p := pages(t, page.Config{})
	cookie, err := page.LanguageCookie("de")
	if err != nil || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
		t.Fatalf("got %v, %v", cookie, err)
	}
	r := request("en")
	r.AddCookie(cookie)
	w := httptest.NewRecorder()
	p.DeviceDone(w, r, 200, page.DeviceDone{})
	if got := w.Header().Get("Content-Language"); got != "de" {
		t.Errorf("got %q", got)
	}
	for _, tag := range []string{"", "fr", "en-XA", "de; Path=/x"} {
		if _, err := page.LanguageCookie(tag); err == nil {
			t.Errorf("%q was remembered", tag)
		}
	}
}

var placeholder = regexp.MustCompile(`\{[a-z]*\}?`)

func TestEveryLanguageSaysTheSame(t *testing.T) {
	english, err := page.Messages("en")
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range page.Languages {
		messages, err := page.Messages(tag)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := slices.Sorted(maps.Keys(messages)), slices.Sorted(maps.Keys(english)); !slices.Equal(got, want) {
			t.Errorf("%s has other keys than en: %q", tag, difference(got, want))
		}
		for key, text := range messages {
			got, want := placeholder.FindAllString(text, -1), placeholder.FindAllString(english[key], -1)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) || strings.TrimSpace(text) == "" || strings.ContainsAny(text, "<>") {
				t.Errorf("%s: %s: %q has %q, en has %q", tag, key, text, got, want)
			}
		}
	}
}

func difference(a, b []string) (only []string) {
	for _, x := range slices.Concat(a, b) {
		if slices.Contains(a, x) != slices.Contains(b, x) {
			only = append(only, x)
		}
	}
	return only
}

var (
	literal   = regexp.MustCompile(`"([a-z]+[a-z0-9._-]*)"`)
	constants = regexp.MustCompile(`(?m)^\t(Fault|Why|Notice)\w+ +(?:Fault|Why)? *= +"([a-z-]+)"`)
)

// Each message is used: named in a template or in code, or one of a family that
// a constant names.
func TestEveryMessageIsUsed(t *testing.T) {
	used := map[string]bool{}
	templates, _ := filepath.Glob("assets/*.html")
	code, _ := filepath.Glob("*.go")
	for _, file := range slices.Concat(templates, code) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, match := range literal.FindAllStringSubmatch(string(content), -1) {
			used[match[1]] = true
			used[match[1]+".one"], used[match[1]+".other"] = true, true
			used["scope."+match[1]] = true
		}
		for _, match := range constants.FindAllStringSubmatch(string(content), -1) {
			switch match[1] {
			case "Fault":
				used["fault."+match[2]], used["problem."+match[2]] = true, true
			case "Why":
				used["why."+match[2]] = true
			case "Notice":
				used["notice."+match[2]] = true
			}
		}
	}
	for m := range 12 {
		used[fmt.Sprintf("month.%d", m+1)] = true
	}
	english, err := page.Messages("en")
	if err != nil {
		t.Fatal(err)
	}
	for key := range english {
		if !used[key] {
			t.Errorf("%s is used nowhere", key)
		}
	}
	for key := range used {
		family, _, _ := strings.Cut(key, ".")
		if _, exists := english[key]; !exists && slices.Contains([]string{"fault", "problem", "why", "notice"}, family) && strings.TrimPrefix(key, family+".") != "" && key != family && !strings.HasSuffix(key, ".one") && !strings.HasSuffix(key, ".other") {
			t.Errorf("a constant needs the message %s", key)
		}
	}
}

func TestTimesInWords(t *testing.T) {
	p := pages(t, page.Config{})
	for _, tc := range []struct {
		ago    time.Duration
		en, de string
	}{
		{30 * time.Second, "last seen just now", "zuletzt gesehen gerade eben"},
		{5 * time.Minute, "last seen 5 minutes ago", "zuletzt gesehen vor 5 Minuten"},
		{time.Hour, "last seen 1 hour ago", "zuletzt gesehen vor 1 Stunde"},
		{49 * time.Hour, "last seen 2 days ago", "zuletzt gesehen vor 2 Tagen"},
		{90 * 24 * time.Hour, "last seen 27 August 2026", "zuletzt gesehen 27. August 2026"},
	} {
		for language, want := range map[string]string{"en": tc.en, "de": tc.de} {
			w := httptest.NewRecorder()
			p.Account(w, request(language), 200, page.Account{Username: "ada", Sessions: []page.AccountSession{{ID: "s", LastSeen: noon.Add(-tc.ago), Since: noon}}})
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s, %s: no %q in\n%s", tc.ago, language, want, w.Body)
			}
		}
	}
}
