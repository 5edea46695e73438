package policy

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (r *reader) routes(n *yaml.Node) []*Route {
	var all []*Route
	for _, item := range r.items(n, "routes") {
		if route := r.route(item); route != nil {
			all = append(all, route)
		}
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.fault(n, "routes is empty: what is not listed there is denied, so nothing would be let through")
	}
	return all
}

// route reads one entry, such as "GET /orders: { scope: orders:read }".
func (r *reader) route(item *yaml.Node) *Route {
	if item.Kind == yaml.ScalarNode {
		r.fault(item, "route %q says nothing: write %q to let any valid token through", item.Value, item.Value+": {}")
		return nil
	}
	entries := r.entries(item, "a route")
	if len(entries) != 1 {
		if item.Kind == yaml.MappingNode {
			r.fault(item, "an entry of routes is one route, such as \"GET /orders: { scope: orders:read }\"")
		}
		return nil
	}
	head, body := entries[0].key, entries[0].value
	route := &Route{File: r.file, Line: head.Line}
	if !r.head(head, route) {
		return nil
	}
	r.pattern(head, route)
	if body.Kind == yaml.ScalarNode && body.Tag == "!!null" {
		r.fault(head, "%s says nothing: write {} behind it to let any valid token through", route)
		return route
	}
	r.body(body, route)
	return route
}

// head reads the methods and the pattern.
func (r *reader) head(n *yaml.Node, route *Route) bool {
	methods, pattern, ok := strings.Cut(n.Value, " ")
	if !ok || strings.HasPrefix(methods, "/") {
		r.fault(n, "%q has no methods: write them in front, as in GET,HEAD %s", n.Value, "/"+strings.TrimLeft(n.Value, "/ "))
		return false
	}
	route.Pattern = strings.TrimSpace(pattern)
	for m := range strings.SplitSeq(methods, ",") {
		if err := checkMethod(m); err != nil {
			r.fault(n, "%q is not a method that is let through: write capital letters, with commas and no spaces between, as in POST,PUT /orders", m)
			return false
		}
		if slices.Contains(route.Methods, m) {
			r.fault(n, "%s is listed twice", m)
		}
		route.Methods = append(route.Methods, m)
	}
	return true
}

func (r *reader) body(n *yaml.Node, route *Route) {
	mode, forward := "enforce", []string(nil)
	r.fields(n, "a route", map[string]func(*yaml.Node){
		"scope":         func(n *yaml.Node) { route.Scopes = r.names(n, "scope") },
		"role":          func(n *yaml.Node) { route.Roles = r.names(n, "role") },
		"where":         func(n *yaml.Node) { route.Where = r.where(n, route) },
		"max_token_age": func(n *yaml.Node) { route.MaxTokenAge = r.duration(n, "max_token_age") },
		"public":        func(n *yaml.Node) { route.Public = r.flag(n, "public") },
		"sensitive":     func(n *yaml.Node) { route.Sensitive = r.flag(n, "sensitive") },
		"on_stale":      func(n *yaml.Node) { route.OnStale = r.choice(n, "on_stale", StaleAllow, StaleIntrospect, StaleDeny) },
		"mode":          func(n *yaml.Node) { mode = r.choice(n, "mode", "enforce", "shadow") },
		"cors":          func(n *yaml.Node) { route.CORS = r.cors(n) },
		"forward":       func(n *yaml.Node) { forward = r.texts(n, "forward") },
	})
	route.scope = strings.Join(route.Scopes, " ")
	route.Shadow = mode == "shadow"
	for _, what := range forward {
		switch what {
		case "authorization":
			route.ForwardToken = true
		case "cookie":
			route.ForwardCookie = true
		default:
			r.fault(n, "forward: %q is not authorization or cookie", what)
		}
	}
	if route.Public {
		for _, key := range []string{"scope", "role", "where", "max_token_age", "sensitive", "on_stale", "mode"} {
			if hasKey(n, key) {
				r.fault(n, "%s is public and has %s: nobody would be asked for it", route, key)
			}
		}
	}
	if route.Sensitive && route.OnStale == StaleAllow {
		r.fault(n, "%s is sensitive and has on_stale: allow", route)
	}
}

// where reads equalities between a claim and a value of the request.
func (r *reader) where(n *yaml.Node, route *Route) []Equality {
	var all []Equality
	for _, e := range r.entries(n, "where") {
		claim, ok := strings.CutPrefix(e.key.Value, "token.")
		if !ok || claim == "" {
			r.fault(e.key, "where: %q is not a claim, as in token.tenant", e.key.Value)
			continue
		}
		from, name, _ := strings.Cut(r.text(e.value, "where"), ".")
		equality := Equality{Claim: claim, From: from, Name: name}
		switch {
		case from != "path" && from != "query" || name == "":
			r.fault(e.value, "where: token.%s is compared with %q; it is compared with path.NAME or query.NAME", claim, e.value.Value)
			continue
		case from == "path":
			equality.index = slices.IndexFunc(route.segments, func(s segment) bool { return s.param == name })
			if equality.index < 0 {
				r.fault(e.value, "where: %s has no {%s}", route.Pattern, name)
				continue
			}
		}
		all = append(all, equality)
	}
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.fault(n, "where is empty")
	}
	return all
}
