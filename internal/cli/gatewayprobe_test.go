package cli_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"testing"
)

// upstream serves /orders and /orders/7, and reads paths as it is told to.
func upstream(t *testing.T, read func(raw string) string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _, _ := strings.Cut(r.RequestURI, "?")
		switch p := read(raw); {
		case strings.HasPrefix(p, "=>"):
			w.Header().Set("Location", p[2:])
			w.WriteHeader(http.StatusMovedPermanently)
		case p == "/orders" || p == "/orders/7":
			fmt.Fprintln(w, "this is", p)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintln(w, "no such path:", r.RequestURI)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func strict(raw string) string { return raw }

func decoded(raw string) string {
	p, err := url.PathUnescape(raw)
	if err != nil {
		return raw
	}
	return p
}

func withoutParameters(raw string) string {
	var bare []string
	for segment := range strings.SplitSeq(raw, "/") {
		name, _, _ := strings.Cut(segment, ";")
		bare = append(bare, name)
	}
	return strings.Join(bare, "/")
}

type probe struct {
	Sent, Compared int
	Findings       []struct {
		Kind, Target, Plain string
		Accepted            bool
	}
}

// An upstream that normalises is found, by the very target that shows it; what
// the gateway refuses anyway, or takes for the same path, is no disagreement.
func TestC35ProbeFindsWhatUpstreamsNormalise(t *testing.T) {
	for _, tc := range []struct {
		name   string
		read   func(string) string
		code   int
		target string // that must be found; "" for none at all
		kind   string
		passes bool // the gateway accepts it
	}{
		{"strict", strict, 0, "", "", false},
		{"decodes once, as we do", func(p string) string { return decoded(strings.ReplaceAll(p, "%2e", "x")) }, 0, "", "", false},
		{"case", strings.ToLower, 3, "/ORDERS/7", "same_answer", true},
		{"parameters", withoutParameters, 3, "/orders;x=1/7", "same_answer", true},
		{"extension", func(p string) string { return strings.ReplaceAll(p, ".json", "") }, 3, "/orders.json/7", "same_answer", true},
		{"trims", func(p string) string { return strings.ReplaceAll(p, "%20", "") }, 3, "/%20orders/7", "same_answer", true},
		{"slashes", func(p string) string { return strings.ReplaceAll(p, "//", "/") }, 0, "//orders/7", "same_answer", false},
		{"encoded dots", func(p string) string { return path.Clean(strings.ReplaceAll(p, "%2e", ".")) }, 0, "/x/%2e%2e/orders/7", "same_answer", false},
		{"redirects case", func(p string) string {
			if low := strings.ToLower(p); low != p {
				return "=>" + low
			}
			return p
		}, 0, "/ORDERS/7", "redirect", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := run(t, "gateway", "probe", "--to", upstream(t, tc.read), "--path", "/orders/7", "--json")
			var seen probe
			if err := json.Unmarshal([]byte(out), &seen); err != nil || code != tc.code || seen.Compared < 20 {
				t.Fatalf("exit %d, want %d; compared %d: %v\n%s%s", code, tc.code, seen.Compared, err, out, errs)
			}
			found := tc.target == "" && len(seen.Findings) == 0
			for _, f := range seen.Findings {
				found = found || f.Target == tc.target && f.Plain == "/orders/7" && f.Kind == tc.kind && f.Accepted == tc.passes
			}
			if !found {
				t.Errorf("%s is not among the findings as %s, accepted %t:\n%s", tc.target, tc.kind, tc.passes, out)
			}
		})
	}
}

func TestC37ProbeExitCodes(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := "http://" + free.Addr().String()
	free.Close()
	alike := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "one page") }))
	defer alike.Close()
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-User-Id") != "usr_1" || r.RequestURI != "/orders" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer locked.Close()
	for _, tc := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"alike", []string{"--to", alike.URL, "--path", "/orders"}, 5, "--path"},
		{"a path that is not there", []string{"--to", upstream(t, path.Clean), "--path", "/nothing"}, 5, "--path"},
		{"needs a header", []string{"--to", locked.URL, "--path", "/orders"}, 5, "--header"},
		{"with the header", []string{"--to", locked.URL, "--path", "/orders", "--header", "X-User-Id: usr_1"}, 0, ""},
		{"silent", []string{"--to", silent}, 6, "running"},
		{"elsewhere", []string{"--to", "http://192.0.2.1:80"}, 4, "--i-am-authorized"},
		{"a name elsewhere", []string{"--to", "http://localhost.example.com"}, 4, "--i-am-authorized"},
		{"h2c", []string{"--to", "h2c://127.0.0.1:1"}, 2, "h2c"},
		{"no address", nil, 2, "to"},
		{"path", []string{"--to", alike.URL, "--path", "/a/../b"}, 2, "--path"},
		{"line break in a header", []string{"--to", alike.URL, "--header", "A: b\r\nC: d"}, 2, "--header"},
	} {
		code, out, errs := run(t, append([]string{"gateway", "probe"}, tc.args...)...)
		if code != tc.code || !strings.Contains(errs, tc.says) {
			t.Errorf("%s: exit %d, want %d: %s%s", tc.name, code, tc.code, out, errs)
		}
	}
}

// Bodies that differ each time must not hide a disagreement.
func TestC35ProbeOfChangingBodies(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.ToLower(r.RequestURI) != "/orders/7" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprintln(w, "request", n.Add(1))
	}))
	defer s.Close()
	code, out, errs := run(t, "gateway", "probe", "--to", s.URL, "--path", "/orders/7")
	if code != 3 || !strings.Contains(out, "ACCEPTS  /ORDERS/7") {
		t.Errorf("exit %d:\n%s%s", code, out, errs)
	}
}

func TestProbeTable(t *testing.T) {
	code, out, errs := run(t, "gateway", "probe", "--to", upstream(t, strings.ToLower), "--path", "/orders/7")
	if code != 3 || !strings.Contains(out, "ACCEPTS  /ORDERS/7") || !strings.Contains(errs, "disagree about 1 accepted") {
		t.Errorf("exit %d:\n%s%s", code, out, errs)
	}
}
