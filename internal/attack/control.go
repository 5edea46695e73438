package attack

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// A kid that is a path or a command proves something only if a plain kid with
// the same secret is refused. Most of those tokens are signed with an empty
// secret, so these two are sent first.
var controls = []struct{ row, name, reason string }{
	{"T11", "hs256-secret-empty", "Implied by T11: an empty secret is accepted, whatever else the token says."},
	{"T18", "hs256-secret-of-nobody", "Implied by T18: a kid that nobody has finds an empty secret, whatever else the kid is."},
}

// controlled are the rows that the controls say something about.
var controlled = map[string]bool{"T18": true, "T20": true, "T21": true, "T22": true}

// marked marks the shots of a row that prove nothing, because an empty secret
// alone is accepted. They are sent all the same: what they make the target
// fetch, or how long they take, still counts.
func (r *run) marked(ctx context.Context, route *route, p plan, row string, shots []shot) ([]shot, error) {
	if !controlled[row] {
		return shots, nil
	}
	if !route.controlled {
		if err := r.control(ctx, route, p); err != nil {
			return nil, err
		}
	}
	for i, s := range shots {
		if route.implied != "" && s.id != route.impliedBy && emptySecret(s.token) {
			shots[i].implied = route.implied
		}
	}
	return shots, nil
}

// control sends the controls, once a route.
func (r *run) control(ctx context.Context, route *route, p plan) error {
	for _, c := range controls {
		for _, s := range p.shots[c.row] {
			if s.name != c.name {
				continue
			}
			v, err := r.try(ctx, route, s, &odd{})
			if err != nil {
				return err
			}
			if v.what == accepted && v.second && route.implied == "" {
				route.implied, route.impliedBy = c.reason, c.row
			}
		}
	}
	route.controlled = true
	return nil
}

// emptySecret tells whether a token is signed with no secret at all.
func emptySecret(raw string) bool {
	at := strings.LastIndexByte(raw, '.')
	if at < 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(raw[at+1:])
	h := hmac.New(sha256.New, nil)
	h.Write([]byte(raw[:at]))
	return err == nil && hmac.Equal(signature, h.Sum(nil))
}
