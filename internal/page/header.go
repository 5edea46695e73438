package page

import "net/http"

// policy is what a page may do beyond showing itself.
type policy struct {
	script     bool   // our own script files
	formAction string // the one origin that its form may post to; "" ours
}

// String is the content security policy: nothing but what the page has, and
// nothing inline. Trusted types keep our scripts from building code of text.
func (p policy) String() string {
	csp := "default-src 'none'; "
	if p.script {
		csp += "script-src 'self'; "
	}
	action := "'self'"
	if p.formAction != "" {
		action = p.formAction
	}
	return csp + "style-src 'self'; img-src 'self'; form-action " + action + "; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'; report-uri /csp-report"
}

// set writes the headers of a page. Most are those of every answer; a page sets
// them itself, so that it is safe wherever it is mounted.
func (p policy) set(h http.Header) {
	h.Set("Content-Security-Policy", p.String())
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), geolocation=()")
}
