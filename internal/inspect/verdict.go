package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Verdict is one of three: a key proved it, nothing was proven, or it is
// certainly not good.
type Verdict string

const (
	Verified   Verdict = "verified"
	NotChecked Verdict = "not_checked"
	Invalid    Verdict = "invalid"
)

// Signature says what is known of the signature alone.
type Signature string

const (
	SignatureGood      Signature = "good"
	SignatureBad       Signature = "bad"
	SignatureNone      Signature = "none" // there is none, or alg says so
	SignatureUnchecked Signature = "not_checked"
)

// Reason is why a verdict is what it is.
type Reason struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// KeyUse is the key that the signature fits.
type KeyUse struct {
	ID        string `json:"id,omitempty"` // "" of a secret
	Algorithm string `json:"algorithm"`
	Source    string `json:"source"`
}

// judge sets verdict, signature, key and reasons of the report.
func (r *Report) judge(t *parsed, o Options) {
	switch {
	case t.form == FormJSON:
		r.refuse("serialization", "it is in JSON serialization; a JWT is compact (RFC 7519 §1)")
		return
	case t.form != FormJWS && t.form != FormSDJWT:
		r.Verdict, r.Signature = NotChecked, SignatureUnchecked
		r.because(t.form, "%s", firstSentence(t.advice))
		return
	case r.Break != nil:
		r.refuse("malformed", fmt.Sprintf("the %s cannot be read: %s", r.Break.Segment, r.Break.Reason))
	case t.unsigned():
		r.Signature = SignatureNone
		r.refuse("unsigned", "it is not signed (alg "+orNone(strings.Trim(string(t.header.raw("alg")), `"`))+"): anybody can have written it")
	case t.signature.text == "":
		r.Signature = SignatureNone
		r.refuse("unsigned", "its signature is missing")
	case !r.Intake.Accepted:
		r.refuse("strict", "a strict reader refuses it: "+r.Intake.Reason)
	default:
		r.checkSignature(t, o.Keys)
	}
	if t.header.fault == "" && t.payload.fault == "" {
		r.checkClaims(t, o)
	}
	if r.Verdict == NotChecked && r.Life != nil && r.Life.State == "expired" {
		r.because("expired", "whatever the signature: it %s", r.Life.Text)
	}
}

func (r *Report) because(code, format string, args ...any) {
	r.Reasons = append(r.Reasons, Reason{code, fmt.Sprintf(format, args...)})
}

func (r *Report) refuse(code, text string) {
	if r.Verdict != Invalid {
		r.Reasons = nil // what was in favour of it does not matter any more
	}
	r.Verdict = Invalid
	r.because(code, "%s", text)
}

// checkSignature tries the keys. Which one is tried is never the token's choice
// alone: kid narrows the set that was given, and alg must be the key's.
func (r *Report) checkSignature(t *parsed, keys Keys) {
	r.Verdict, r.Signature = NotChecked, SignatureUnchecked
	algorithm := t.header.str("alg")
	switch {
	case keys.IsZero():
		hint := "--issuer URL or --key FILE"
		if issuer := t.payload.str("iss"); strings.HasPrefix(issuer, "https://") {
			hint = "--issuer " + clip(issuer)
		}
		if hmacMethods[algorithm] != nil {
			hint = "--secret @FILE"
		}
		r.because("no_key", "no key given (try %s)", hint)
	case keys.issuer != "" && t.payload.str("iss") != keys.issuer:
		r.because("other_issuer", "it is of another issuer, whose key was not given")
	case hmacMethods[algorithm] != nil:
		r.checkSecret(t, keys, algorithm)
	default:
		r.checkKey(t, keys, algorithm)
	}
}

func (r *Report) good(key KeyUse) {
	r.Verdict, r.Signature, r.Key = Verified, SignatureGood, &key
}

func (r *Report) bad(code, format string, args ...any) {
	r.Signature = SignatureBad
	r.refuse(code, fmt.Sprintf(format, args...))
}

func (r *Report) checkSecret(t *parsed, keys Keys, algorithm string) {
	for _, secret := range keys.secrets {
		if t.fits(secret) {
			r.good(KeyUse{Algorithm: algorithm, Source: keys.Source})
			r.because("signature", "the signature fits the secret of %s (%s)", keys.Source, algorithm)
			return
		}
	}
	if len(keys.secrets) > 0 {
		r.bad("signature", "the signature does not fit the secret of %s", keys.Source)
		return
	}
	for _, k := range keys.public {
		if slices.ContainsFunc(k.encodings(), t.fits) {
			r.confused = true
			r.bad("confusion", "it is forged: an HMAC with the public key as secret (T05)")
			return
		}
	}
	r.bad("algorithm", "the token says %s, which takes a secret; %s holds public keys", algorithm, keys.Source)
}

func (r *Report) checkKey(t *parsed, keys Keys, algorithm string) {
	if len(keys.public) == 0 {
		if len(keys.Skipped) > 0 {
			r.because("key", "no usable key in %s: %s", keys.Source, keys.Skipped[0])
			return
		}
		r.bad("algorithm", "the token says %s, which takes a public key; %s is a secret", clip(algorithm), keys.Source)
		return
	}
	kid := t.header.str("kid")
	named := slices.DeleteFunc(slices.Clone(keys.public), func(k key) bool { return k.ID() != kid })
	candidates := named
	if kid == "" || len(named) == 0 {
		candidates = keys.public
	}
	tried := 0
	for _, k := range candidates {
		fitting, ok := k.as(jose.Algorithm(algorithm))
		if !ok {
			continue
		}
		tried++
		if t.token.Verify(fitting) == nil {
			r.good(KeyUse{ID: printable(k.ID()), Algorithm: string(fitting.Algorithm()), Source: keys.Source})
			r.because("signature", "the signature fits key %s (%s) of %s", clip(k.ID()), fitting.Algorithm(), keys.Source)
			if kid != "" && len(named) == 0 {
				r.because("kid", "the token names another key, %s, which is not in %s", clip(kid), keys.Source)
			}
			return
		}
	}
	switch {
	case tried == 0:
		r.bad("algorithm", "the token says %s; the key is for %s", quoted(algorithm), algorithms(candidates))
	case len(named) > 0:
		r.bad("signature", "the signature does not match key %s", clip(kid))
	case kid != "" && len(keys.public) > 1:
		r.bad("signature", "key %s is not in %s, and none of its %d keys fits", clip(kid), keys.Source, len(keys.public))
	default:
		r.bad("signature", "the signature does not match the key of %s", keys.Source)
	}
}

func algorithms(keys []key) string {
	var all []string
	for _, k := range keys {
		if a := string(k.Algorithm()); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return strings.Join(all, ", ")
}

// checkClaims compares times, and what was asked for.
func (r *Report) checkClaims(t *parsed, o Options) {
	if r.Verdict == Verified {
		r.checkTimes(t, o)
		r.checkGuessed(t, o)
		if o.Strict {
			r.checkStrictly(t)
		}
	}
	if want := o.Issuer; want != "" && t.payload.str("iss") != want {
		r.refuse("issuer", fmt.Sprintf("issuer: got %s, want %s", quoted(t.payload.str("iss")), quoted(want)))
	}
	if want := o.Audience; want != "" && !slices.Contains(t.audiences(), want) {
		r.refuse("audience", fmt.Sprintf("audience: got %s, want %s", quoted(strings.Join(t.audiences(), ", ")), quoted(want)))
	}
	if want := o.Type; want != "" && normalType(t.header.str("typ")) != normalType(want) {
		r.refuse("type", fmt.Sprintf("typ: got %s, want %s", quoted(t.header.str("typ")), quoted(want)))
	}
	if r.Verdict != Verified {
		return
	}
	for _, unchecked := range []struct{ asked, what string }{{o.Issuer, "issuer"}, {o.Audience, "audience"}, {o.Type, "type"}} {
		if unchecked.asked == "" {
			r.Unchecked = append(r.Unchecked, unchecked.what)
		}
	}
}

func (t *parsed) audiences() []string {
	if one := t.payload.str("aud"); one != "" {
		return []string{one}
	}
	return t.payload.list("aud")
}

func (r *Report) checkTimes(t *parsed, o Options) {
	claims, err := t.token.Claims()
	if err != nil {
		r.refuse("claim", err.Error()) // the strict intake has said so already
		return
	}
	switch {
	case !claims.Has("exp") && o.Strict:
		r.refuse("endless", "it has no exp")
	case claims.Has("exp") && !o.Now.Before(claims.Expires.Add(o.Leeway)):
		r.refuse("expired", "it expired "+span(o.Now.Sub(claims.Expires))+" ago; its signature is good")
	case claims.NotBefore.After(o.Now.Add(o.Leeway)):
		r.refuse("not_yet", "it is not valid before "+claims.NotBefore.UTC().Format(time.RFC3339)+"; its signature is good")
	case claims.IssuedAt.After(o.Now.Add(o.Leeway)):
		r.refuse("not_yet", "it was issued in the future, "+claims.IssuedAt.UTC().Format(time.RFC3339)+"; its signature is good")
	}
}

// checkGuessed says that a published secret proves nothing.
func (r *Report) checkGuessed(t *parsed, o Options) {
	if _, ok := t.guessed(); !ok {
		return
	}
	const text = "the secret is published, so anybody can have written it"
	if o.Strict {
		r.refuse("published", text)
		return
	}
	r.because("published", text)
}

// checkStrictly refuses what an API has to.
func (r *Report) checkStrictly(t *parsed) {
	if r.Found.Repaired {
		r.refuse("repaired", "the text is not a token as it stands; an API takes no repaired one")
	}
	if t.payload.has("cnf") {
		r.refuse("bound", "it is bound to a key (cnf), and whether its sender has that key was not checked")
	}
	if normalType(t.header.str("typ")) != "at+jwt" {
		return
	}
	for _, fault := range t.profileFaults() {
		r.refuse("profile", fault)
	}
}

// profileFaults are claims of an access token that are missing or of another
// type (RFC 9068 §2.2).
func (t *parsed) profileFaults() []string {
	var faults []string
	for _, name := range []string{"sub", "client_id", "jti"} {
		if t.payload.str(name) == "" {
			faults = append(faults, name+" is missing, empty or no text")
		}
	}
	if _, ok := t.date("iat"); !ok {
		faults = append(faults, "iat is missing or no date")
	}
	for name, want := range profileTypes {
		raw := t.payload.raw(name)
		if raw != nil && json.Unmarshal(raw, want()) != nil || string(raw) == "null" {
			faults = append(faults, name+" is of another type")
		}
	}
	slices.Sort(faults)
	return faults
}

// profileTypes are claims that may be absent, and what they hold.
var profileTypes = map[string]func() any{
	"scope": func() any { return new(string) }, "acr": func() any { return new(string) }, "sid": func() any { return new(string) },
	"roles": func() any { return new([]string) }, "groups": func() any { return new([]string) }, "amr": func() any { return new([]string) },
	"auth_time": func() any { return new(float64) },
}

func quoted(s string) string {
	if s == "" {
		return "none"
	}
	return `"` + clip(s) + `"`
}

// firstSentence of an advice.
func firstSentence(s string) string {
	if at := strings.Index(s, ". "); at > 0 {
		return s[:at]
	}
	return strings.TrimSuffix(s, ".")
}

// Intake says whether the strict reader that guards APIs takes the token.
type Intake struct {
	Accepted bool   `json:"accepted"`
	Reason   string `json:"reason,omitempty"`
}

func (t *parsed) takeIn() Intake {
	token, err := jose.Parse(t.compact)
	if err == nil {
		t.token = token
		_, err = token.Claims()
	}
	if err == nil {
		return Intake{Accepted: true}
	}
	reason := err.Error()
	for _, sentinel := range []error{jose.ErrMalformed} {
		if errors.Is(err, sentinel) {
			reason = strings.Replace(reason, sentinel.Error()+": ", "", 1)
		}
	}
	return Intake{Reason: printable(reason)}
}
