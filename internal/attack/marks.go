package attack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/url"
	"strings"
)

// marks are what an answer is recognised by: the shape of its JSON, the values
// in it, the words of a text. Each is a kind, a place and a value.
type marks map[mark]bool

type mark struct{ place, value string }

// maxMarks bounds the memory for one answer.
const maxMarks = 4000

// read takes the marks of an answer.
func read(a answer) marks {
	m := marks{{"media", mediaOf(a)}: true}
	if location, err := url.Parse(a.header.Get("Location")); err == nil && location.Path != "" {
		m[mark{"location", location.Host + location.Path}] = true
	}
	var document any
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.UseNumber()
	if len(a.body) > 0 && decoder.Decode(&document) == nil {
		m.json("$", document, 0)
		return m
	}
	for word := range strings.FieldsFuncSeq(string(a.body), func(r rune) bool { return r <= ' ' || strings.ContainsRune(`<>"'=:;,/()[]{}`, r) }) {
		if len(m) < maxMarks {
			m[mark{"word", word}] = true
		}
	}
	return m
}

func mediaOf(a answer) string {
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// Names of places grow with the depth, so both are bounded.
const (
	maxDepth = 32
	maxName  = 100
)

func (m marks) json(place string, v any, depth int) {
	if len(m) >= maxMarks || depth > maxDepth {
		return
	}
	m[mark{"shape " + place, fmt.Sprintf("%T", v)}] = true
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			m.json(place+"."+name[:min(len(name), maxName)], inner, depth+1)
		}
	case []any:
		for _, inner := range v {
			m.json(place+"[]", inner, depth+1)
		}
	default:
		h := fnv.New64a()
		fmt.Fprint(h, v)
		m[mark{place, fmt.Sprintf("%x", h.Sum64())}] = true
	}
}

// unsteady are the places whose marks differ between samples of one answer:
// times, counters, request ids.
func unsteady(samples []answer) map[string]bool {
	places := map[string]bool{}
	for _, a := range samples {
		for m := range a.marks {
			for _, b := range samples {
				if !b.marks[m] && m.place != "word" {
					places[m.place] = true
				}
			}
		}
	}
	return places
}

// without leaves out what says nothing.
func (m marks) without(places map[string]bool) marks {
	kept := marks{}
	for one := range m {
		if !places[one.place] {
			kept[one] = true
		}
	}
	return kept
}

// alike is how much two answers have in common, from 0 to 1 (Dice).
func alike(a, b marks) float64 {
	if len(a)+len(b) == 0 {
		return 1
	}
	common := 0
	for m := range a {
		if b[m] {
			common++
		}
	}
	return 2 * float64(common) / float64(len(a)+len(b))
}
