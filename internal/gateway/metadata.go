package gateway

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
)

const metadataPath = "/.well-known/oauth-protected-resource"

// place is where the metadata of an audience lies (RFC 9728 §3.1). An audience
// that is not a plain URL has none.
func place(audience string) (path, address string, ok bool) {
	u, err := url.Parse(audience)
	if err != nil || u.Hostname() == "" || audience != u.Scheme+"://"+u.Host+u.EscapedPath() {
		return "", "", false
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && !(u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())) {
		return "", "", false
	}
	path = metadataPath + strings.TrimRight(u.EscapedPath(), "/")
	return path, u.Scheme + "://" + u.Host + path, true
}

// describe answers the protected resource metadata (RFC 9728 §2). Nothing in it
// comes from a request.
func describe(audience string, issuers, scopes []string) http.Handler {
	body, err := json.Marshal(struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Methods  []string `json:"bearer_methods_supported"`
		Scopes   []string `json:"scopes_supported,omitempty"`
	}{audience, issuers, []string{"header"}, scopes})
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=300")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*")
		w.Write(append(body, '\n'))
	})
}
