package page_test

import (
	"net/http"
	"net/http/httptest"
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

func rendered(p *page.Pages, s page.Sample, language string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "https://auth.example.com/", nil)
	r.Header.Set("Accept-Language", language)
	w := httptest.NewRecorder()
	s.Show(p, w, r)
	return w
}

func TestEveryPageInEveryLanguage(t *testing.T) {
	p := pages(t, page.Config{Pseudo: true})
	for _, s := range page.Samples(noon) {
		for _, language := range []string{"en", "de", "en-XA"} {
			t.Run(s.Name()+" "+language, func(t *testing.T) {
				body := rendered(p, s, language).Body.String()
				if !strings.Contains(body, `<html lang="`+language+`">`) {
					t.Errorf("the page is not in %s:\n%s", language, body)
				}
				for _, wrong := range []string{"ZgotmplZ", "style=", "<style", " onclick", "<no value>", "javascript:"} {
					if strings.Contains(body, wrong) {
						t.Errorf("the page has %q:\n%s", wrong, body)
					}
				}
			})
		}
	}
}
