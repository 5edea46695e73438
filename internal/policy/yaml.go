package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Fault is one mistake in a file.
type Fault struct {
	File string
	Line int
	Text string
}

func (f *Fault) Error() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text) }

// Faults are all mistakes of a file, in the order of its lines.
type Faults []*Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// reader collects faults, so that one look at the file finds all of them.
type reader struct {
	file   string
	faults Faults
}

func (r *reader) fault(n *yaml.Node, format string, args ...any) {
	r.faults = append(r.faults, &Fault{File: r.file, Line: max(n.Line, 1), Text: iam.Printable(fmt.Sprintf(format, args...), 400)})
}

func (r *reader) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b *Fault) int { return a.Line - b.Line })
	return r.faults
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): `)

// document reads the one document of a file.
func (r *reader) document(text []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		r.fault(&yaml.Node{Line: 1}, "the file is empty")
		return nil
	case err != nil:
		r.syntax(err)
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		r.fault(&second, "a second document; a file has one")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
	}
	return doc.Content[0]
}

func (r *reader) syntax(err error) {
	text, line := err.Error(), 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	r.fault(&yaml.Node{Line: line}, "not YAML: %s", strings.TrimPrefix(text, "yaml: "))
}

// entry is a key of a mapping and its value.
type entry struct{ key, value *yaml.Node }

// entries of a mapping, in order; each key is plain text and occurs once.
func (r *reader) entries(n *yaml.Node, what string) []entry {
	if n.Kind != yaml.MappingNode {
		r.fault(n, "%s is a list of \"key: value\"", what)
		return nil
	}
	seen := map[string]bool{}
	var all []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			r.fault(key, "a key of %s is not plain text", what)
		case seen[key.Value]:
			r.fault(key, "%s says %q twice", what, key.Value)
		default:
			seen[key.Value] = true
			all = append(all, entry{key, n.Content[i+1]})
		}
	}
	return all
}

// fields calls for each key what reads it.
func (r *reader) fields(n *yaml.Node, what string, known map[string]func(*yaml.Node)) {
	for _, e := range r.entries(n, what) {
		if read := known[e.key.Value]; read != nil {
			read(e.value)
			continue
		}
		names := make([]string, 0, len(known))
		for name := range known {
			names = append(names, name)
		}
		slices.Sort(names)
		r.fault(e.key, "%s has no key %q. It has: %s", what, e.key.Value, strings.Join(names, ", "))
	}
}

func (r *reader) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		r.fault(n, "%s is a text", what)
		return ""
	}
	return n.Value
}

func (r *reader) items(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, "%s is a list", what)
		return nil
	}
	return n.Content
}

// texts reads a list of texts, or one text.
func (r *reader) texts(n *yaml.Node, what string) []string {
	if n.Kind == yaml.ScalarNode {
		if s := r.text(n, what); s != "" {
			return []string{s}
		}
		return nil
	}
	var all []string
	for _, item := range r.items(n, what) {
		if s := r.text(item, what); s != "" {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		r.fault(n, "%s is empty", what)
	}
	return all
}

func (r *reader) flag(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" || n.Tag != "!!bool" {
		r.fault(n, "%s is true or false", what)
		return false
	}
	return n.Value == "true"
}

func (r *reader) choice(n *yaml.Node, what string, of ...string) string {
	if n.Kind != yaml.ScalarNode || !slices.Contains(of, n.Value) {
		r.fault(n, "%s is one of %s", what, strings.Join(of, ", "))
		return ""
	}
	return n.Value
}

func (r *reader) duration(n *yaml.Node, what string) time.Duration {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d <= 0 {
		r.fault(n, "%s is a time such as 5m or 1h30m", what)
		return 0
	}
	return d
}

// number is a whole number from 1.
func (r *reader) number(n *yaml.Node, what string) int {
	value, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || value < 1 {
		r.fault(n, "%s is a whole number from 1", what)
		return 0
	}
	return value
}

var byteUnits = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"", 1}}

func (r *reader) bytes(n *yaml.Node, what string) int64 {
	for _, unit := range byteUnits {
		number, ok := strings.CutSuffix(n.Value, unit.suffix)
		if !ok || n.Kind != yaml.ScalarNode {
			continue
		}
		if value, err := strconv.ParseInt(number, 10, 32); err == nil && value > 0 {
			return value * unit.factor
		}
		break
	}
	r.fault(n, "%s is a number of bytes such as 10MiB", what)
	return 0
}
