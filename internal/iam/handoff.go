package iam

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// HandoffLife is how long a hand-off token may be used.
const HandoffLife = 30 * time.Second

// HandoffMode is how the hand-off token reaches an app that cannot speak
// OpenID Connect.
type HandoffMode string

const (
	HandoffForm   HandoffMode = "form_post" // a form that the browser posts: the default
	HandoffQuery  HandoffMode = "query"     // in the address: for apps that take nothing else
	HandoffCookie HandoffMode = "cookie"    // for the parent domain that issuer and app share
)

// Handoff of a client, off by default (C33).
type Handoff struct {
	URL    string      `json:"url"`
	Mode   HandoffMode `json:"mode"`
	Domain string      `json:"domain,omitempty"` // of the cookie
}

func (c Client) checkHandoff() error {
	h := c.Handoff
	if h == nil {
		return nil
	}
	if !c.FirstParty || c.Type == Service {
		return Invalidf("Only a first-party application may be handed logins to: no consent is asked on the way.")
	}
	if h.URL == "" {
		return Invalidf("A hand-off needs the URL of the app that takes it.")
	}
	if err := CheckRedirectURI(h.URL, Confidential); err != nil {
		return err
	}
	if u, err := url.Parse(h.URL); err != nil || u.Query().Has("handoff") {
		return Invalidf("The hand-off URL has a parameter called handoff, which carries the token.")
	}
	switch h.Mode {
	case HandoffForm, HandoffQuery:
		if h.Domain != "" {
			return Invalidf("A cookie domain belongs to the hand-off mode cookie.")
		}
		return nil
	case HandoffCookie:
		return checkHandoffDomain(h.URL, h.Domain)
	}
	return Invalidf("The hand-off mode %q is not one of form_post, query, cookie.", Printable(string(h.Mode), 32))
}

// checkHandoffDomain refuses a domain that strangers share: a cookie for
// "co.uk" or "github.io" would go to all of them.
func checkHandoffDomain(target, domain string) error {
	u, err := url.Parse(target)
	if err != nil || domain == "" || domain != strings.ToLower(domain) || strings.HasPrefix(domain, ".") || !strings.HasSuffix("."+u.Hostname(), "."+domain) {
		return Invalidf("The cookie domain %q is not a parent of the hand-off URL's host, in lower case and without a leading dot.", Printable(domain, 64))
	}
	if u.Scheme != "https" {
		return Invalidf("A hand-off by cookie needs https: the cookie is Secure.")
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return Invalidf("A hand-off by cookie needs a host name: an address has no parent domain.")
	}
	registrable, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil || !strings.HasSuffix("."+domain, "."+registrable) {
		return Invalidf("The cookie domain %q is a public suffix, shared by strangers. Use a domain of your own.", domain)
	}
	return nil
}

// CanCome tells whether an authority at issuer can deliver in the mode of h: a
// browser takes a Secure cookie from https only, and for a domain only from a
// host in it.
func (h Handoff) CanCome(issuer string) bool {
	if h.Mode != HandoffCookie {
		return true
	}
	u, err := url.Parse(issuer)
	return err == nil && u.Scheme == "https" && h.Domain != "" && strings.HasSuffix("."+strings.ToLower(u.Hostname()), "."+h.Domain)
}

// MaxHandoffBytes bounds a token that travels in an address or a cookie: of
// larger ones browsers and servers drop parts, or all.
const MaxHandoffBytes = 3500

// Fits tells whether a token of that length can be delivered in the mode of h.
func (h Handoff) Fits(length int) bool { return h.Mode == HandoffForm || length <= MaxHandoffBytes }

// HandoffRoles are the roles that an app learns of a user: those that hold a
// scope which the app may be granted. An app with no scope of an API learns none
// (the rule of C6, for an audience that is no API).
func HandoffRoles(client Client, held []Role) []string {
	var names []string
	for _, r := range held {
		if slices.ContainsFunc(r.Scopes, func(s RoleScope) bool { return client.MayHold(s.Scope) }) {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return names
}

// HandoffIssue is a login that is about to be handed to an app. The store makes
// sure that user, client and session are still what they were.
type HandoffIssue struct {
	Session     SessionID
	User        UserID
	UserEpoch   int64
	Client      ClientID
	ClientEpoch int64
	Event       Event
}

// HandoffUse is a hand-off token that an app presents to be spent.
type HandoffUse struct {
	ID      TokenID
	Session SessionID
	User    UserID
	Expires time.Time
	Event   Event
}
