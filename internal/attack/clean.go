package attack

import (
	"slices"
	"strings"
	"unicode"
)

// clean is the report without characters that a terminal or a reader obeys:
// what a target answers is in some reasons, and a target may be hostile.
func (r Report) clean() Report {
	r.Targets, r.Results, r.Notes = slices.Clone(r.Targets), slices.Clone(r.Results), slices.Clone(r.Notes)
	for i := range r.Notes {
		r.Notes[i] = plainText(r.Notes[i])
	}
	for i := range r.Targets {
		t := &r.Targets[i]
		t.Route, t.Host, t.Declared, t.Reason = plainText(t.Route), plainText(t.Host), plainText(t.Declared), plainText(t.Reason)
	}
	for i := range r.Results {
		one := &r.Results[i]
		one.Route, one.Declared, one.Reason = plainText(one.Route), plainText(one.Declared), plainText(one.Reason)
		one.Accepted, one.Reproduce = plainText(one.Accepted), plainText(one.Reproduce)
		one.Evidence = slices.Clone(one.Evidence)
		for j := range one.Evidence {
			e := &one.Evidence[j]
			e.Title, e.Answer = plainText(e.Title), plainText(e.Answer)
		}
	}
	return r
}

// maxText bounds a text that came from a target, in bytes.
const maxText = 2000

// plainText replaces control characters, those that turn the direction of
// writing, and what is no UTF-8. Line breaks become spaces.
func plainText(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t' || c == '\r':
			return ' '
		case unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || c == '\u2028' || c == '\u2029':
			return '\ufffd'
		}
		return c
	}, text)
}
