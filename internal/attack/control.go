package attack

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// control is a plain form of an attack. Where it is accepted, finer forms of
// other rows prove nothing of their own: a kid that is a command shows something
// only if a plain kid with the same secret is refused.
type control struct {
	row, name string
	reason    string
	implies   func(shot) bool
}

// controls are sent first, once a route.
var controls = []control{
	{"T01", "alg-none", "Implied by T01: a token that says none needs no signature, however that is written.", saysNone},
	{"T03", "signature-stripped", "Implied by T03: without a signature nothing is checked, whatever the header says.", unsigned},
	{"T11", "hs256-secret-empty", "Implied by T11: an empty secret is accepted, whatever else the token says.", emptySecret},
	{"T18", "hs256-secret-of-nobody", "Implied by T18: a kid that nobody has finds an empty secret, whatever else the kid is.", emptySecret},
	{"control", "no-rights", "The route answers as well to a token without scope and roles: it does not look at them.", namesRights},
	{"T25", "jwk-same-kid", "Implied by T25: whatever key the header brings is taken.", bringsKey},
}

// controlled are the rows that some control says something about.
var controlled = map[string]bool{"T01": true, "T02": true, "T15": true, "T18": true, "T20": true, "T21": true, "T22": true, "T29": true, "T32": true, "T58": true}

// marked marks the shots of a row that prove nothing. They are sent all the
// same: what they make the target fetch, or how long they take, still counts.
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
		for _, c := range route.implied {
			if c.row != s.id && shots[i].implied == "" && c.implies(s) {
				shots[i].implied = c.reason
			}
		}
	}
	return shots, nil
}

// control sends the controls and keeps those that are accepted. An empty secret
// under the issuer's kid explains one under any other.
func (r *run) control(ctx context.Context, route *route, p plan) error {
	if !r.config.Lab.IsZero() {
		raw, err := r.mint(route.valid, map[string]any{"scope": nil, "roles": nil})
		if err != nil {
			return err
		}
		p.shots["control"] = []shot{{id: "control", name: "no-rights", token: raw}}
	}
	for _, c := range controls {
		for _, s := range p.shots[c.row] {
			if s.name != c.name {
				continue
			}
			v, err := r.try(ctx, route, s, &odd{})
			if err != nil {
				return err
			}
			if v.what == accepted && v.second {
				route.implied = append(route.implied, c)
			}
		}
	}
	// What needs no signature at all explains the algorithm none, not the reverse.
	if slices.ContainsFunc(route.implied, func(c control) bool { return c.row == "T03" }) {
		route.implied = slices.DeleteFunc(route.implied, func(c control) bool { return c.row == "T01" })
	}
	route.controlled = true
	return nil
}

// headerOf is the header of a token, as lenient as a JSON decoder is.
func headerOf(raw string) map[string]any {
	head, _, _ := strings.Cut(raw, ".")
	text, _ := base64.RawURLEncoding.DecodeString(head)
	header := map[string]any{}
	_ = json.Unmarshal(text, &header)
	return header
}

func saysNone(s shot) bool { return headerOf(s.token)["alg"] == "none" }

func unsigned(s shot) bool {
	return strings.HasSuffix(s.token, ".") || strings.Count(s.token, ".") == 1
}

func namesRights(s shot) bool {
	return strings.HasPrefix(s.name, "scope-") || strings.HasPrefix(s.name, "roles-")
}

func bringsKey(s shot) bool {
	_, brings := headerOf(s.token)["jwk"]
	return brings
}

// emptySecret tells whether a token is signed with no secret at all.
func emptySecret(s shot) bool {
	at := strings.LastIndexByte(s.token, '.')
	if at < 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(s.token[at+1:])
	h := hmac.New(sha256.New, nil)
	h.Write([]byte(s.token[:at]))
	return err == nil && hmac.Equal(signature, h.Sum(nil))
}
