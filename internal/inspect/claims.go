package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Claim is one name of the header or the payload, in a sentence.
type Claim struct {
	Name    string     `json:"name"`
	Value   string     `json:"value"` // JSON text; masked unless revealed
	Meaning string     `json:"meaning,omitempty"`
	Time    *time.Time `json:"time,omitempty"`
	Masked  bool       `json:"masked,omitempty"`
}

// Header parameters (RFC 7515 §4.1, RFC 7516 §4.1).
var headerWords = map[string]string{
	"alg": "how it is signed", "typ": "what kind of token it says it is", "kid": "which of the issuer's keys signed it", "cty": "what the payload is",
	"jku": "an address of keys: never follow it", "x5u": "an address of a certificate: never follow it", "jwk": "a key of the sender: proves nothing about the issuer",
	"x5c": "certificates of the sender: prove nothing unless their root was configured", "x5t": "hash of the certificate", "x5t#S256": "hash of the certificate",
	"crit": "extensions that a reader must understand", "b64": "whether the payload is encoded; never false in a JWT", "enc": "how the content is encrypted", "zip": "the content is compressed",
	"p2c": "rounds of key derivation", "p2s": "salt of the key derivation", "epk": "the sender's one-time key", "nonce": "Microsoft Graph: the signature covers its hash, so only Graph can check it",
}

// Claims of RFC 7519, OpenID Connect, OAuth and the products that many use.
var claimWords = map[string]string{
	"iss": "who made it", "sub": "whom it is about", "jti": "its own id", "client_id": "the application that asked for it", "azp": "the application that asked for it", "scope": "what it permits", "scp": "what it permits",
	"roles": "roles of the holder", "groups": "groups of the holder", "permissions": "what it permits", "entitlements": "what the holder may do", "sid": "the session that it belongs to", "nonce": "ties it to one sign-in, against replay",
	"at_hash": "hash of the access token it came with", "c_hash": "hash of the code it came with", "s_hash": "hash of the state it came with", "acr": "how strong the sign-in was", "amr": "how the person signed in",
	"name": "full name", "given_name": "given name", "family_name": "family name", "middle_name": "middle name", "nickname": "nickname", "preferred_username": "user name; not an id, it may change", "profile": "address of a profile page", "picture": "address of a picture", "website": "web site",
	"email": "e-mail address", "email_verified": "whether the address was confirmed", "gender": "gender", "birthdate": "date of birth", "zoneinfo": "time zone", "locale": "language", "phone_number": "phone number", "phone_number_verified": "whether the number was confirmed", "address": "postal address",
	"cnf": "the key that its holder must prove to have (RFC 7800)", "act": "who acts for the subject (RFC 8693)", "may_act": "who may act for the subject (RFC 8693)", "events": "what happened (RFC 8417)", "htm": "method of the request it proves", "htu": "address of the request it proves", "ath": "hash of the access token it proves",
	"authorization_details": "what it permits in detail (RFC 9396)", "vct": "type of the credential", "_sd": "hashes of claims that can be disclosed", "_sd_alg": "hash of the disclosures", "status": "where its status list is", "vc": "the credential",
	// Gatehouse
	"gid": "Gatehouse: the grant that it belongs to", "ue": "Gatehouse: the user's epoch, a counter for revocation", "ce": "Gatehouse: the client's epoch, a counter for revocation",
	// Microsoft Entra ID
	"tid": "Entra: the tenant", "oid": "Entra: the user's or application's object id", "appid": "Entra: the application that asked for it", "appidacr": "Entra: how the application proved itself (0 public, 1 secret, 2 certificate)", "azpacr": "Entra: how the application proved itself (0 public, 1 secret, 2 certificate)",
	"ver": "version of the token's form", "uti": "Entra: the token's id in the sign-in logs", "rh": "Entra: internal", "aio": "Entra: internal", "xms_tcdt": "Entra: when the tenant was created", "wids": "Entra: roles in the tenant, by template id", "idtyp": "Entra: user or app", "upn": "user name; not an id, it may change", "unique_name": "user name; not an id, it may change",
	"ipaddr": "Entra: the address of the sign-in", "puid": "Entra: internal id of the user", "deviceid": "Entra: the device", "onprem_sid": "Entra: Windows security id", "hasgroups": "Entra: groups were left out, ask Graph for them", "_claim_names": "claims that have to be asked for elsewhere", "_claim_sources": "where they have to be asked for",
	// Auth0
	"gty": "Auth0: the grant type", "org_id": "the organization", "org_name": "the organization's name",
	// Keycloak
	"realm_access": "Keycloak: roles of the realm", "resource_access": "Keycloak: roles by client", "session_state": "Keycloak: the session", "allowed-origins": "Keycloak: origins of the client", "typ": "Keycloak: kind of token", "s": "version of the session",
	// Amazon Cognito
	"token_use": "Cognito: kind of token", "cognito:groups": "Cognito: groups", "cognito:username": "Cognito: user name", "cognito:roles": "Cognito: IAM roles", "cognito:preferred_role": "Cognito: IAM role", "event_id": "Cognito: the sign-in event", "origin_jti": "Cognito: id for revocation", "username": "user name", "identities": "Cognito: upstream identities",
	// Okta
	"cid": "Okta: the client", "uid": "Okta: the user's id", "idp": "Okta: the identity provider",
	// Firebase
	"firebase": "Firebase: how the user signed in", "user_id": "the user's id", "provider_id": "Firebase: the provider",
	// Kubernetes
	"kubernetes.io": "Kubernetes: namespace, service account and pod",
}

// times are claims that hold a date in seconds.
var times = map[string]string{
	"exp": "expires", "nbf": "is not valid before", "iat": "was issued", "auth_time": "the person signed in", "updated_at": "the profile was changed", "xms_tcdt": "the tenant was created", "rat": "was requested",
}

// personal claims identify somebody or can be used to act as somebody: masked
// unless revealed.
var personal = []string{"sub", "jti", "sid", "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "email", "phone_number", "address", "birthdate", "picture", "profile", "website",
	"upn", "unique_name", "oid", "ipaddr", "puid", "deviceid", "onprem_sid", "session_state", "username", "cognito:username", "uid", "user_id", "event_id", "origin_jti", "uti", "rh", "aio", "gid", "nonce", "identities", "firebase", "ssn", "tax_id", "iban", "mobile", "phone", "dob"}

func (t *parsed) claimList(o Options) []Claim {
	all := []Claim{}
	for _, m := range t.payload.members {
		c := Claim{Name: printable(m.name), Meaning: t.meaning(m.name, m.raw, o)}
		if at, ok := t.date(m.name); ok {
			c.Time = &at
		}
		c.Value, c.Masked = show(m.name, m.raw, o.Reveal)
		all = append(all, c)
	}
	return all
}

func (t *parsed) headerList(o Options) []Claim {
	all := []Claim{}
	for _, m := range t.header.members {
		c := Claim{Name: printable(m.name), Meaning: headerWords[m.name]}
		c.Value, _ = show(m.name, m.raw, true)
		if m.name == "jwk" || m.name == "x5c" || m.name == "epk" {
			c.Value = "…"
		}
		all = append(all, c)
	}
	return all
}

// date reads a claim as a date, in seconds; milliseconds are understood and
// reported as a finding.
func (t *parsed) date(name string) (time.Time, bool) {
	if times[name] == "" {
		return time.Time{}, false
	}
	var seconds float64
	if json.Unmarshal(t.payload.raw(name), &seconds) != nil || seconds < 0 || seconds > 253402300799 {
		if !inMilliseconds(seconds) {
			return time.Time{}, false
		}
	}
	if inMilliseconds(seconds) {
		seconds /= 1000
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

// inMilliseconds tells of dates between 2001 and 2286 in the wrong unit; in
// seconds they lie beyond the year 33000.
func inMilliseconds(n float64) bool { return n >= 1e12 && n < 1e13 }

func (t *parsed) meaning(name string, raw json.RawMessage, o Options) string {
	if at, ok := t.date(name); ok {
		return fmt.Sprintf("%s %s, %s", times[name], at.Format("2006-01-02 15:04:05 UTC"), relative(at.Sub(o.Now)))
	}
	words := claimWords[name]
	switch name {
	case "exp", "nbf", "iat", "auth_time":
		return "not a date: it must be a number of seconds (RFC 7519 §2)"
	case "aud":
		return audience(t.payload.list("aud"), raw)
	case "scope", "scp", "permissions", "roles", "groups", "amr":
		if n := len(t.payload.list(name)); n > 1 {
			words += fmt.Sprintf(" (%d)", n)
		}
		if name == "amr" {
			words += ": " + strings.Join(methods(t.payload.list(name)), ", ")
		}
	case "acr":
		if w := strengths[t.payload.str("acr")]; w != "" {
			words += ": " + w
		}
	case "cnf":
		words += ": a copy is useless without it, where the proof is checked"
	case "act":
		words += ": " + actors(raw, o.Reveal)
	case "email_verified":
		if string(bytes.TrimSpace(raw)) != "true" {
			words = "the address was not confirmed"
		}
	case "token_use", "gty", "ver":
		words += ": " + clip(t.payload.str(name))
		words = strings.TrimSuffix(words, ": ")
	}
	if words == "" && strings.HasPrefix(name, "custom:") {
		words = "Cognito: an attribute of the pool's own"
	}
	return words
}

var strengths = map[string]string{"pwd": "password", "mfa": "several factors", "phr": "resists phishing", "phrh": "resists phishing, hardware", "0": "not measured, no fresh sign-in", "1": "one factor", "urn:mace:incommon:iap:silver": "silver"}

var methodWords = map[string]string{"pwd": "password", "otp": "one-time code", "hwk": "key in hardware", "swk": "key in software", "mfa": "several factors", "sms": "text message", "fpt": "fingerprint", "face": "face", "pin": "PIN", "user": "presence was tested", "rsa": "certificate or key", "wia": "Windows sign-in", "kba": "questions", "fed": "another provider", "pop": "proof of a key"}

func methods(list []string) []string {
	words := make([]string, len(list))
	for i, m := range list {
		words[i] = m
		if w := methodWords[m]; w != "" {
			words[i] = w
		}
		words[i] = clip(words[i])
	}
	return words
}

func audience(list []string, raw json.RawMessage) string {
	switch {
	case len(raw) > 0 && raw[0] == '[' && len(list) > 1:
		return fmt.Sprintf("for %d APIs or clients, each of which can use it at the others", len(list))
	case len(list) == 1:
		return "the one it is for"
	}
	return "whom it is for"
}

// actors draws a chain of delegation (RFC 8693 §4.1), the nearest first.
func actors(raw json.RawMessage, reveal bool) string {
	var chain []string
	for range 5 {
		var a struct {
			Subject string          `json:"sub"`
			Act     json.RawMessage `json:"act"`
		}
		if json.Unmarshal(raw, &a) != nil {
			break
		}
		name := clip(a.Subject)
		if !reveal {
			name = mask(a.Subject)
		}
		chain = append(chain, name)
		if raw = a.Act; raw == nil {
			break
		}
	}
	return strings.Join(chain, " ← ")
}

// show is a value as it may be shown: JSON on one line, masked if it is
// personal, bounded.
func show(name string, raw json.RawMessage, reveal bool) (value string, masked bool) {
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return "…", false
	}
	text := printable(compact.String())
	if reveal {
		return bounded(text), false
	}
	redacted, masked := redact(name, compact.Bytes(), 0)
	return bounded(printable(redacted)), masked
}

// redact masks what is personal or secret, also within objects and lists.
func redact(name string, raw json.RawMessage, depth int) (text string, masked bool) {
	lower := strings.ToLower(name)
	var s string
	isText := json.Unmarshal(raw, &s) == nil && raw[0] == '"'
	switch {
	case secretName(lower), isText && (looksSecret(s) || looksLikeCard(s)):
		return `"…"`, true
	case isText && (slices.Contains(personal, lower) || looksLikeMail(s)):
		return `"` + mask(s) + `"`, true
	case slices.Contains(personal, lower) || lower == "act" || lower == "may_act" || depth > 8:
		return "…", true
	case isText && mailPattern.MatchString(s):
		return mailPattern.ReplaceAllStringFunc(string(raw), mask), true
	case raw[0] == '{':
		p := part{bytes: raw}
		p.read()
		fields := make([]string, len(p.members))
		for i, m := range p.members {
			value, hidden := redact(m.name, m.raw, depth+1)
			quotedName, _ := json.Marshal(m.name) // a string always marshals
			fields[i], masked = string(quotedName)+":"+value, masked || hidden
		}
		return "{" + strings.Join(fields, ",") + "}", masked
	case raw[0] == '[':
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list)
		values := make([]string, len(list))
		for i, one := range list {
			value, hidden := redact(name, one, depth+1)
			values[i], masked = value, masked || hidden
		}
		return "[" + strings.Join(values, ",") + "]", masked
	}
	return string(raw), false
}

func bounded(text string) string {
	if runes := []rune(text); len(runes) > 400 {
		return string(runes[:400]) + "…"
	}
	return text
}

// mask keeps what is needed to tell two values apart and no more.
func mask(s string) string {
	s = printable(s)
	if local, domain, ok := strings.Cut(s, "@"); ok && local != "" {
		return string([]rune(local)[:1]) + "…@" + domain
	}
	runes := []rune(s)
	switch {
	case len(runes) >= 16:
		return string(runes[:4]) + "…" + string(runes[len(runes)-2:])
	case len(runes) >= 8:
		return string(runes[:2]) + "…"
	case len(runes) == 0:
		return ""
	}
	return "…"
}

// printable takes out what moves a cursor or turns a line around: names and
// values are a stranger's.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar {
			return '·'
		}
		return r
	}, s)
}

// relative is a span before or after now, in words.
func relative(d time.Duration) string {
	switch {
	case d < 0:
		return span(-d) + " ago"
	case d == 0:
		return "now"
	}
	return "in " + span(d)
}

// span is a time span with its two largest units.
func span(d time.Duration) string {
	units := []struct {
		size time.Duration
		name string
	}{{365 * 24 * time.Hour, "years"}, {24 * time.Hour, "days"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	var words []string
	for _, u := range units {
		if n := d / u.size; n > 0 {
			name := u.name
			if n == 1 {
				name = strings.TrimSuffix(name, "s")
				if u.name == "s" {
					name = "s"
				}
			}
			words = append(words, fmt.Sprintf("%d %s", n, name))
			d -= n * u.size
		} else if len(words) > 0 {
			break
		}
		if len(words) == 2 {
			break
		}
	}
	if len(words) == 0 {
		return "0 s"
	}
	return strings.Join(words, " ")
}
