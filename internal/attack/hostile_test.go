package attack_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// escapes are what a hostile target puts wherever it can: colours and titles of a
// terminal, markup, links, a line of a workflow, text that runs backwards.
const escapes = "\x1b]0;owned\x07\x1b[31mRED\x1b[0m <script>alert(1)</script> <img src=x onerror=alert(1)> [click](javascript:alert(1)) ![p](https://evil.invalid/p.png) | x | \u202egnp.exe"

// hostile is a target that answers the valid token with 200 and everything else
// as a test wants it.
func hostile(t *testing.T, others http.HandlerFunc) (url string, token string) {
	t.Helper()
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	token, err = signer.Sign("at+jwt", map[string]any{"iss": "https://issuer.lab.invalid", "sub": "usr_1", "aud": "orders", "exp": time.Now().Add(10 * time.Minute).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+token {
			fmt.Fprintln(w, `{"orders":[1,2,3]}`)
			return
		}
		others(w, r.WithContext(ctx))
	}))
	t.Cleanup(func() { stop(); server.CloseClientConnections(); server.Close() })
	return server.URL, token
}

// raw takes the connection and writes bytes.
func raw(w http.ResponseWriter, text string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, text)
}

// A hostile target costs the auditor neither memory nor its evening, and every
// report of it can be read without harm.
func TestHostileTargets(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	long := func(text string) string { return strings.Repeat(text, 1<<16) }
	t.Cleanup(func() { // after all of them
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 50<<20 {
			t.Errorf("%d MB are kept", grown>>20)
		}
	})
	for name, others := range map[string]http.HandlerFunc{
		"an endless body": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			for block := []byte(long("x")); r.Context().Err() == nil; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		},
		"ten gigabytes of zeros, compressed": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(http.StatusUnauthorized)
			z := gzip.NewWriter(w)
			for block, i := make([]byte, 1<<20), 0; i < 10<<10 && r.Context().Err() == nil; i++ {
				if _, err := z.Write(block); err != nil {
					return
				}
			}
		},
		"a byte a second": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(".")); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(time.Second):
				}
			}
		},
		"no answer at all":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"redirects to itself": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) },
		"redirects elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusTemporaryRedirect)
		},
		"escapes in the body":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401); io.WriteString(w, escapes) },
		"escapes in the status": func(w http.ResponseWriter, _ *http.Request) { raw(w, "HTTP/1.1 "+escapes+"\r\n\r\n") },
		"escapes in a header":   func(w http.ResponseWriter, _ *http.Request) { raw(w, "HTTP/1.1 401 No\r\nX-A: "+escapes+"\r\n\r\n") },
		"escapes in a name":     func(w http.ResponseWriter, _ *http.Request) { raw(w, "HTTP/1.1 401 No\r\n"+escapes+": x\r\n\r\n") },
		"no HTTP":               func(w http.ResponseWriter, _ *http.Request) { raw(w, escapes+"\n"+escapes) },
		"endless headers": func(w http.ResponseWriter, _ *http.Request) {
			raw(w, "HTTP/1.1 401 No\r\nX-A: "+long("0123456789")+"\r\n\r\n")
		},
		"a length that is a lie": func(w http.ResponseWriter, _ *http.Request) {
			raw(w, "HTTP/1.1 401 No\r\nContent-Length: 99999999999\r\n\r\nx")
		},
		"JSON a mile deep": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			io.WriteString(w, strings.Repeat(`{"`+strings.Repeat("n", 100)+`":`, 2400))
		},
		"JSON with deep names": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			io.WriteString(w, strings.Repeat(`{"`+strings.Repeat("n", 100)+`":`, 2000)+"1"+strings.Repeat("}", 2000))
		},
		"a limit that never ends": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "0"); w.WriteHeader(429) },
		"a wait for ever": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "99999999999999999999")
			w.WriteHeader(429)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, token := hostile(t, others)
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			began := time.Now()
			report, err := attack.Run(ctx, attack.Config{
				Targets: []attack.Target{{URL: url}}, Token: always(token), Rate: 300, Timeout: 300 * time.Millisecond, Patience: time.Second, Only: []string{"T01", "T02", "T03", "T70", "P02", "P07"},
			})
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("took %s", took)
			}
			if err != nil && len(report.Targets) == 0 {
				t.Fatal(err)
			}
			harmless(t, report)
		})
	}
}

// harmless looks for what a report must not hold, in each of its forms.
func harmless(t *testing.T, report attack.Report) {
	t.Helper()
	control := regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u202a-\u202e\u2066-\u2069]")
	for _, format := range attack.Formats {
		var b bytes.Buffer
		if err := report.Write(&b, format, false); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if at := control.FindStringIndex(text); at != nil {
			t.Errorf("%s: a control character at %q", format, text[max(at[0]-40, 0):min(at[1]+20, len(text))])
		}
		bad := []string{}
		switch format {
		case "html":
			bad = []string{"<script>alert", "<img src=x"}
		case "md":
			bad = []string{"<script>alert", "<img src=x", "[click](", "![p]("}
		case "sarif":
			bad = []string{"click](", "p]("}
			var log struct{}
			if json.Unmarshal(b.Bytes(), &log) != nil {
				t.Error("the SARIF is no JSON")
			}
			text = strings.ReplaceAll(text, `\\](`, "") // escaped, as JSON writes it
		}
		for _, one := range bad {
			if strings.Contains(text, one) {
				t.Errorf("%s holds %s", format, one)
			}
		}
	}
}

// The same in every text of a report, wherever it may have come from.
func TestReportsOfHostileTextAreHarmless(t *testing.T) {
	report := audited(t, newHouse(t), "algorithm none", func(c *attack.Config) { c.Only = []string{"T01"} })
	for i := range report.Results {
		r := &report.Results[i]
		r.Reason, r.Evidence = escapes, []attack.Evidence{{Name: "seen", Title: escapes, Answer: escapes}}
		r.Accepted = ""
	}
	report.Notes = []string{escapes}
	report.Targets[0].Reason, report.Targets[0].Measurable = escapes, false
	harmless(t, report)
	report.Results[0].Reason = strings.Repeat("long ", 1<<20)
	var b bytes.Buffer
	if err := report.Write(&b, "terminal", false); err != nil || b.Len() > 64<<10 {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
}

// A hostile issuer: a key set without end, one that redirects for ever, one that
// unpacks to gigabytes, one that answers a byte a second.
func TestHostileKeySets(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"keys":[`)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, `{"kty":"EC","kid":"`+strings.Repeat("k", 1000)+`"},`); err != nil {
					return
				}
			}
		},
		"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"compressed": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for block, i := bytes.Repeat([]byte(" "), 1<<20), 0; i < 10<<10 && r.Context().Err() == nil; i++ {
				if _, err := z.Write(block); err != nil {
					return
				}
			}
		},
		"slow": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(" ")); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				time.Sleep(100 * time.Millisecond)
			}
		},
		"escapes":          func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, escapes) },
		"leads to nowhere": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"jwks_uri":"http://\u001b[31m/"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: handler}
			go server.Serve(listener)
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			began := time.Now()
			published, err := attack.DiscoverKeys(ctx, "http://"+listener.Addr().String())
			if err == nil {
				t.Errorf("%d keys were found", published.Keys.Len())
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("took %s", took)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}
