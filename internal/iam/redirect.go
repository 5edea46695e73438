package iam

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// answerParameters are ours to add (RFC 6749 §4.1.2, RFC 9207): a redirect URI
// that brings one of its own would make an app read two, and some read the first.
var answerParameters = []string{"code", "state", "iss", "error", "error_description", "error_uri", "id_token", "access_token", "response", "session_state"}

// CheckRedirectURI reports why uri cannot be registered: https anywhere, http
// on loopback only, private-use schemes with a dot for public clients
// (RFC 8252 §7), no fragment, no user information, no control characters,
// nothing that a browser reads otherwise than it is written, and no query that
// holds a parameter of our answers.
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
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Invalidf("The redirect URI %q has a query that is no well-formed form.", uri)
	}
	for _, name := range answerParameters {
		if query.Has(name) {
			return Invalidf("The redirect URI %q holds the parameter %q, which is one of the answer's own.", uri, name)
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

// AllowsRedirect tells whether answers may be sent to uri: exactly one of those
// registered, byte for byte. The one exception is the port of a loopback
// address literal, which a native app learns only when it runs (RFC 8252 §7.3).
func (c Client) AllowsRedirect(uri string) bool {
	if CheckRedirectURI(uri, c.Type) != nil {
		return false
	}
	for _, registered := range c.RedirectURIs {
		if uri == registered {
			return true
		}
		if c.Type == Public && loopbackWithoutPort(uri) != "" && loopbackWithoutPort(uri) == loopbackWithoutPort(registered) {
			return true
		}
	}
	return false
}

// loopbackWithoutPort is uri without its port, "" unless it is plain http on
// the address literal 127.0.0.1 or [::1]. "localhost" is a name, and names can
// lead elsewhere (RFC 8252 §8.3).
func loopbackWithoutPort(uri string) string {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, host)
		if !ok {
			continue
		}
		if port, found := strings.CutPrefix(rest, ":"); found {
			digits := len(port) - len(strings.TrimLeft(port, "0123456789"))
			if digits == 0 || digits > 5 {
				return ""
			}
			rest = port[digits:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return ""
		}
		return host + rest
	}
	return ""
}

// AllowsPostLogout tells whether a browser may be sent to uri after a logout.
func (c Client) AllowsPostLogout(uri string) bool {
	return slices.Contains(c.PostLogoutRedirectURIs, uri)
}

func (c Client) checkLogout() error {
	for _, uri := range c.PostLogoutRedirectURIs {
		if err := CheckRedirectURI(uri, c.Type); err != nil {
			return err
		}
	}
	if len(c.PostLogoutRedirectURIs) > 0 && c.Type == Service || c.BackchannelLogoutURI != "" && c.Type == Service {
		return Invalidf("A service account has no sessions to log out of.")
	}
	if c.BackchannelLogoutURI != "" {
		if err := CheckRedirectURI(c.BackchannelLogoutURI, Confidential); err != nil {
			return err
		}
	}
	if c.IDTokenAlgorithm != "" && !slices.Contains(IDTokenAlgorithms(), c.IDTokenAlgorithm) {
		return Invalidf("The ID token algorithm %q is not one of %s.", Printable(c.IDTokenAlgorithm, 16), strings.Join(IDTokenAlgorithms(), ", "))
	}
	return nil
}

// IDTokenAlgorithms are those that a client may register. RS256 is the default:
// every client library of OpenID Connect has it (Core §15.1).
func IDTokenAlgorithms() []string { return []string{"RS256", "ES256", "EdDSA"} }

// IDTokenAlg is what signs the ID tokens of the client.
func (c Client) IDTokenAlg() string {
	if c.IDTokenAlgorithm == "" {
		return "RS256"
	}
	return c.IDTokenAlgorithm
}

func loopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
