package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Import is a policy draft made from an OpenAPI document.
type Import struct {
	Routes  []ImportedRoute
	Issuers []string // URLs that the security schemes name
}

// ImportedRoute is one operation. Without a rule it has no line in the draft.
type ImportedRoute struct {
	Method  string   `json:"method"`
	Pattern string   `json:"pattern"`
	Rule    string   `json:"rule,omitempty"` // "{ scope: orders:read }"
	Why     string   `json:"why,omitempty"`  // why it has no rule
	Scopes  []string `json:"scopes,omitempty"`
	Line    int      `json:"line"`
}

var operations = []string{"get", "put", "post", "delete", "options", "head", "patch"}

// ReadOpenAPI reads an OpenAPI 3 document, YAML or JSON. Operations with scopes
// of an OAuth 2.0 or OpenID Connect scheme, or with a bearer scheme, get a rule;
// whatever else it says, a person has to decide. The error is a Faults.
func ReadOpenAPI(file string, text []byte) (Import, error) {
	r := &reader{file: file}
	var made Import
	doc := r.document(text)
	if doc == nil {
		return made, r.err()
	}
	if version := child(doc, "openapi"); version == nil || !strings.HasPrefix(version.Value, "3.") {
		r.fault(doc, "this is no OpenAPI 3 document: it lacks \"openapi: 3.…\"")
		return made, r.err()
	}
	schemes := r.schemes(doc, &made)
	base := r.basePath(doc)
	global := child(doc, "security")
	paths := child(doc, "paths")
	if paths == nil || paths.Kind != yaml.MappingNode {
		r.fault(doc, "the document has no paths")
		return made, r.err()
	}
	for _, path := range r.entries(paths, "paths") {
		if path.value.Kind != yaml.MappingNode {
			continue
		}
		for _, operation := range r.entries(path.value, path.key.Value) {
			if !slices.Contains(operations, operation.key.Value) {
				continue
			}
			route := ImportedRoute{Method: strings.ToUpper(operation.key.Value), Pattern: base + path.key.Value, Line: operation.key.Line}
			security := global
			if own := child(operation.value, "security"); own != nil {
				security = own
			}
			route.rule(security, schemes)
			if fault := route.check(r); fault != "" {
				route.Rule, route.Why = "", fault
			}
			made.Routes = append(made.Routes, route)
		}
	}
	return made, r.err()
}

// scheme is what a security scheme of the document comes to.
type scheme int

const (
	foreign scheme = iota // not a bearer token
	bearer
)

func (r *reader) schemes(doc *yaml.Node, made *Import) map[string]scheme {
	all := map[string]scheme{}
	list := child(child(doc, "components"), "securitySchemes")
	if list == nil {
		return all
	}
	for _, e := range r.entries(list, "securitySchemes") {
		kind, name := child(e.value, "type"), child(e.value, "scheme")
		switch {
		case kind == nil:
			r.fault(e.key, "security scheme %s has no type", e.key.Value)
		case kind.Value == "oauth2", kind.Value == "openIdConnect":
			all[e.key.Value] = bearer
		case kind.Value == "http" && name != nil && strings.EqualFold(name.Value, "bearer"):
			all[e.key.Value] = bearer
		default:
			all[e.key.Value] = foreign
		}
		if u := child(e.value, "openIdConnectUrl"); u != nil {
			made.Issuers = append(made.Issuers, strings.TrimSuffix(u.Value, "/.well-known/openid-configuration"))
		}
	}
	return all
}

// basePath is the path of the first server, before which all paths stand.
func (r *reader) basePath(doc *yaml.Node) string {
	servers := child(doc, "servers")
	if servers == nil || len(servers.Content) == 0 {
		return ""
	}
	u := child(servers.Content[0], "url")
	if u == nil {
		return ""
	}
	path := u.Value
	if _, rest, ok := strings.Cut(path, "://"); ok {
		at := strings.IndexByte(rest, '/')
		if at < 0 {
			return ""
		}
		path = rest[at:]
	}
	return strings.TrimSuffix(path, "/")
}

// rule reads a security requirement: alternatives, each of schemes that all hold.
func (route *ImportedRoute) rule(security *yaml.Node, schemes map[string]scheme) {
	switch {
	case security == nil || security.Kind != yaml.SequenceNode:
		route.Why = "it has no security"
	case len(security.Content) == 0:
		route.Rule = "{ public: true }"
	case len(security.Content) > 1:
		route.Why = "it has alternatives, of which a rule has none: choose one"
	case len(security.Content[0].Content) == 0:
		route.Rule = "{ public: true }"
	default:
		route.allOf(security.Content[0], schemes)
	}
}

func (route *ImportedRoute) allOf(n *yaml.Node, schemes map[string]scheme) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		kind, known := schemes[name]
		if !known || kind != bearer {
			route.Why = fmt.Sprintf("its security scheme %q is not OAuth 2.0, OpenID Connect or a bearer token", name)
			return
		}
		for _, s := range n.Content[i+1].Content {
			if !slices.Contains(route.Scopes, s.Value) {
				route.Scopes = append(route.Scopes, s.Value)
			}
		}
	}
	switch len(route.Scopes) {
	case 0:
		route.Rule = "{}"
	case 1:
		route.Rule = "{ scope: " + quoted(route.Scopes[0]) + " }"
	default:
		quotes := make([]string, len(route.Scopes))
		for i, s := range route.Scopes {
			quotes[i] = quoted(s)
		}
		route.Rule = "{ scope: [" + strings.Join(quotes, ", ") + "] }"
	}
}

// check reads the route as a policy would; parameters are named for it.
func (route *ImportedRoute) check(r *reader) string {
	parts := strings.Split(route.Pattern, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") && strings.HasSuffix(part, "}") {
			parts[i] = "{" + strings.Map(func(c rune) rune {
				if isName(string(c)) {
					return c
				}
				return '_'
			}, part[1:len(part)-1]) + "}"
		}
	}
	route.Pattern = strings.Join(parts, "/")
	probe := &reader{file: r.file}
	probe.pattern(&yaml.Node{Line: route.Line}, &Route{Methods: []string{route.Method}, Pattern: route.Pattern})
	if len(probe.faults) > 0 {
		return probe.faults[0].Text
	}
	return ""
}

// quoted writes a scope so that YAML reads it as text and as that text.
func quoted(s string) string {
	if isPlain(s) {
		return s
	}
	return strconv.Quote(s)
}

// isPlain is narrower than YAML: a letter, then what no reader takes for more.
func isPlain(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || (r < '0' || r > '9') && !strings.ContainsRune(":._-/", r)) {
			return false
		}
	}
	return s != "" && !strings.HasSuffix(s, ":") && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off"}, strings.ToLower(s))
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// Draft is the policy file that the document comes to. What has no rule stands in
// it as a comment, and is denied.
func (m Import) Draft(from string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Drafted from %s. Everything not listed is denied.\nversion: 1\ntokens:\n", from)
	issuer := "https://auth.example.com # change this"
	if len(m.Issuers) > 0 {
		issuer = quotedURL(m.Issuers[0])
	}
	fmt.Fprintf(&b, "  - issuer: %s\n    audience: https://api.example.com # change this\nroutes:\n", issuer)
	for _, r := range m.Routes {
		head := r.Method + " " + r.Pattern
		if r.Rule == "" {
			fmt.Fprintf(&b, "  # %s: no rule: %s\n", strconv.QuoteToGraphic(head), strings.ReplaceAll(r.Why, "\n", " "))
			continue
		}
		fmt.Fprintf(&b, "  - %s: %s\n", headKey(head), r.Rule)
	}
	return b.String()
}

func quotedURL(s string) string { return strconv.Quote(s) }

// headKey quotes what YAML would read otherwise.
func headKey(head string) string {
	if strings.ContainsAny(head, "#:'\"\\&*!|>%@`,[]") || strings.HasSuffix(head, " ") {
		return strconv.Quote(head)
	}
	return head
}
