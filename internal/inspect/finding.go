package inspect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Finding is something about a token that its maker or its reader should know.
type Finding struct {
	ID         string           `json:"id"`
	Title      string           `json:"title"`
	Severity   finding.Severity `json:"severity"`
	Detail     string           `json:"detail,omitempty"` // what it is here
	Why        string           `json:"why"`
	Fix        string           `json:"fix"`
	References []string         `json:"references"`
	// Fingerprint is the same for the same finding at the same place, whatever
	// the token, so that a known one can be set aside.
	Fingerprint string `json:"fingerprint"`
}

// collector gathers findings, each place once.
type collector struct {
	all  []Finding
	seen map[string]bool
}

func (c *collector) add(id, place, format string, args ...any) *Finding {
	f, known := finding.Find(id)
	if !known {
		panic("inspect: there is no finding " + id)
	}
	sum := sha256.Sum256([]byte(Schema + "\n" + id + "\n" + place))
	one := Finding{ID: id, Title: f.Title, Severity: f.Severity, Why: f.Why, Fix: f.Fix, References: f.References(), Fingerprint: hex.EncodeToString(sum[:8])}
	if format != "" {
		one.Detail = fmt.Sprintf(format, args...)
	}
	if c.seen[one.Fingerprint] {
		return &one
	}
	c.seen[one.Fingerprint] = true
	c.all = append(c.all, one)
	return &c.all[len(c.all)-1]
}

// findings are in order of severity, the worst first.
func (t *parsed) findings(r *Report, o Options) []Finding {
	c := &collector{seen: map[string]bool{}}
	if r.Found.Twice {
		c.add("J28", "", "")
	}
	switch t.form {
	case FormJSON:
		c.add("T33", "", "")
	case FormJWE:
		t.findEncryption(c)
		t.findSize(c)
	case FormJWS, FormSDJWT:
		t.findForm(c)
		t.findSignature(c, r, o)
		t.findHeader(c, r.Kind.ID)
		if t.payload.fault == "" || len(t.payload.members) > 0 {
			t.findDates(c, r, o)
			t.findParties(c, r.Kind)
			t.findContent(c, r.Kind.ID)
		}
		t.findSize(c)
	}
	sort.SliceStable(c.all, func(i, j int) bool {
		a, b := c.all[i].Severity, c.all[j].Severity
		return a != b && a.AtLeast(b)
	})
	return c.all
}

// findForm says what a strict reader refuses in the text itself.
func (t *parsed) findForm(c *collector) {
	for _, p := range []part{t.header, t.payload, t.signature} {
		for _, loose := range p.loose {
			id := "T31"
			if strings.Contains(loose, "JSON") {
				id = "T32"
			}
			c.add(id, p.name+" "+loose, "%s: %s", p.name, loose)
		}
		for _, name := range p.twice[:min(len(p.twice), mostNames)] {
			c.add("T29", p.name, "%s: %q is given twice", p.name, clip(name))
		}
	}
	// What the strict reader refuses and nothing above has named.
	if token, err := jose.Parse(t.compact); err == nil {
		if _, err = token.Claims(); err != nil && strings.Contains(err.Error(), "given twice") {
			c.add("T29", "payload", "payload: a name within it is given twice")
		} else if err != nil && strings.Contains(err.Error(), "JSON") && len(t.payload.loose) == 0 && t.payload.fault == "" {
			c.add("T32", "payload", "payload: a strict reader refuses it")
		}
	}
}

var registered = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"}

func (t *parsed) findSignature(c *collector, r *Report, o Options) {
	alg := t.header.str("alg")
	switch {
	case t.header.fault != "" && len(t.header.members) == 0:
		return
	case alg == "none":
		c.add("T01", "alg", "")
	case t.unsigned():
		c.add("T02", "alg", "alg is %s", orNone(string(t.header.raw("alg"))))
	case !slices.Contains(registered, alg):
		c.add("J27", "alg", "alg is %q", clip(alg))
	case t.signature.text == "" && t.payload.fault == "":
		c.add("T03", "signature", "it says %s and has no signature", alg)
	}
	if r.confused {
		c.add("T05", "signature", "the HMAC fits the public key of %s", o.Keys.Source)
	}
	if hmacMethods[alg] == nil {
		for _, skipped := range o.Keys.Skipped {
			if strings.Contains(skipped, "bits") || strings.Contains(skipped, "ROCA") {
				c.add("J11", "key", "%s", skipped)
			}
		}
		return
	}
	c.add("J10", "alg", "")
	if secret, ok := t.guessed(); ok && secret == "" {
		c.add("T11", "signature", "")
	} else if ok {
		c.add("T10", "signature", "the secret is %q, which is published", secret)
	}
	for _, secret := range o.Keys.secrets {
		if len(secret) < sizes[alg] && t.fits(secret) {
			c.add("J11", "key", "a secret of %s; %s needs %d", plural(len(secret), "byte"), alg, sizes[alg])
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "missing"
	}
	return clip(s)
}

var (
	kidPath    = regexp.MustCompile(`(?i)\.\.[/\\]|^[/\\]|^[a-z]:\\|^file:|://|\.(?:pem|key|json|css|js|txt)$|^(?:proc|dev|etc|keys)/`)
	kidQuery   = regexp.MustCompile(`(?i)['"]|--\s|\bunion\b.+\bselect\b|\bor\b\s+1\s*=|\*\)\(|\$(?:ne|gt|where)`)
	kidCommand = regexp.MustCompile("[`|;\\r\\n\\x00]|\\$\\(|\\$\\{|\\{\\{")
)

func (t *parsed) findHeader(c *collector, kind string) {
	h := t.header
	if raw := h.raw("kid"); raw != nil {
		var kid string
		switch err := json.Unmarshal(raw, &kid); {
		case err != nil:
			c.add("T21", "kid", "kid is no text: %s", clip(string(raw)))
		case kidPath.MatchString(kid):
			c.add("T20", "kid", "kid is %q", clip(kid))
		case kidQuery.MatchString(kid):
			c.add("T21", "kid", "kid is %q", clip(kid))
		case kidCommand.MatchString(kid):
			c.add("T22", "kid", "kid is %q", clip(kid))
		}
	} else if !h.has("jwk") && !h.has("x5c") && hmacMethods[h.str("alg")] == nil && !t.unsigned() && h.fault == "" {
		c.add("J12", "kid", "")
	}
	if h.has("jku") {
		c.add("J13", "jku", "jku is %s", clip(string(h.raw("jku"))))
	}
	if h.has("x5u") {
		c.add("J14", "x5u", "x5u is %s", clip(string(h.raw("x5u"))))
	}
	if h.has("jwk") && kind != "dpop" {
		c.add("T25", "jwk", "").Severity = finding.High
	}
	if h.has("x5c") {
		c.add("T26", "x5c", "").Severity = finding.Medium
	}
	if h.has("crit") {
		c.add("T27", "crit", "crit is %s", clip(string(h.raw("crit"))))
	}
	if h.has("b64") {
		c.add("T28", "b64", "")
	}
	if h.has("zip") {
		c.add("T37", "zip", "")
	}
	if t.nested() {
		c.add("J21", "", "")
	}
	if typ := normalType(h.str("typ")); (typ == "" || typ == "jwt") && (kind == "access" || kind == "") && h.fault == "" {
		c.add("J07", "typ", "typ is %s", orNone(string(h.raw("typ"))))
	}
}

func (t *parsed) findEncryption(c *collector) {
	h := t.header
	if strings.HasPrefix(h.str("alg"), "PBES2") {
		var rounds float64
		if json.Unmarshal(h.raw("p2c"), &rounds) == nil && rounds > 1.2e6 {
			c.add("T36", "p2c", "p2c asks for %.0f rounds", rounds)
		}
	}
	if h.str("alg") == "RSA1_5" {
		c.add("J29", "alg", "RSA1_5 leaks through its errors what it decrypts")
	}
	if h.has("zip") {
		c.add("T37", "zip", "")
	}
	if strings.EqualFold(h.str("cty"), "jwt") {
		c.add("J21", "", "")
	}
}

// findDates looks at the life of the token.
func (t *parsed) findDates(c *collector, r *Report, o Options) {
	kind := r.Kind.ID
	for _, name := range []string{"exp", "nbf", "iat"} {
		raw := t.payload.raw(name)
		if raw == nil {
			continue
		}
		var n float64
		switch err := json.Unmarshal(raw, &n); {
		case err != nil || string(raw) == "null" || n < 0 || n > 253402300799 && !inMilliseconds(n):
			c.add("T52", name, "%s is %s", name, clip(string(raw)))
		case inMilliseconds(n):
			c.add("J17", name, "%s", name)
		}
	}
	exp, hasExp := t.date("exp")
	iat, hasIat := t.date("iat")
	nbf, hasNbf := t.date("nbf")
	if !t.payload.has("exp") && t.payload.fault == "" && kind != "dpop" && kind != "event" && kind != "introspection" {
		c.add("T50", "exp", "")
	}
	if hasExp && hasIat && !exp.After(iat) || hasExp && hasNbf && !exp.After(nbf) {
		c.add("J18", "exp", "")
	}
	if hasIat && iat.After(o.Now.Add(time.Minute)) {
		c.add("J19", "iat", "iat is %s", relative(iat.Sub(o.Now)))
	}
	lasts := time.Duration(r.Life.Seconds) * time.Second
	switch {
	case kind == "refresh" || kind == "credential":
	case lasts > 24*time.Hour:
		c.add("J02", "exp", "it lives for %s", span(lasts))
	case lasts > time.Hour && kind != "id":
		c.add("J01", "exp", "it lives for %s", span(lasts))
	}
}

// findParties looks at who made it, for whom, about whom.
func (t *parsed) findParties(c *collector, k Kind) {
	p, kind := t.payload, k.ID
	if kind == "dpop" || p.fault != "" {
		return
	}
	all := t.audiences()
	switch {
	case !p.has("aud") && kind != "refresh" && kind != "credential":
		c.add("J03", "aud", "")
	case len(all) > 1 && kind == "access":
		c.add("J04", "aud", "%d audiences", len(all))
	}
	for _, a := range all {
		if strings.Contains(a, "*") {
			c.add("J24", "aud", "aud is %q", clip(a))
		}
	}
	if !p.has("iss") {
		c.add("J05", "iss", "")
	}
	if !p.has("sub") && !(kind == "logout" && p.has("sid")) && kind != "request" && kind != "event" {
		c.add("J06", "sub", "")
	}
	if u, err := url.Parse(p.str("iss")); err == nil && u.Scheme == "http" && u.Hostname() != "localhost" && !strings.HasPrefix(u.Hostname(), "127.") && u.Hostname() != "::1" {
		c.add("J23", "iss", "iss is %q", clip(p.str("iss")))
	}
	if normalType(t.header.str("typ")) == "at+jwt" {
		var missing []string
		for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} {
			if !p.has(name) {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			c.add("J08", strings.Join(missing, ","), "missing: %s", strings.Join(missing, ", "))
		}
	} else if kind == "access" && !p.has("jti") && !p.has("uti") {
		c.add("J09", "jti", "")
	}
	if p.has("cnf") {
		c.add("J26", "cnf", "")
	}
}

// inAccess is personal data that an access token carries to every API.
var inAccess = []string{"email", "phone_number", "phone", "mobile", "address", "birthdate", "dob", "name", "given_name", "family_name", "ipaddr"}

// mostNames bounds the names in one finding: a list that nobody reads is work
// for whoever sent it.
const mostNames = 12

// never belongs into any token.
var never = []string{"ssn", "tax_id", "iban", "social_security_number", "passport_number", "credit_card", "card_number"}

func (t *parsed) findContent(c *collector, kind string) {
	var data []string
	secrets := 0
	for _, m := range t.payload.members {
		lower := strings.ToLower(m.name)
		walk(m.name, m.raw, 0, func(name, value string) {
			if value != "" && secrets < mostNames && (secretName(name) || looksSecret(value)) {
				secrets++
				c.add("J15", name, "%s", clip(name))
			}
			if len(data) < mostNames && looksLikeCard(value) && !slices.Contains(data, clip(name)) {
				data = append(data, clip(name))
			}
		})
		if slices.Contains(never, lower) || kind != "id" && slices.Contains(inAccess, lower) {
			data = append(data, clip(m.name))
		}
	}
	if len(data) > 0 {
		c.add("J16", strings.Join(data, ","), "%s", strings.Join(data, ", "))
	}
	if t.payload.has("email") && !bytes.Equal(bytes.TrimSpace(t.payload.raw("email_verified")), []byte("true")) {
		c.add("J22", "email", "email_verified is %s", orNone(string(t.payload.raw("email_verified"))))
	}
	if rights := t.farReaching(); len(rights) > 0 {
		c.add("J25", strings.Join(rights, ","), "%s", strings.Join(rights, ", "))
	}
}

// walk visits the texts within a value, with the name each stands under.
func walk(name string, raw json.RawMessage, depth int, visit func(name, value string)) {
	if depth > 4 {
		return
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		visit(name, text)
		return
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) == nil {
		names := make([]string, 0, len(object))
		for inner := range object {
			names = append(names, inner)
		}
		slices.Sort(names)
		for _, inner := range names {
			walk(inner, object[inner], depth+1, visit)
		}
		return
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		for _, one := range list {
			walk(name, one, depth+1, visit)
		}
	}
}

var farPattern = regexp.MustCompile(`(?i)^(?:\*|.*[:./]\*|root|superuser|.*\badmin(?:istrator)?\b.*|.*[_.:-]admin|global.?admin.*|owner|.*\.ReadWrite\.All|cluster-admin|system:masters)$`)

// globalAdministrator is the role template of Entra's Global Administrator.
const globalAdministrator = "62e90394-69f5-4237-9190-012177145e10"

func (t *parsed) farReaching() []string {
	var all []string
	for _, name := range []string{"scope", "scp", "roles", "groups", "permissions", "cognito:groups"} {
		for _, right := range t.payload.list(name) {
			if len(all) < mostNames && farPattern.MatchString(right) && !slices.Contains(all, clip(right)) {
				all = append(all, clip(right))
			}
		}
	}
	var realm struct {
		Roles []string `json:"roles"`
	}
	_ = json.Unmarshal(t.payload.raw("realm_access"), &realm)
	for _, right := range realm.Roles {
		if len(all) < mostNames && farPattern.MatchString(right) {
			all = append(all, clip(right))
		}
	}
	if slices.Contains(t.payload.list("wids"), globalAdministrator) {
		all = append(all, "Global Administrator (wids)")
	}
	return all
}

// Sizes that get in the way: of a cookie (RFC 6265 §6.1), of a header as many
// servers have it, of our own intake.
const (
	cookieBytes = 4096
	headerBytes = 8192
)

func (t *parsed) findSize(c *collector) {
	switch n := len(t.text); {
	case n > jose.MaxTokenBytes:
		c.add("T38", "size", "%d bytes; guard takes %d at most", n, jose.MaxTokenBytes)
	case n > cookieBytes:
		c.add("J20", "size", "%d bytes: %d %% of a cookie, %d %% of an 8 KiB header", n, n*100/cookieBytes, n*100/headerBytes)
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
