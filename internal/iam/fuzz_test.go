package iam_test

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// oneReading is a host that every browser takes as it is written.
var oneReading = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// FuzzRedirectURI: a redirect URI that is taken has one reading: the standard
// library writes it as it was, a browser finds the same host in it, and it can
// stand in a Location header.
func FuzzRedirectURI(f *testing.F) {
	for uri := range redirectURIs {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		confidential := iam.CheckRedirectURI(uri, iam.Confidential)
		err := iam.CheckRedirectURI(uri, iam.Public)
		if confidential == nil && err != nil {
			t.Fatalf("%q is taken for a confidential client and not for a public one: %v", uri, err)
		}
		var invalid *iam.Invalid
		if err != nil {
			if !errors.As(err, &invalid) {
				t.Fatalf("a refusal without a sentence: %v", err)
			}
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.String() != uri {
			t.Fatalf("%q is taken, and written again it is %q (%v)", uri, u, err)
		}
		if u.User != nil || strings.ContainsAny(uri, "#\\\"<>*") {
			t.Fatalf("%q is taken", uri)
		}
		for _, r := range uri {
			if r <= ' ' || r > '~' {
				t.Fatalf("%q is taken, with the character %q", uri, r)
			}
		}
		switch u.Scheme {
		case "https", "http":
			webAddress(t, u)
		default:
			if !strings.Contains(u.Scheme, ".") || confidential == nil {
				t.Fatalf("%q is taken, with the scheme %s", uri, u.Scheme)
			}
		}
	})
}

func webAddress(t *testing.T, u *url.URL) {
	t.Helper()
	if !oneReading.MatchString(u.Host) {
		t.Fatalf("%q is taken, with the host %q", u, u.Host)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			t.Fatalf("%q is taken, with the port %s", u, port)
		}
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !addr.IsLoopback() || !net.ParseIP(u.Hostname()).IsLoopback()) {
		t.Fatalf("%q is taken, and is no loopback address", u)
	}
}
