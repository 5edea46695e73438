package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// refusal is an answer without the upstream: what the client hears, and never
// the value of a claim.
type refusal struct {
	status    int
	code      string // of the body, and of the challenge unless empty there
	sentence  string
	challenge bool   // with WWW-Authenticate (RFC 6750 §3)
	bare      bool   // a challenge without a code: the request had no token
	scope     string // what the route needs
	maxAge    time.Duration
	metadata  string // where the client learns who issues tokens (RFC 9728 §5.1)
	wait      time.Duration
}

// refuse answers a refusal by RFC 6750.
func (g *Gateway) refuse(w http.ResponseWriter, id string, r refusal) {
	h := w.Header()
	if r.challenge {
		c := oauth.Challenge{Realm: "api", Scope: r.scope, ResourceMetadata: r.metadata}
		if !r.bare {
			c.Code, c.Description = r.code, r.sentence
		}
		if r.maxAge > 0 {
			c.MaxAge = strconv.FormatInt(int64(r.maxAge/time.Second), 10)
		}
		h.Set("WWW-Authenticate", c.String())
	}
	if r.wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((r.wait+time.Second-1)/time.Second), 10))
	}
	writeJSON(w, r.status, map[string]string{"error": r.code, "error_description": r.sentence, "request_id": id})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// sentence is the text of an error of ours as one.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// sentenceOf is the part of a guard's error that may be shown.
func sentenceOf(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return strings.TrimSuffix(text[i+2:], ".") + "."
	}
	return "The token is not valid."
}
