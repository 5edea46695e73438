package respond_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

func TestTheClientIsWhatOurOwnProxySaw(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("2001:db8::/64")}
	for _, tc := range []struct {
		name, peer string
		forwarded  []string
		want       string // "" refused
	}{
		{"one hop", "10.0.0.5:4000", []string{"203.0.113.7"}, "203.0.113.7"},
		{"two proxies of ours", "10.0.0.5:4000", []string{"203.0.113.7, 10.0.0.9"}, "203.0.113.7"},
		{"the client's own words do not count", "10.0.0.5:4000", []string{"192.0.2.1, 203.0.113.7"}, "203.0.113.7"},
		{"nor in a header of their own", "10.0.0.5:4000", []string{"192.0.2.1", "203.0.113.7"}, "203.0.113.7"},
		{"nor do forged proxies", "10.0.0.5:4000", []string{"192.0.2.1, 10.0.0.9, 203.0.113.7"}, "203.0.113.7"},
		{"no header", "10.0.0.5:4000", nil, "10.0.0.5"},
		{"not an address", "10.0.0.5:4000", []string{"203.0.113.7, unknown"}, "10.0.0.5"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.5]:4000", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"IPv6", "[2001:db8::1]:4000", []string{"2001:db8:1::7"}, "2001:db8:1::7"},
		{"not our proxy", "192.0.2.9:4000", []string{"10.0.0.5"}, ""},
		{"a peer without an address", "@", []string{"203.0.113.7"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			h := respond.Proxied(proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = respond.Address(r).String() }))
			r := httptest.NewRequest("GET", "/x", nil)
			r.RemoteAddr = tc.peer
			for _, f := range tc.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got != tc.want || tc.want == "" && w.Code != http.StatusForbidden {
				t.Errorf("got %q (%d), want %q", got, w.Code, tc.want)
			}
		})
	}
}

func TestWithoutAProxyNoHeaderIsBelieved(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "198.51.100.4:1"
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP"} {
		r.Header.Set(name, "203.0.113.7")
	}
	if got := respond.Address(r).String(); got != "198.51.100.4" {
		t.Errorf("got %s", got)
	}
}
