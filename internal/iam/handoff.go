package iam

import (
	"net/url"
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
	if err := CheckRedirectURI(h.URL, Confidential); err != nil {
		return err
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
	registrable, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil || !strings.HasSuffix("."+domain, "."+registrable) {
		return Invalidf("The cookie domain %q is a public suffix, shared by strangers. Use a domain of your own.", domain)
	}
	return nil
}

// SharesDomain tells whether host lies in the cookie domain of h.
func (h Handoff) SharesDomain(host string) bool {
	return h.Domain != "" && strings.HasSuffix("."+strings.ToLower(host), "."+h.Domain)
}
