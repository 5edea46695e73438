package iam

import (
	"net/netip"
	"net/url"
	"strings"
)

// CheckRedirectURI reports why uri cannot be registered: https anywhere, http
// on loopback only, private-use schemes with a dot for public clients
// (RFC 8252 §7), no fragment, no user information, no control characters, and
// nothing that a browser reads otherwise than it is written.
func CheckRedirectURI(uri string, kind ClientType) error {
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() || len(uri) > 512 || strings.ContainsAny(uri, " \\\"<>\t\r\n*") {
		return Invalidf("The redirect URI %q is not an absolute URI such as https://app.example.com/callback.", Printable(uri, 128))
	}
	if strings.Contains(uri, "#") {
		return Invalidf("The redirect URI %q has a fragment; RFC 6749 §3.1.2 forbids one.", uri)
	}
	if u.User != nil {
		return Invalidf("The redirect URI %q names a user before the host, which hides where it leads.", uri)
	}
	if !ReadsOneWay(uri) {
		return Invalidf("The redirect URI %q can be read in more than one way. Write names of hosts in ASCII (xn--…) and in small letters the scheme, encode other characters (%%C3%%BC), and leave out a port without a number.", Printable(uri, 128))
	}
	for _, segment := range strings.Split(u.Path, "/") {
		if segment == "." || segment == ".." {
			return Invalidf("The redirect URI %q has a dot segment.", uri)
		}
	}
	switch {
	case u.Scheme == "https" && u.Hostname() != "":
		return nil
	case u.Scheme == "http" && loopbackHost(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return Invalidf("The redirect URI %q is plain http. Use https; http is for loopback addresses only.", uri)
	case kind == Public && strings.Contains(u.Scheme, "."):
		return nil
	}
	return Invalidf("The scheme of the redirect URI %q is not allowed: https, http on loopback, or for a public client a private-use scheme with a dot (com.example.app).", uri)
}

func loopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
