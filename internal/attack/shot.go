package attack

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// shot is one request of an attack.
type shot struct {
	id, name, title, want string
	token                 string // in its usual place; "" for none
	change                func(*http.Request)
	exacting              bool             // accepted only with the body of the valid answer
	echo                  bool             // accepted only if the answer is in the forged name
	severity              finding.Severity // of its acceptance, where that is less than the row's
	delay                 bool             // time tells: it asks the target to wait
	costly                bool             // time tells: it asks the target to work
	implied               string           // why its acceptance says nothing of its own
}

func (s shot) request(ctx context.Context, t Target) (*http.Request, error) {
	request, err := t.request(ctx, s.token)
	if err == nil && s.change != nil {
		s.change(request)
	}
	return request, err
}

// least is how much an accepted answer resembles the valid one. The valid token
// in another place brings exactly the valid answer; without a token a name in it
// may differ.
func (s shot) least() float64 {
	switch {
	case !s.exacting:
		return 0
	case s.id == "T70" || s.id == "T71" || s.id == "T72":
		return 0.95
	}
	return 0.8
}

// plan is what will be sent for each row, and why nothing is for others.
type plan struct {
	shots   map[string][]shot
	without map[string]string
}

// Extra is a genuine token that the user has for another purpose.
type Extra struct {
	Row   string // "T51", "T54", "T56", "T62"
	Name  string
	Title string
	Raw   string
}

// costlyRows tell by the time that the target works, and may hurt it.
var costlyRows = map[string]bool{"T36": true, "T37": true, "T38": true, "T81": true}

const needsLab = "It takes a token that the issuer signed and that is wrong: give one, or the keys of a dev folder with --lab."

// planFor makes everything that can be sent to a route.
func (r *run) planFor(route *route) (plan, error) {
	p := plan{shots: map[string][]shot{}, without: map[string]string{}}
	source, err := r.source(route.valid)
	if err != nil {
		return p, err
	}
	forged, err := forge.All(source)
	if err != nil {
		return p, err
	}
	unsendable := 0
	for _, f := range forged {
		if !route.target.sendable(f.Raw) {
			unsendable++
			continue
		}
		s := shot{id: f.ID, name: f.Name, title: f.Title, want: f.Want, token: f.Raw, severity: byProof(f)}
		s.delay = strings.Contains(f.Name, "kid-shell") || strings.Contains(f.Name, "kid-substitution")
		s.costly = costlyRows[f.ID]
		p.add(s)
	}
	for _, e := range r.config.Extra {
		p.add(shot{id: e.Row, name: e.Name, title: e.Title, want: "It is no access token for this API now.", token: e.Raw})
	}
	for _, s := range r.withRecovered(source) {
		p.add(s)
	}
	for _, s := range gateShots(route.target, route.valid) {
		p.add(s)
	}
	r.explain(route, &p)
	return p, nil
}

func (p *plan) add(s shot) { p.shots[s.id] = append(p.shots[s.id], s) }

// source is what the forger knows about the issuer of a token.
func (r *run) source(valid string) (forge.Source, error) {
	token, err := jose.Parse(valid)
	if err != nil {
		return forge.Source{}, fmt.Errorf("the valid token: %w", err)
	}
	if r.own.IsZero() || r.own.Key().Algorithm() != forge.OwnAlgorithm(token) {
		if r.own, err = jose.GenerateSigner(forge.OwnAlgorithm(token)); err != nil {
			return forge.Source{}, fmt.Errorf("make a key of the auditor's own for %s: %w", token.Algorithm(), err)
		}
	}
	issuer, audience := r.namesIn(token)
	s := forge.Source{Valid: valid, Keys: r.config.Keys, Document: r.config.KeysDocument, Certificates: r.config.Certificates, Lab: r.config.Lab, Issuer: issuer, Audience: audience, Now: r.config.now(), Own: r.own}
	if r.listener != nil {
		s.Callback = r.listener.url
	}
	return s, nil
}

// namesIn are issuer and audience of a token where the user named none. A
// forger needs some name in any case.
func (r *run) namesIn(token jose.Token) (issuer, audience string) {
	issuer, audience = r.config.Issuer, r.config.Audience
	claims := claimsOf(token)
	if issuer == "" {
		issuer = text(claims["iss"])
	}
	if audience == "" {
		audience = text(claims["aud"])
		if list, ok := claims["aud"].([]any); ok && len(list) > 0 {
			audience = text(list[0])
		}
	}
	if issuer == "" {
		issuer = "https://issuer.invalid"
	}
	if audience == "" {
		audience = "https://audience.invalid"
	}
	return issuer, audience
}

// byProof is the severity of a token that is accepted, where it proves less
// than the row at its worst. Info is what only the issuer itself could misuse, or
// what a standard lets an API do.
func byProof(f forge.Token) finding.Severity {
	if severity, ok := proofs[f.Name]; ok {
		return severity
	}
	for begin, severity := range proofsByPrefix {
		if strings.HasPrefix(f.Name, begin) {
			return severity
		}
	}
	switch f.ID {
	case "T28", "T56", "T58":
		return finding.Medium // the issuer itself signed it; that another token passes is shown by another token
	case "C9":
		return finding.Low // it matters once the issuer binds tokens to keys
	}
	return ""
}

var proofs = map[string]finding.Severity{
	"crit-null": finding.Info, "crit-empty": finding.Info, // they ask for nothing
	"b64-without-crit": finding.Info,                                                        // an unknown member is ignored (RFC 7515 §4)
	"exp-milliseconds": finding.Info, "exp-63-bits": finding.Info, "exp-huge": finding.Info, // a date, far away
	"iat-future": finding.Info, "iat-missing": finding.Info, "iat-string": finding.Info, "iat-negative": finding.Info, // RFC 7519 §4.1.6 asks nothing of iat
	"iss-list": finding.Medium, "aud-mixed-list": finding.Low,
}

var proofsByPrefix = map[string]finding.Severity{
	"twice-": finding.Info,                                                                                                     // the last one may count (RFC 7515 §4, RFC 7519 §4)
	"jti-":   finding.Info, "client-id-": finding.Info, "sid-": finding.Info, "auth-time-": finding.Info, "acr-": finding.Info, // rarely what an API decides by
	"scope-": finding.Low, "roles-": finding.Low, // an API that uses none is none the worse
	"base64-": finding.Low,
}

// explain says why nothing is sent for a row.
func (r *run) explain(route *route, p *plan) {
	for _, row := range Rows() {
		id := row.ID
		switch {
		case len(p.shots[id]) > 0 && costlyRows[id] && !r.config.AllowDoS:
			p.shots[id], p.without[id] = nil, "It costs the target time and memory: allow it with --allow-dos."
		case len(p.shots[id]) > 0 || own[id]:
		case neverSent[id] != "":
			p.without[id] = neverSent[id]
		case id == "T05" && strings.HasPrefix(string(algorithmOf(route.valid)), "HS"):
			p.without[id] = "The valid token is signed with a secret: there is no public key to confuse it with."
		case id == "T05" || id == "T34" || id == "T35":
			p.without[id] = "The issuer's public key is not known" + r.keysNote() + ": name it with --jwks, --public-key or --issuer."
		case labRows[id]:
			p.without[id] = needsLab
		case id == "T12" || id == "T14" || id == "T15":
			p.without[id] = "It does not exist for " + string(algorithmOf(route.valid)) + "."
		case id == "T06":
			p.without[id] = r.recoverNote
		case id == "T62":
			p.without[id] = "It takes a token from before a logout: give one with --revoked."
		default:
			p.without[id] = "Nothing could be made for this route."
		}
	}
}

func (r *run) keysNote() string {
	if r.config.KeysNote == "" {
		return ""
	}
	return " (" + r.config.KeysNote + ")"
}

// neverSent are rows that no request of an auditor can decide.
var neverSent = map[string]string{
	"T40": "It shows in timing and error texts over thousands of requests, not in an answer.",
	"T57": "Only the issuer can prevent it: the token is a genuine one.",
	"T59": "It needs one of the rows before to get past the signature.",
	"T60": "The token is a genuine one; what the API does with names that look alike needs accounts of its own.",
	"T61": "Access tokens may be used more than once; one-time tokens are spent at the issuer.",
}

// labRows need the issuer's own signature.
var labRows = map[string]bool{"T07": true, "T08": true, "T27": true, "T28": true, "T50": true, "T51": true, "T52": true, "T53": true, "T54": true, "T55": true, "T56": true, "T58": true, "C9": true}

// Rows are all attacks and passive checks, in order.
func Rows() []finding.Finding {
	var rows []finding.Finding
	for _, f := range finding.Table {
		if f.ID[0] != 'J' || f.ID == "J01" || f.ID == "J02" {
			rows = append(rows, f)
		}
	}
	return rows
}

func claimsOf(token jose.Token) map[string]any {
	claims := map[string]any{}
	_ = unmarshal(token.Payload(), &claims)
	return claims
}

func algorithmOf(raw string) jose.Algorithm {
	token, err := jose.Parse(raw)
	if err != nil {
		return ""
	}
	return token.Algorithm()
}

func text(v any) string { s, _ := v.(string); return s }

// numericDate reads a claim of seconds since 1970.
func numericDate(v any) (time.Time, bool) {
	seconds, ok := v.(float64)
	if !ok || seconds < 0 || seconds > 1e11 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}
