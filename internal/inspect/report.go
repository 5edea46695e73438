package inspect

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Schema names the form of a Report as JSON; docs/reference/token-inspect.schema.json
// describes it.
const Schema = "token-inspect/1"

// Options are what a token is judged by. Now is required.
type Options struct {
	Keys     Keys
	Issuer   string // to compare; "" not compared
	Audience string
	Type     string // of the header, such as at+jwt
	// Strict answers whether an API should take it: the text must be the token as
	// it is, with an exp, not signed with a published secret, not bound to a proof
	// that nobody checked, and with the claims of its type (RFC 9068 §2.2).
	Strict bool
	Now    time.Time
	Leeway time.Duration // for clocks that differ
	Reveal bool          // show personal values and secrets
}

// Report is everything there is to say about a token. It never holds the token
// or its signature.
type Report struct {
	Schema      string    `json:"schema"`
	Verdict     Verdict   `json:"verdict"`
	Reasons     []Reason  `json:"reasons"`
	Signature   Signature `json:"signature"`
	Key         *KeyUse   `json:"key,omitempty"`
	Unchecked   []string  `json:"unchecked,omitempty"` // what VERIFIED does not say: issuer, audience, type
	At          time.Time `json:"at"`                  // the time it was judged for
	Kind        Kind      `json:"kind"`
	Found       Found     `json:"input"`
	Bytes       int       `json:"bytes"`
	Fingerprint string    `json:"fingerprint"` // 8 characters of the token's SHA-256, as in logs
	Break       *Break    `json:"break,omitempty"`
	Intake      Intake    `json:"strict"`
	Life        *Life     `json:"life,omitempty"`
	Header      []Claim   `json:"header"`
	Claims      []Claim   `json:"claims"`
	Findings    []Finding `json:"findings"`
	Skipped     []string  `json:"skipped_keys,omitempty"`
	Redacted    bool      `json:"redacted"`

	confused bool
}

// parsed is a token as far as it can be read.
type parsed struct {
	text      string // whole, with disclosures
	compact   string // header.payload.signature
	signed    string // header.payload
	form      string
	title     string
	advice    string
	header    part
	payload   part
	signature part
	parts     int
	token     jose.Token // set when the strict intake takes it
	guess     *guess     // nil: not tried yet
}

// Inspect reads whatever was given and reports on the first token in it.
func Inspect(input string, o Options) Report {
	if len(input) > MaxInputBytes {
		input = input[:MaxInputBytes]
	}
	found := find(input)
	t := parse(found.Text)
	r := Report{Schema: Schema, Found: found, Bytes: len(found.Text), At: o.Now.UTC(), Redacted: !o.Reveal, Signature: SignatureUnchecked,
		Header: []Claim{}, Claims: []Claim{}, Findings: []Finding{}, Skipped: o.Keys.Skipped}
	if found.Text != "" {
		r.Fingerprint = jose.Fingerprint(found.Text)
	}
	r.Kind = Kind{Form: t.form, Title: t.title, Advice: t.advice}
	switch t.form {
	case FormJWS, FormSDJWT:
		r.Break = t.breakAt()
		r.Intake = t.takeIn()
		if len(t.payload.members) > 0 || t.payload.fault == "" {
			r.Kind = t.kind()
			life := t.life(o.Now)
			r.Life = &life
		}
		r.Header, r.Claims = t.headerList(o), t.claimList(o)
	case FormJWE:
		r.Header = t.headerList(o)
		r.Intake.Reason = "it is encrypted"
	default:
		r.Intake.Reason = "it is no JWT"
	}
	if t.form == FormSDJWT {
		r.disclose(t)
	}
	if r.Kind.ID == "dpop" && r.Life != nil && r.Life.State == "endless" {
		r.Life.State, r.Life.Text = "unknown", "a proof has no exp: servers take it for a moment after iat"
	}
	r.judge(t, o)
	r.Findings = append(r.Findings, t.findings(&r, o)...)
	return r
}

// disclose names the claims that are disclosed behind an SD-JWT. That their
// hashes are in the payload is not checked here.
func (r *Report) disclose(t *parsed) {
	var names []string
	for _, text := range strings.Split(t.text, "~")[1:] {
		decoded, ok := loose64(text)
		var disclosure []json.RawMessage
		if !ok || json.Unmarshal(decoded, &disclosure) != nil {
			continue
		}
		var name string
		if len(disclosure) == 3 && json.Unmarshal(disclosure[1], &name) == nil {
			names = append(names, clip(name))
		} else {
			names = append(names, "an element of a list")
		}
	}
	if len(names) > 0 {
		r.Found.note("disclosed behind it, not checked: %s", strings.Join(names[:min(len(names), mostNames)], ", "))
	}
}

// Holds tells whether there was a token of any kind in the input.
func (r Report) Holds() bool {
	return r.Kind.Form != FormEmpty && r.Kind.Form != FormKey && !(r.Kind.Form == FormOpaque && r.Kind.Title != "opaque token" && !strings.Contains(r.Kind.Title, "Gatehouse"))
}

func parse(text string) *parsed {
	t := &parsed{text: text}
	t.form, t.title, t.advice = form(text)
	if t.form != FormJWS && t.form != FormSDJWT && t.form != FormJWE {
		return t
	}
	t.compact, _, _ = strings.Cut(text, "~")
	segments := strings.Split(t.compact, ".")
	t.parts = len(segments)
	at := 0
	for i, name := range []string{"header", "payload", "signature"} {
		p := part{name: name, start: min(at, len(t.compact))}
		if i < len(segments) {
			p.text = segments[i]
			p.decode()
			at += len(segments[i]) + 1
		} else if i == 1 {
			p.fault = "it is missing: the token was cut off"
		}
		if t.form == FormJWE && i > 0 {
			p = part{name: name}
		}
		switch i {
		case 0:
			p.read()
			t.header = p
		case 1:
			if t.form != FormJWE && i < len(segments) {
				p.read()
			}
			t.payload = p
		case 2:
			t.signature = p
		}
	}
	if len(segments) >= 2 {
		t.signed = segments[0] + "." + segments[1]
	}
	if t.header.fault != "" && len(t.header.members) == 0 && len(segments) == 1 {
		t.form, t.title, t.advice = FormOpaque, "opaque token", "It begins like a JWT and is none."
	}
	return t
}

// sizes are the lengths of signatures in bytes (RFC 7518 §3.2, §3.4, RFC 8037).
var sizes = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64, "ES256": 64, "ES384": 96, "ES512": 132, "ES256K": 64, "EdDSA": 64, "Ed25519": 64}

// breakAt is the first place at which the token cannot be read on.
func (t *parsed) breakAt() *Break {
	for _, p := range []part{t.header, t.payload} {
		if b := p.broken(t.compact); b != nil {
			return b
		}
	}
	s := t.signature
	want, got := sizes[t.header.str("alg")], len(s.bytes)
	switch {
	case t.parts > 3 && t.parts != 5:
		s.fault, s.at = "more than three parts", len(s.text)
	case s.fault != "":
	case got > 0 && want > 0 && got < want:
		s.fault, s.at = "it was cut off: "+plural(got, "byte")+" of "+plural(want, "byte"), len(s.text)
	case got > 0 && want > 0 && got > want && t.header.str("alg") != "ES256":
		s.fault, s.at = "it is too long: "+plural(got, "byte")+" instead of "+plural(want, "byte"), len(s.text)
	case t.rsa() && got > 0 && got%8 != 0:
		s.fault, s.at = "it was cut off: "+plural(got, "byte")+" is no length of an RSA signature", len(s.text)
	}
	return s.broken(t.compact)
}

func (t *parsed) rsa() bool {
	alg := t.header.str("alg")
	return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
}

// unsigned tells of every spelling of none, and of no algorithm at all.
func (t *parsed) unsigned() bool {
	alg := strings.ToLower(strings.Map(func(r rune) rune {
		if r <= ' ' {
			return -1
		}
		return r
	}, t.header.str("alg")))
	return alg == "none" || alg == ""
}
