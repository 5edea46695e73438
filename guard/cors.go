package guard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds and defaults of a CORS.
const (
	defaultCORSAge = 10 * time.Minute
	maxCORSAge     = 24 * time.Hour
)

// CORS lets pages of other origins call the API from a browser (the Fetch
// standard's CORS protocol). The zero CORS lets none. Credentials are never
// allowed: a bearer token needs no cookie.
//
// The middlewares answer preflights before they ask for a token, and their
// refusals can be read by the page. A mux that knows methods answers an OPTIONS
// request before any middleware sees it, so put Protect around it.
type CORS struct {
	// Origins may call, each written as browsers send it, such as
	// "https://app.example.com". There is no "*" and no pattern.
	Origins []string
	// Methods that a page may use. Nil: GET, HEAD, POST, PUT, PATCH and DELETE.
	Methods []string
	// Headers that a page may send beside Authorization and Content-Type.
	Headers []string
	// MaxAge is how long a browser may remember the answer to a preflight: 0
	// means 10 minutes, at most 24 hours.
	MaxAge time.Duration
}

// cors is a CORS that was checked, as the header values that it sends.
type cors struct {
	origins []string
	methods []string
	headers []string // lower case
	age     string
}

func (c CORS) check() error {
	var faults []error
	for _, origin := range c.Origins {
		if !isOrigin(origin) {
			faults = append(faults, fmt.Errorf("guard: CORS origin %q is not one such as https://app.example.com: scheme and host in lower case, no path, no \"*\"", origin))
		}
	}
	for _, name := range slices.Concat(c.Methods, c.Headers) {
		if !isToken(name) {
			faults = append(faults, fmt.Errorf("guard: CORS: %q is not the name of a method or header", name))
		}
	}
	if c.MaxAge < 0 || c.MaxAge > maxCORSAge {
		faults = append(faults, fmt.Errorf("guard: CORS MaxAge is %s; it may be 0 (for %s) to %s", c.MaxAge, defaultCORSAge, maxCORSAge))
	}
	if len(c.Origins) == 0 && (c.Methods != nil || c.Headers != nil || c.MaxAge != 0) {
		faults = append(faults, errors.New("guard: CORS has no Origins, so it lets no page in"))
	}
	return errors.Join(faults...)
}

// isOrigin tells whether s is an origin as a browser serializes it. "null", the
// origin of any sandboxed page, is none.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && !strings.Contains(u.Host, "*") &&
		s == u.Scheme+"://"+u.Host && s == strings.ToLower(s) && !strings.HasSuffix(s, ":") &&
		!(u.Scheme == "https" && u.Port() == "443") && !(u.Scheme == "http" && u.Port() == "80")
}

// isToken is RFC 9110 §5.6.2, without "*", which would be a wildcard here.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}*`, r)
	})
}

func newCORS(c CORS) *cors {
	if len(c.Origins) == 0 {
		return nil
	}
	made := &cors{origins: slices.Clone(c.Origins), methods: slices.Clone(c.Methods), headers: []string{"authorization", "content-type"}}
	if made.methods == nil {
		made.methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	}
	for _, name := range c.Headers {
		made.headers = append(made.headers, strings.ToLower(name))
	}
	age := c.MaxAge
	if age == 0 {
		age = defaultCORSAge
	}
	made.age = strconv.Itoa(int(age / time.Second))
	return made
}

// open writes the headers that let a page read the answer, and tells whether
// the request was a preflight, which it has answered. It is called before any
// token is looked at, and says nothing about one.
func (c *cors) open(w http.ResponseWriter, r *http.Request) (answered bool) {
	if c == nil {
		return false
	}
	h := w.Header()
	if !slices.Contains(h.Values("Vary"), "Origin") { // an outer middleware of ours was here
		h.Add("Vary", "Origin")
	}
	origins := r.Header.Values("Origin")
	if len(origins) != 1 {
		return false
	}
	listed := slices.Contains(c.origins, origins[0])
	if listed {
		h.Set("Access-Control-Allow-Origin", origins[0])
		h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	if listed {
		h.Set("Access-Control-Allow-Methods", strings.Join(c.methods, ", "))
		h.Set("Access-Control-Allow-Headers", strings.Join(c.headers, ", "))
		h.Set("Access-Control-Max-Age", c.age)
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
