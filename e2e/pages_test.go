package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

// gallery serves every page with sample values and keeps the forms that are
// posted.
type gallery struct {
	*httptest.Server
	mu     sync.Mutex
	posted []string // path and form, in order
}

func openGallery(t *testing.T) *gallery {
	t.Helper()
	now := time.Now()
	p, err := page.New(page.Config{Host: "auth.example.com", Pseudo: true})
	if err != nil {
		t.Fatal(err)
	}
	g := &gallery{}
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", p.Assets())
	for _, s := range page.Samples(now) {
		mux.HandleFunc("GET /see/"+s.Name(), func(w http.ResponseWriter, r *http.Request) { s.Show(p, w, r) })
	}
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.posted = append(g.posted, r.URL.Path+" "+r.PostForm.Encode())
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>posted</title><link rel="icon" href="/assets/mark.svg"><p id="posted">posted</p>`)
	})
	g.Server = httptest.NewServer(respond.Identify(respond.Secure(mux)))
	t.Cleanup(g.Close)
	return g
}

// forms are those posted since the last call.
func (g *gallery) forms() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.posted
	g.posted = nil
	return all
}

func TestPagesInABrowser(t *testing.T) {
	g := openGallery(t)
	b := openTab(t, "orders.example.com")
	for _, s := range page.Samples(time.Now()) {
		t.Run(s.Name(), func(t *testing.T) {
			b.t = t
			for _, language := range []string{"en", "de", "en-XA"} {
				b.languages(language)
				b.visit(g.URL + "/see/" + s.Name())
				for _, width := range []int64{320, 1280} {
					b.size(width, 800)
					if over := value[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
						t.Errorf("%s at %d px: %d px stick out", language, width, over)
					}
					for _, theme := range []string{"light", "dark"} {
						b.theme(theme)
						where := fmt.Sprintf("%s-%s-%s-%d", s.Name(), language, theme, width)
						if language == "en" {
							b.axe(where)
						}
						if language != "en-XA" || theme == "light" && width == 320 {
							b.shoot(where)
						}
					}
				}
			}
			b.clean(s.Name())
			for _, form := range g.forms() {
				t.Errorf("the page posted by itself: %s", form)
			}
		})
	}
}

// The query of the page is not part of what is posted.
func decoded(t *testing.T, form string) (path string, values url.Values) {
	t.Helper()
	path, query, _ := strings.Cut(form, " ")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return path, values
}
