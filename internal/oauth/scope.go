package oauth

import (
	"net/url"
	"slices"
	"strings"
)

const maxScopes = 64

// ParseScope reads a space-separated scope parameter (RFC 6749 §3.3) into a
// list without repetitions, in the order given.
func ParseScope(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	var scopes []string
	for _, name := range strings.Split(s, " ") {
		if name == "" || len(name) > 128 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return nil, InvalidScope("The scope is not a list of names with one space between them.")
		}
		if !slices.Contains(scopes, name) {
			scopes = append(scopes, name)
		}
	}
	if len(scopes) > maxScopes {
		return nil, InvalidScope("More than %d scopes are asked for.", maxScopes)
	}
	return scopes, nil
}

// JoinScope is the inverse of ParseScope.
func JoinScope(scopes []string) string { return strings.Join(scopes, " ") }

// ParseResource reads the resource parameter (RFC 8707 §2): an absolute URI
// without fragment, or "" when absent.
func ParseResource(form Form) (string, error) {
	resource := form.Get("resource")
	if resource == "" {
		return "", nil
	}
	u, err := url.Parse(resource)
	if err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
		return "", InvalidTarget("The resource is not an absolute URI without fragment (RFC 8707).")
	}
	return resource, nil
}
