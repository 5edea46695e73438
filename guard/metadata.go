package guard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// metadataPath is the well-known location of RFC 9728 §3.
const metadataPath = "/.well-known/oauth-protected-resource"

// Resource is what an API says about itself to clients that do not know it yet
// (RFC 9728 §2). Every field may be empty.
type Resource struct {
	Name          string   // for people
	Documentation string   // a URL for developers
	Scopes        []string // what a client may ask for; need not be all of them
}

// ResourceMetadata returns the protected resource metadata of this API (RFC
// 9728) and the pattern to serve it at:
//
//	mux.Handle(g.ResourceMetadata(guard.Resource{Name: "Orders", Scopes: []string{"orders:read"}}))
//
// The document names the issuer, so that a client that was refused can find out
// where to log in: the guard's challenges point to it. Its `resource` is the
// Config's Audience byte for byte, and nothing in it comes from a request. The
// document is public: under Protect, list the pattern.
//
// It panics when the Audience is not a URL that a client could have called: an
// https URL, or http on loopback, without query and fragment.
func (g *Guard) ResourceMetadata(r Resource) (pattern string, h http.Handler) {
	if !g.usable() {
		panic("guard: ResourceMetadata of a nil or zero Guard")
	}
	path, _, ok := locate(g.audience)
	if g.audience == "" {
		panic("guard: guards of different audiences have no metadata in common; serve one document for each of them")
	}
	if !ok {
		panic(fmt.Sprintf("guard: the audience %q is not an https URL without query and fragment, so it has no metadata (RFC 9728 §1.2)", g.audience))
	}
	Rule{Scopes: r.Scopes}.check()
	body, err := json.Marshal(struct {
		Resource      string   `json:"resource"`
		Servers       []string `json:"authorization_servers"`
		Methods       []string `json:"bearer_methods_supported"`
		Scopes        []string `json:"scopes_supported,omitempty"`
		Name          string   `json:"resource_name,omitempty"`
		Documentation string   `json:"resource_documentation,omitempty"`
	}{g.audience, g.issuers(), []string{"header"}, slices.Clone(r.Scopes), r.Name, r.Documentation})
	if err != nil {
		panic("guard: " + err.Error())
	}
	return "GET " + path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*")
		w.Write(append(body, '\n'))
	})
}

// locate is where the metadata of a resource is: the well-known string inserted
// between host and path (RFC 9728 §3.1). Only an identifier that is written in
// the one plain way has a place, so that every client computes the same.
func locate(audience string) (path, address string, ok bool) {
	u, err := url.Parse(audience)
	if err != nil || u.Hostname() == "" || audience != u.Scheme+"://"+u.Host+u.EscapedPath() {
		return "", "", false
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", "", false
	}
	own := strings.TrimRight(u.EscapedPath(), "/")
	if strings.Contains(own, "//") || strings.Contains(own+"/", "/./") || strings.Contains(own+"/", "/../") {
		return "", "", false
	}
	path = metadataPath + own
	return path, u.Scheme + "://" + u.Host + path, true
}
