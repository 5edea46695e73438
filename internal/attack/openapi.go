package attack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// openMethods are the operations of a path (OpenAPI 3.1 §4.8.9).
var openMethods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// OpenAPI makes a target of every operation of a document, JSON or YAML, also
// of those that declare no security. base is where the API is, "" for the
// document's first server. Parameters take their example or default value, or 1.
func OpenAPI(document []byte, file, base string) ([]Target, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(root.Content) == 0 {
		return nil, fmt.Errorf("%s is empty", file)
	}
	d := openDocument{root: root.Content[0], file: file}
	if version := value(d.root, "openapi"); version == nil || !strings.HasPrefix(version.Value, "3.") {
		return nil, fmt.Errorf("%s is no OpenAPI 3 document", file)
	}
	if base == "" {
		if servers := value(d.root, "servers"); servers != nil && len(servers.Content) > 0 {
			if u := value(servers.Content[0], "url"); u != nil {
				base = u.Value
			}
		}
	}
	if u, err := url.Parse(base); err != nil || u.Host == "" {
		return nil, fmt.Errorf("%s does not say where the API is: give the address before --openapi", file)
	}
	return d.targets(strings.TrimSuffix(base, "/"))
}

type openDocument struct {
	root *yaml.Node
	file string
}

func (d openDocument) targets(base string) ([]Target, error) {
	paths := value(d.root, "paths")
	if paths == nil {
		return nil, fmt.Errorf("%s has no paths", d.file)
	}
	secured := declares(value(d.root, "security"))
	var targets []Target
	for i := 0; i+1 < len(paths.Content); i += 2 {
		path, item := paths.Content[i], d.resolve(paths.Content[i+1])
		for j := 0; item != nil && j+1 < len(item.Content); j += 2 {
			method, operation := item.Content[j], item.Content[j+1]
			if !slices.Contains(openMethods, method.Value) {
				continue
			}
			t, err := d.target(base, path.Value, method, item, operation)
			if err != nil {
				return nil, err
			}
			t.Open = !secured
			if own := value(operation, "security"); own != nil {
				t.Open = !declares(own)
			}
			targets = append(targets, t)
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("%s has no operation", d.file)
	}
	return targets, nil
}

// declares tells whether a list of requirements asks for something in each of
// its alternatives.
func declares(security *yaml.Node) bool {
	if security == nil || len(security.Content) == 0 {
		return false
	}
	return !slices.ContainsFunc(security.Content, func(one *yaml.Node) bool { return len(one.Content) == 0 })
}

func (d openDocument) target(base, path string, method, item, operation *yaml.Node) (Target, error) {
	t := Target{Method: strings.ToUpper(method.Value), Declared: d.file + ":" + strconv.Itoa(method.Line), Headers: http.Header{}}
	query := url.Values{}
	for _, list := range []*yaml.Node{value(item, "parameters"), value(operation, "parameters")} {
		for i := 0; list != nil && i < len(list.Content); i++ {
			p := d.resolve(list.Content[i])
			name, in, required := textAt(p, "name"), textAt(p, "in"), textAt(p, "required") == "true"
			switch {
			case in == "path":
				path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(d.sample(p)))
			case in == "query" && required:
				query.Set(name, d.sample(p))
			case in == "header" && required && !strings.EqualFold(name, "Authorization"):
				t.Headers.Set(name, d.sample(p))
			}
		}
	}
	t.URL = base + path
	if len(query) > 0 {
		t.URL += "?" + query.Encode()
	}
	if body := d.resolve(value(operation, "requestBody")); body != nil {
		content := value(body, "content")
		if media := value(content, "application/json"); media != nil {
			t.Headers.Set("Content-Type", "application/json")
			text, err := json.Marshal(d.sampleBody(media))
			if err != nil {
				return t, fmt.Errorf("%s: the example of %s %s: %w", d.file, t.Method, path, err)
			}
			t.Body = string(text)
		}
	}
	return t, nil
}

// sample is a value for a parameter.
func (d openDocument) sample(p *yaml.Node) string {
	schema := d.resolve(value(p, "schema"))
	for _, n := range []*yaml.Node{value(p, "example"), value(schema, "example"), value(schema, "default"), first(value(schema, "enum")), first(value(schema, "examples"))} {
		if n != nil && n.Kind == yaml.ScalarNode {
			return n.Value
		}
	}
	return "1"
}

// sampleBody is the example of a body, or an object of samples of what the
// schema requires.
func (d openDocument) sampleBody(media *yaml.Node) any {
	schema := d.resolve(value(media, "schema"))
	for _, n := range []*yaml.Node{value(media, "example"), value(schema, "example")} {
		var v any
		if n != nil && n.Decode(&v) == nil {
			return v
		}
	}
	return d.sampleOf(schema, 0)
}

func (d openDocument) sampleOf(schema *yaml.Node, depth int) any {
	schema = d.resolve(schema)
	if depth > 8 {
		return nil
	}
	switch textAt(schema, "type") {
	case "integer", "number":
		return 1
	case "boolean":
		return true
	case "array":
		return []any{d.sampleOf(value(schema, "items"), depth+1)}
	case "string":
		return d.sample(schema)
	}
	object := map[string]any{}
	properties := value(schema, "properties")
	for i := 0; properties != nil && i+1 < len(properties.Content); i += 2 {
		object[properties.Content[i].Value] = d.sampleOf(properties.Content[i+1], depth+1)
	}
	return object
}

// resolve follows a $ref inside the document.
func (d openDocument) resolve(n *yaml.Node) *yaml.Node {
	for range 8 {
		ref := textAt(n, "$ref")
		if ref == "" {
			return n
		}
		at := d.root
		for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			at = value(at, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
		}
		n = at
	}
	return nil
}

// value is a member of an object, nil for none.
func value(n *yaml.Node, name string) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func first(n *yaml.Node) *yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil
	}
	return n.Content[0]
}

func textAt(n *yaml.Node, name string) string {
	if v := value(n, name); v != nil {
		return v.Value
	}
	return ""
}
