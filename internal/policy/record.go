package policy

import (
	"encoding/json"
	"strings"
	"time"
)

// Record is one line of a decision log (NDJSON). The gateway writes it, `policy
// diff` reads it.
type Record struct {
	Time      time.Time         `json:"time"`
	RequestID string            `json:"request_id"`
	Method    string            `json:"method"`
	Path      string            `json:"path"`             // the target as received, with the query only where a where needs it
	Route     string            `json:"route,omitempty"`  // as it is written, "GET /orders"
	Line      int               `json:"line,omitempty"`   // of the policy
	Decision  string            `json:"decision"`         // allow, deny or shadow
	Reason    string            `json:"reason,omitempty"` // why not
	Subject   string            `json:"sub,omitempty"`    //
	ClientID  string            `json:"client_id,omitempty"`
	Scope     string            `json:"scope,omitempty"` // the token's, with spaces between
	Roles     []string          `json:"roles,omitempty"`
	Issued    int64             `json:"iat,omitempty"`       // seconds, as in the token
	Claims    map[string]string `json:"claims,omitempty"`    // those that a where compared
	Anonymous bool              `json:"anonymous,omitempty"` // the request had no valid token
	FeedAge   float64           `json:"feed_age,omitempty"`  // seconds since all revocations were known, where it is above a healthy feed's
}

// Caller is who made the recorded request, nil for an anonymous one.
func (r Record) Caller() *Caller {
	if r.Anonymous {
		return nil
	}
	c := &Caller{Subject: r.Subject, ClientID: r.ClientID, Scopes: strings.Fields(r.Scope), Roles: r.Roles, Claim: func(name string) (string, bool) {
		v, ok := r.Claims[name]
		return v, ok
	}}
	if r.Issued > 0 {
		c.Issued = time.Unix(r.Issued, 0)
	}
	return c
}

// NewRecord is the line for a decision; time, request id, method and path are
// the gateway's to add where Canonicalize rejected the request.
func NewRecord(at time.Time, requestID string, req Canonical, caller *Caller, d Decision) Record {
	r := Record{Time: at.UTC(), RequestID: requestID, Method: req.Method, Path: req.RawPath, Decision: "deny", Reason: d.Reason, Anonymous: caller == nil}
	switch {
	case d.Allow && d.Shadow && d.Reason != "":
		r.Decision = "shadow"
	case d.Allow:
		r.Decision = "allow"
	}
	if caller != nil {
		r.Subject, r.ClientID, r.Scope, r.Roles = caller.Subject, caller.ClientID, strings.Join(caller.Scopes, " "), caller.Roles
		if !caller.Issued.IsZero() {
			r.Issued = caller.Issued.Unix()
		}
	}
	if d.Route == nil {
		return r
	}
	r.Route, r.Line = d.Route.String(), d.Route.Line
	for _, e := range d.Route.Where {
		if e.From == "query" {
			r.Path = req.Target()
		}
		if caller == nil {
			continue
		}
		if value, ok := caller.claim(e.Claim); ok {
			if r.Claims == nil {
				r.Claims = map[string]string{}
			}
			r.Claims[e.Claim] = value
		}
	}
	return r
}

// ClaimText is a claim's JSON as a where compares it: a string, a number as it is
// written, true or false. False for null, lists, objects and what is no JSON.
func ClaimText(raw []byte) (string, bool) {
	var value any
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return "", false
	}
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return string(raw), true
	}
	return "", false
}
