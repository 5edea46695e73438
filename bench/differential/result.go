package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// result is what every library said about every sample.
type result struct {
	samples  []sample
	accepted [][]bool // by sample, then by library
	panics   []string
	versions []string // by library
}

func run() (result, error) {
	samples, err := corpus()
	if err != nil {
		return result{}, err
	}
	r := result{samples: samples}
	if r.versions, err = versions(); err != nil {
		return result{}, err
	}
	for _, s := range samples {
		row := make([]bool, len(libraries))
		for i, l := range libraries {
			accepted, panicked := l.accepts(s)
			if row[i] = accepted; panicked != nil {
				r.panics = append(r.panics, fmt.Sprintf("%s panics on %s: %v", l.name, s.id, panicked))
			}
		}
		r.accepted = append(r.accepted, row)
	}
	return r, nil
}

// root is a path of the repository, from wherever in the module this runs.
func root(path string) string {
	for _, up := range []string{"..", "../.."} {
		if _, err := os.Stat(filepath.Join(up, "layers_test.go")); err == nil {
			return filepath.Join(up, path)
		}
	}
	return path
}

// versions are those of the libraries, from this module's go.mod.
func versions() ([]string, error) {
	data, err := os.ReadFile(root("bench/go.mod"))
	if err != nil {
		return nil, err
	}
	all := make([]string, len(libraries))
	for i, l := range libraries {
		if l.module == "" {
			continue
		}
		found := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(l.module) + ` (v\S+)`).FindSubmatch(data)
		if found == nil {
			return nil, fmt.Errorf("go.mod does not name %s", l.module)
		}
		all[i] = string(found[1])
	}
	return all, nil
}

// wrong counts what a library got wrong in a class.
type wrong struct{ accepted, refused int }

func (w wrong) String() string {
	if w == (wrong{}) {
		return "·"
	}
	return fmt.Sprintf("%d / %d", w.accepted, w.refused)
}

// matrix is a table in Markdown: class × library.
func (r result) matrix() string {
	var b strings.Builder
	fmt.Fprint(&b, "| class | tokens |")
	for i, l := range libraries {
		fmt.Fprintf(&b, " %s |", strings.TrimSpace(l.name+" "+r.versions[i]))
	}
	fmt.Fprint(&b, "\n|---|---|", strings.Repeat("---|", len(libraries)), "\n")
	total := make([]wrong, len(libraries))
	for _, class := range r.classes() {
		n, row := r.count(class)
		fmt.Fprintf(&b, "| %s | %d |", class, n)
		for i, w := range row {
			fmt.Fprintf(&b, " %s |", w)
			total[i].accepted += w.accepted
			total[i].refused += w.refused
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprintf(&b, "| all | %d |", len(r.samples))
	for _, w := range total {
		fmt.Fprintf(&b, " %s |", w)
	}
	return b.String() + "\n"
}

func (r result) classes() []string {
	var all []string
	for _, s := range r.samples {
		if s.want != disputed && !slices.Contains(all, s.class) {
			all = append(all, s.class)
		}
	}
	return all
}

func (r result) count(class string) (n int, row []wrong) {
	row = make([]wrong, len(libraries))
	for k, s := range r.samples {
		if s.class != class {
			continue
		}
		n++
		for i, accepted := range r.accepted[k] {
			if accepted && s.want == bad {
				row[i].accepted++
			}
			if !accepted && s.want == good {
				row[i].refused++
			}
		}
	}
	return n, row
}

// list names each sample on which a library is wrong, or on which they do not
// agree.
func (r result) list() string {
	var b strings.Builder
	for k, s := range r.samples {
		var takes, leaves []string
		for i, accepted := range r.accepted[k] {
			if accepted {
				takes = append(takes, libraries[i].name)
			} else {
				leaves = append(leaves, libraries[i].name)
			}
		}
		if s.want == bad && len(takes) > 0 || s.want == good && len(leaves) > 0 || s.want == disputed {
			fmt.Fprintf(&b, "%s: %s: accepted by %s; refused by %s (%s)\n", s.id, s.want, or(takes), or(leaves), s.title)
		}
	}
	return b.String()
}

func or(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}

// shortcomings are good tokens that a library cannot read, so that its refusal
// says nothing about ours.
var shortcomings = map[string]string{}

// faults are what must not be: ours is wrong, accepts what another one refuses,
// or somebody panics.
func (r result) faults() []string {
	faults := slices.Clone(r.panics)
	for k, s := range r.samples {
		ours := r.accepted[k][0]
		if ours && s.want == bad || !ours && s.want == good {
			faults = append(faults, fmt.Sprintf("%s: %s, and Gatehouse: accepted %v", s.id, s.want, ours))
		}
		for i, accepted := range r.accepted[k] {
			if ours && !accepted && shortcomings[libraries[i].name+": "+s.id] == "" {
				faults = append(faults, fmt.Sprintf("%s: accepted by Gatehouse, refused by %s", s.id, libraries[i].name))
			}
		}
	}
	return faults
}
