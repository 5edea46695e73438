package page

import (
	"errors"
	"html/template"
	"net/url"
	"slices"
	"strings"
)

// runs are schemes whose addresses are code or content of this page's making:
// following one would run it, or show it, as if it came from here.
var runs = []string{"javascript", "data", "vbscript", "blob", "about", "filesystem", "view-source", "file", "jar", "chrome", "resource"}

// proven gives an address that the caller proved to be registered in the type
// that html/template leaves alone, so that a private-use scheme
// (com.example.app:/cb, RFC 8252 §7.1) survives. Whatever could run code is
// refused here a second time.
func proven(target string) (template.URL, error) {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return "", err
	case u.Scheme == "" || slices.Contains(runs, strings.ToLower(u.Scheme)):
		return "", errors.New("page: not an address to continue at")
	case web(u) && u.Host == "":
		return "", errors.New("page: an address without a host")
	}
	return template.URL(target), nil
}

func web(u *url.URL) bool { return u.Scheme == "https" || u.Scheme == "http" }

// postOrigin is the origin of a form_post's action, as the policy names it.
func postOrigin(action string) (string, error) {
	u, err := url.Parse(action)
	if err != nil || !web(u) || u.Host == "" || u.User != nil || strings.ContainsAny(u.Host, " ;,'\"*") {
		return "", errors.New("page: not an address to post a form to")
	}
	return u.Scheme + "://" + u.Host, nil
}
