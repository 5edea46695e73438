package iam

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ReadsOneWay tells whether every parser finds the same in an absolute URI:
// printable ASCII that the standard library writes as it was, a host that a
// browser neither maps nor drops letters of, and a port that exists.
func ReadsOneWay(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.String() != uri || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return false
	}
	return u.Host == "" || plainHost(u.Hostname()) && plainPort(u)
}

func plainHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r))
	})
}

func plainPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}
