package api

import (
	"fmt"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

// readers says which pages of other origins may read an endpoint's answers (C21).
type readers int

const (
	noPages     readers = iota // no CORS at all
	clientPages                // pages of the client that asks
	allPages                   // every page: public documents
)

// preflightAge is how long a browser may remember a preflight, in seconds.
const preflightAge = "600"

// cors answers preflights and marks answers as different for each origin.
// Cookies and other credentials of the browser are never allowed.
func cors(who readers, preflight, endpoint http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch who {
		case noPages:
			endpoint.ServeHTTP(w, r)
			return
		case clientPages:
			w.Header().Set("Vary", "Origin")
		case allPages:
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			preflight.ServeHTTP(w, r)
			return
		}
		endpoint.ServeHTTP(w, r)
	})
}

// preflight answers an OPTIONS request of a browser (Fetch §4.8). It has no
// body and no Authorization header, so it cannot name the client: whatever any
// client registered may ask, and the answer itself is then for the client's
// own origins only.
func (h handler) preflight(who readers, method string) respond.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		header := w.Header()
		if who == clientPages {
			known, err := h.originKnown(r)
			if err != nil {
				return fmt.Errorf("read origins: %w", err)
			}
			if !known {
				w.WriteHeader(http.StatusNoContent)
				return nil
			}
			header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		}
		header.Set("Access-Control-Allow-Methods", method)
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		header.Set("Access-Control-Max-Age", preflightAge)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

func (h handler) originKnown(r *http.Request) (bool, error) {
	origin := r.Header.Get("Origin")
	if iam.CheckOrigin(origin) != nil {
		return false, nil
	}
	return h.records.OriginKnown(r.Context(), origin)
}

// allowPage lets the page that asks read the answer, if it is the client's.
func allowPage(w http.ResponseWriter, r *http.Request, client iam.Client) {
	origins := r.Header.Values("Origin")
	if len(origins) == 1 && client.MayRead(origins[0]) {
		exposeTo(w, origins[0])
	}
}

func exposeTo(w http.ResponseWriter, origin string) {
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, X-Request-Id")
}
