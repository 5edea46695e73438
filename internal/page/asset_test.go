package page_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/page"
)

var fetched = regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`)

// TestTheLoginPageIsSmall fetches it as a browser does and counts what crosses
// the wire: 30 KB in all, 6 KB of script.
func TestTheLoginPageIsSmall(t *testing.T) {
	p := pages(t, page.Config{})
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", p.Assets())
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		p.Login(w, r, 400, page.Login{App: "Acme Orders", AppHost: "orders.example.com", Flow: strings.Repeat("f", 1500), Username: "ada", Fault: page.FaultDenied, Cancel: true})
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	get := func(path string) (head, body int, text string) {
		r, _ := http.NewRequest("GET", server.URL+path, nil)
		r.Header.Set("Accept-Encoding", "gzip") // by hand, so that the answer is not unpacked
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		content, _ := io.ReadAll(answer.Body)
		var header bytes.Buffer
		answer.Header.Write(&header)
		if len(content) == 0 || answer.StatusCode != 200 && answer.StatusCode != 400 {
			t.Fatalf("%s: %d, %d bytes", path, answer.StatusCode, len(content))
		}
		return header.Len(), len(content), string(content)
	}
	head, body, html := get("/login")
	total, script, files := head+body, 0, 0
	for _, match := range fetched.FindAllStringSubmatch(html, -1) {
		head, body, _ := get(match[1])
		total, files = total+head+body, files+1
		if strings.HasSuffix(match[1], ".js") {
			script += body
		}
	}
	t.Logf("%d bytes in all with headers, %d of script, %d files", total, script, files)
	if files < 3 || script == 0 || total > 30<<10 || script > 6<<10 {
		t.Errorf("%d bytes in all, %d of script, %d files; want at most 30 KB and 6 KB", total, script, files)
	}
}

func asset(p *page.Pages, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.Assets().ServeHTTP(w, r)
	return w
}

func TestAssets(t *testing.T) {
	p := pages(t, page.Config{})
	html := rendered(p, page.Samples(noon)[0], "en").Body.String()
	sheet := regexp.MustCompile(`/assets/gatehouse-[0-9a-f]{12}\.css`).FindString(html)
	if sheet == "" {
		t.Fatalf("no stylesheet in\n%s", html)
	}
	for _, tc := range []struct {
		name, path string
		header     []string
		status     int
		caching    string
	}{
		{"by its hash, for good", sheet, nil, 200, "public, max-age=31536000, immutable"},
		{"by the hash of another version", "/assets/gatehouse-000000000000.css", nil, 200, "no-cache"},
		{"by its bare name", "/assets/gatehouse.css", nil, 200, "no-cache"},
		{"again", sheet, []string{"If-None-Match", `"` + sheet[len("/assets/gatehouse-"):len(sheet)-len(".css")] + `"`}, 304, "public, max-age=31536000, immutable"},
		{"none of ours", "/assets/secret.css", nil, 404, ""},
		{"a template", "/assets/login.html", nil, 404, ""},
		{"out of the folder", "/assets/../messages/en.json", nil, 404, ""},
		{"the folder", "/assets/", nil, 404, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := asset(p, tc.path, tc.header...)
			if w.Code != tc.status || w.Header().Get("Cache-Control") != tc.caching {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Header().Get("Cache-Control"), tc.status, tc.caching)
			}
		})
	}
	zipped, plain := asset(p, sheet, "Accept-Encoding", "gzip, br"), asset(p, sheet)
	if zipped.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Content-Encoding") != "" || zipped.Body.Len() >= plain.Body.Len() {
		t.Errorf("packed %d, plain %d bytes", zipped.Body.Len(), plain.Body.Len())
	}
	for _, w := range []*httptest.ResponseRecorder{zipped, plain} {
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Type") != "text/css; charset=utf-8" || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("headers: %v", w.Header())
		}
	}
}

func TestTheLogo(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, tc := range []struct{ name, file, want string }{ // want: the content type, or the fault
		{"SVG", write("a.svg", `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), "image/svg+xml"},
		{"PNG whatever its name", write("b.svg", "\x89PNG\r\n\x1a\nrest"), "image/png"},
		{"JPEG", write("c", "\xff\xd8\xff\xe0rest"), "image/jpeg"},
		{"WebP", write("d.webp", "RIFF\x00\x00\x00\x00WEBPVP8 "), "image/webp"},
		{"a page", write("e.png", "<html><body>x"), "is not an SVG, PNG, JPEG or WebP image"},
		{"too large", write("f.png", "\x89PNG\r\n\x1a\n"+strings.Repeat("x", 300<<10)), "larger than 256 KB"},
		{"missing", filepath.Join(dir, "gone.png"), "logo: open"},
		{"a folder", dir, "logo: read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := page.New(page.Config{Product: "Acme", LogoFile: tc.file})
			if !strings.Contains(tc.want, "/") || strings.Contains(tc.want, " ") {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			html := rendered(p, page.Samples(noon)[0], "en").Body.String()
			match := regexp.MustCompile(`<img src="([^"]+)" alt="Acme"`).FindStringSubmatch(html)
			if match == nil {
				t.Fatalf("no logo in\n%s", html)
			}
			w := asset(p, match[1])
			if w.Header().Get("Content-Type") != tc.want || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox") {
				t.Errorf("got %v", w.Header())
			}
		})
	}
}

func TestReportsOfThePolicyAreLoggedAndBounded(t *testing.T) {
	var log bytes.Buffer
	now := noon
	h := page.Reports(slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	send := func(body string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/csp-report", strings.NewReader(body)))
		if w.Code != http.StatusNoContent {
			t.Errorf("got %d", w.Code)
		}
	}
	const report = `{"csp-report":{"document-uri":"https://auth.example.com/login?x=secret","effective-directive":"script-src","blocked-uri":"inline\nlevel=ERROR"}}`
	send(report)
	if got := log.String(); !strings.Contains(got, "script-src") || !strings.Contains(got, "inline") || strings.Contains(got, "secret") || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q", got)
	}
	for range 100 {
		send(report)
		send("{")
		send(strings.Repeat("x", 1<<20))
	}
	if n := strings.Count(log.String(), "\n"); n != 20 {
		t.Errorf("%d lines in a minute, want 20", n)
	}
	now = now.Add(time.Minute)
	send(report)
	if n := strings.Count(log.String(), "\n"); n != 21 {
		t.Errorf("%d lines a minute later, want 21", n)
	}
}
