package policy

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed testdata/requests/*.txt
var corpus embed.FS

// Sample is a request of the published corpus and what becomes of it.
type Sample struct {
	File    string
	Line    int
	Verdict string // accept, bad_path, bad_query or bad_method
	Rule    string // C35, T74 to T78
	Method  string
	Target  string
	Note    string // what it is; for accept the segments as JSON
}

// Corpus is every published request (testdata/requests), in order.
func Corpus() ([]Sample, error) {
	entries, err := corpus.ReadDir("testdata/requests")
	if err != nil {
		return nil, err
	}
	var all []Sample
	for _, e := range entries {
		text, err := corpus.ReadFile("testdata/requests/" + e.Name())
		if err != nil {
			return nil, err
		}
		line := 0
		for row := range strings.Lines(string(text)) {
			if line++; strings.HasPrefix(row, "#") {
				continue
			}
			s, err := readSample(strings.TrimSuffix(row, "\n"))
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", e.Name(), line, err)
			}
			s.File, s.Line = e.Name(), line
			all = append(all, s)
		}
	}
	return all, nil
}

func readSample(row string) (Sample, error) {
	f := strings.Split(row, "\t")
	if len(f) != 5 {
		return Sample{}, fmt.Errorf("%d columns, not 5", len(f))
	}
	method, err := unquote(f[2])
	if err != nil {
		return Sample{}, err
	}
	target, err := unquote(f[3])
	return Sample{Verdict: f[0], Rule: f[1], Method: method, Target: target, Note: f[4]}, err
}

// unquote reads a Go string without its quotes; "" is the empty one.
func unquote(s string) (string, error) {
	if s == `""` {
		return "", nil
	}
	return strconv.Unquote(`"` + s + `"`)
}
