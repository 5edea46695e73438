package policy

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Profiles are what tokens of a provider look like, by guard's words.
var Profiles = []string{"rfc9068", "auth0", "keycloak", "entra"}

var algorithms = []string{"ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

// Parse reads a policy file; file is its name in faults and decisions. The
// error is a Faults with all that is wrong.
func Parse(file string, text []byte) (*Policy, error) {
	r := &reader{file: file}
	p := &Policy{file: file, tree: &node{}}
	doc := r.document(text)
	if doc != nil {
		r.policy(p, doc)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	for _, route := range p.routes {
		p.tree.add(route, 0)
	}
	return p, nil
}

func (r *reader) policy(p *Policy, doc *yaml.Node) {
	seen := map[string]bool{}
	see := func(name string, read func(*yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) { seen[name] = true; read(n) }
	}
	r.fields(doc, "a policy", map[string]func(*yaml.Node){
		"version":          see("version", func(n *yaml.Node) { r.choice(n, "version", "1") }),
		"tokens":           see("tokens", func(n *yaml.Node) { p.tokens = r.tokens(n) }),
		"roles":            func(n *yaml.Node) { p.roles = r.names(n, "roles") },
		"routes":           see("routes", func(n *yaml.Node) { p.routes = r.routes(n) }),
		"upstream":         func(n *yaml.Node) { p.upstream = r.upstream(n) },
		"identity_headers": func(n *yaml.Node) { p.headers = r.headers(n) },
		"identity_jwt":     func(n *yaml.Node) { p.identity = r.identity(n) },
		"forward_auth":     func(n *yaml.Node) { p.forward = r.forwardAuth(n) },
		"trusted_proxies":  func(n *yaml.Node) { p.proxies = r.prefixes(n, "trusted_proxies") },
		"limits":           func(n *yaml.Node) { p.limits = r.limits(n) },
		"cors":             func(n *yaml.Node) { p.cors = r.cors(n) },
	})
	if doc.Kind != yaml.MappingNode {
		return
	}
	if !seen["version"] {
		r.fault(doc, "version is missing: write \"version: 1\"")
	}
	if !seen["routes"] {
		r.fault(doc, "routes is missing: what is not listed there is denied, so nothing would be let through")
	}
	if !seen["tokens"] && slices.ContainsFunc(p.routes, func(r *Route) bool { return !r.Public }) {
		r.fault(doc, "tokens is missing: say whose tokens are taken, with issuer and audience")
	}
	r.knownRoles(p)
	r.overlaps(p.routes)
}

func (r *reader) tokens(n *yaml.Node) []Token {
	var all []Token
	for _, item := range r.items(n, "tokens") {
		t := Token{Profile: "rfc9068", Line: item.Line}
		r.fields(item, "an entry of tokens", map[string]func(*yaml.Node){
			"issuer":     func(n *yaml.Node) { t.Issuer = r.webURL(n, "issuer") },
			"audience":   func(n *yaml.Node) { t.Audience = r.text(n, "audience") },
			"keys_url":   func(n *yaml.Node) { t.KeysURL = r.webURL(n, "keys_url") },
			"profile":    func(n *yaml.Node) { t.Profile = r.choice(n, "profile", Profiles...) },
			"algorithms": func(n *yaml.Node) { t.Algorithms = r.algorithms(n) },
		})
		if item.Kind == yaml.MappingNode && !hasKey(item, "issuer") {
			r.fault(item, "issuer is missing: the authorization server's URL, as in the tokens' iss claim")
		}
		if item.Kind == yaml.MappingNode && !hasKey(item, "audience") {
			r.fault(item, "audience is missing: this API's identifier, as in the tokens' aud claim")
		}
		if slices.ContainsFunc(all, func(o Token) bool { return o.Issuer == t.Issuer && t.Issuer != "" }) {
			r.fault(item, "issuer %s is listed twice", t.Issuer)
		}
		all = append(all, t)
	}
	if n.Kind == yaml.SequenceNode && len(all) == 0 {
		r.fault(n, "tokens is empty: say whose tokens are taken, with issuer and audience")
	}
	return all
}

func (r *reader) algorithms(n *yaml.Node) []string {
	all := r.texts(n, "algorithms")
	for _, a := range all {
		if !slices.Contains(algorithms, a) {
			r.fault(n, "%q is not an algorithm that is taken: %s", a, strings.Join(algorithms, ", "))
		}
	}
	return all
}

func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

func (r *reader) webURL(n *yaml.Node, what string) string {
	s := r.text(n, what)
	u, err := url.Parse(s)
	if s != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "") {
		r.fault(n, "%s is a URL such as https://auth.example.com", what)
	}
	return s
}

// upstream has no path: the bytes that are matched are the bytes that are
// forwarded (C35).
func (r *reader) upstream(n *yaml.Node) string {
	s := r.text(n, "upstream")
	u, err := url.Parse(s)
	if s != "" && (err != nil || !slices.Contains([]string{"http", "https", "h2c"}, u.Scheme) || u.Host == "" || u.User != nil || u.Fragment != "") {
		r.fault(n, "upstream is a URL such as http://127.0.0.1:9000, https://api.internal, or h2c://127.0.0.1:50051 for gRPC in the clear")
	} else if err == nil && (u.Path != "" && u.Path != "/" || u.RawQuery != "") {
		r.fault(n, "upstream has a path or a query; it is scheme, host and port only, as in http://127.0.0.1:9000")
	}
	return strings.TrimSuffix(s, "/")
}

// ownHeaders are the protocol's or the gateway's; an identity may not be one.
var ownHeaders = []string{"authorization", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "forwarded", "host", "keep-alive", "origin", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "via", "gatehouse-identity", "x-request-id"}

func (r *reader) headers(n *yaml.Node) []Header {
	var all []Header
	for _, e := range r.entries(n, "identity_headers") {
		h := Header{Name: e.key.Value, From: r.text(e.value, h(e)), Line: e.key.Line}
		lower := strings.ToLower(h.Name)
		switch {
		case strings.ContainsRune(lower, '_'):
			r.fault(e.key, "%s: a header with an underscore is another one for some servers and the same for others; write %s", h.Name, strings.ReplaceAll(h.Name, "_", "-"))
		case !isToken(lower):
			r.fault(e.key, "%q is not the name of a header", h.Name)
		case slices.Contains(ownHeaders, lower), strings.HasPrefix(lower, "x-forwarded-"), strings.HasPrefix(lower, "sec-"), strings.HasPrefix(lower, "access-control-"):
			r.fault(e.key, "%s is not a header for an identity; take one such as X-User-Id", h.Name)
		case slices.ContainsFunc(all, func(o Header) bool { return strings.EqualFold(o.Name, h.Name) }):
			r.fault(e.key, "%s is set twice", h.Name)
		}
		if claim, ok := strings.CutPrefix(h.From, "token."); h.From != "" && (!ok || claim == "") {
			r.fault(e.value, "%s comes from %q; it comes from a claim, as in token.sub", h.Name, h.From)
		}
		all = append(all, h)
	}
	return all
}

func h(e entry) string { return "header " + e.key.Value }

// isToken is RFC 9110 §5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}*`, r)
	})
}

func (r *reader) identity(n *yaml.Node) Identity {
	i := Identity{JWT: true}
	if n.Kind == yaml.ScalarNode {
		i.JWT = r.flag(n, "identity_jwt")
		return i
	}
	r.fields(n, "identity_jwt", map[string]func(*yaml.Node){
		"audience": func(n *yaml.Node) { i.Audience = r.text(n, "audience") },
	})
	return i
}

func (r *reader) forwardAuth(n *yaml.Node) ForwardAuth {
	var f ForwardAuth
	r.fields(n, "forward_auth", map[string]func(*yaml.Node){
		"trusted_proxies": func(n *yaml.Node) { f.TrustedProxies = r.prefixes(n, "trusted_proxies") },
	})
	if n.Kind == yaml.MappingNode && !hasKey(n, "trusted_proxies") {
		r.fault(n, "forward_auth needs trusted_proxies: the addresses of the proxies that ask, such as [10.0.0.0/8]")
	}
	return f
}

func (r *reader) prefixes(n *yaml.Node, what string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range r.texts(n, what) {
		prefix, err := netip.ParsePrefix(s)
		if address, single := netip.ParseAddr(s); single == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		switch {
		case err != nil:
			r.fault(n, "%s: %q is not an address or a range such as 10.0.0.0/8", what, s)
		case prefix.Bits() == 0:
			r.fault(n, "%s: %s is everybody, who could then say who called", what, s)
		default:
			all = append(all, prefix.Masked())
		}
	}
	return all
}

func (r *reader) limits(n *yaml.Node) Limits {
	var l Limits
	r.fields(n, "limits", map[string]func(*yaml.Node){
		"per_subject": func(n *yaml.Node) { l.PerSubject = r.number(n, "per_subject (requests a second)") },
		"per_client":  func(n *yaml.Node) { l.PerClient = r.number(n, "per_client (requests a second)") },
		"body":        func(n *yaml.Node) { l.Body = r.bytes(n, "body") },
	})
	return l
}

func (r *reader) cors(n *yaml.Node) *CORS {
	c := &CORS{}
	r.fields(n, "cors", map[string]func(*yaml.Node){
		"origins": func(n *yaml.Node) { c.Origins = r.origins(n) },
		"headers": func(n *yaml.Node) { c.Headers = r.tokenNames(n, "headers") },
		"expose":  func(n *yaml.Node) { c.Expose = r.tokenNames(n, "expose") },
		"max_age": func(n *yaml.Node) { c.MaxAge = r.duration(n, "max_age") },
	})
	if n.Kind == yaml.MappingNode && !hasKey(n, "origins") {
		r.fault(n, "cors needs origins: the pages that may call, such as [https://app.example.com]")
	}
	return c
}

func (r *reader) origins(n *yaml.Node) []string {
	all := r.texts(n, "origins")
	for _, s := range all {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Contains(u.Host, "*") || s != strings.ToLower(u.Scheme+"://"+u.Host) {
			r.fault(n, "origin %q is not one such as https://app.example.com: scheme and host in lower case, no path, no \"*\"", s)
		}
	}
	return all
}

func (r *reader) tokenNames(n *yaml.Node, what string) []string {
	all := r.texts(n, what)
	for _, s := range all {
		if !isToken(s) {
			r.fault(n, "%s: %q is not the name of a header", what, s)
		}
	}
	return all
}

// names reads scopes or roles: a text with spaces between, or a list.
func (r *reader) names(n *yaml.Node, what string) []string {
	all := r.texts(n, what)
	if n.Kind == yaml.ScalarNode {
		all = strings.Fields(strings.Join(all, " "))
	}
	for i, s := range all {
		// RFC 6749 §3.3: printable ASCII without space, quote and backslash.
		if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }) {
			r.fault(n, "%s: %q is not one scope or role", what, s)
		}
		if slices.Contains(all[:i], s) {
			r.fault(n, "%s: %q is listed twice", what, s)
		}
	}
	return all
}

// knownRoles: where the policy lists its roles, a route may name no other.
func (r *reader) knownRoles(p *Policy) {
	if p.roles == nil {
		return
	}
	for _, route := range p.routes {
		for _, role := range route.Roles {
			if !slices.Contains(p.roles, role) {
				r.fault(&yaml.Node{Line: route.Line}, "%s: role %q is not in roles: %s", route, role, strings.Join(p.roles, ", "))
			}
		}
	}
}

// overlaps: of two routes that match one request, one must be more specific, or
// a third must say what holds where they meet.
func (r *reader) overlaps(routes []*Route) {
	for i, b := range routes {
		for _, a := range routes[:i] {
			if a.broken || b.broken {
				continue
			}
			how := relate(a, b)
			for _, method := range a.Methods {
				if !slices.Contains(b.Methods, method) || how != equal && how != crossing {
					continue
				}
				if how == equal {
					r.fault(&yaml.Node{Line: b.Line}, "%s %s is the same route as %s in line %d", method, b.Pattern, a.Pattern, a.Line)
					break
				}
				if m := meet(a, b); !slices.ContainsFunc(routes, func(o *Route) bool {
					return !o.broken && slices.Contains(o.Methods, method) && relate(o, m) == equal
				}) {
					r.fault(&yaml.Node{Line: b.Line}, "%s %s and %s in line %d both match %s, and neither is the more specific: make one of them narrower, or add a route %s %s", method, b.Pattern, a.Pattern, a.Line, m.Pattern, method, m.Pattern)
					break
				}
			}
		}
	}
}

// pattern reads "/tenants/{tenant}/orders/**" into segments.
func (r *reader) pattern(n *yaml.Node, route *Route) {
	text := route.Pattern
	if !strings.HasPrefix(text, "/") {
		r.fault(n, "%s: a pattern begins with /", route)
		route.broken = true
		return
	}
	rest := text[1:]
	if rest == "" {
		return
	}
	if inner, ok := strings.CutSuffix(rest, "/"); ok {
		rest, route.slash = inner, true
	}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		s, fault := patternSegment(part, i == len(parts)-1 && !route.slash)
		if fault == "" && s.param != "" && slices.ContainsFunc(route.segments, func(o segment) bool { return o.param == s.param }) {
			fault = "{" + s.param + "} occurs twice"
		}
		if fault != "" {
			r.fault(n, "%s: %s", route, fault)
			route.broken = true
			return
		}
		route.segments = append(route.segments, s)
	}
}

func patternSegment(part string, last bool) (segment, string) {
	name, opened := strings.CutPrefix(part, "{")
	name, closed := strings.CutSuffix(name, "}")
	switch {
	case part == "**" && last:
		return segment{rest: true}, ""
	case part == "**":
		return segment{}, "** stands at the end only"
	case opened && closed:
		if !isName(name) {
			return segment{}, "{" + name + "} is not a name of letters, digits and _"
		}
		return segment{param: name}, ""
	case strings.ContainsAny(part, "{}*"):
		return segment{}, "\"" + part + "\" mixes text and pattern; a segment is text, {name} or, at the end, **"
	}
	// A pattern is text, so letters beyond ASCII need no %; what comes out must be
	// what a request can be.
	literal, err := readSegment(escape(part), 0)
	if err != nil {
		return segment{}, "\"" + part + "\" never matches: " + err.(*Rejected).Detail[:strings.Index(err.(*Rejected).Detail, " at byte")] + " is refused in every request"
	}
	return segment{literal: literal}, ""
}

// escape writes bytes beyond ASCII as %XX.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			b.WriteByte(s[i])
			continue
		}
		b.Write([]byte{'%', digits[s[i]>>4], digits[s[i]&15]})
	}
	return b.String()
}

func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
