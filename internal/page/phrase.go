package page

import (
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What packages below say in English, such as the findings about a token, is
// translated sentence by sentence. A file holds English and its translation;
// {1} stands for what differs, {1d} for a time in the dative.
//
//go:embed phrases
var phraseFiles embed.FS

// phrases are the sentences of one language.
type phrases struct {
	whole    map[string]string
	patterns []pattern // the most particular first
}

type pattern struct {
	english *regexp.Regexp
	said    string
}

var hole = regexp.MustCompile(`\\\{\d\\\}`)

// loadPhrases reads the sentences of a language, none where there is no file.
func loadPhrases(tag string) (phrases, error) {
	p := phrases{whole: map[string]string{}}
	content, err := phraseFiles.ReadFile("phrases/" + tag + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	var all map[string]string
	if err == nil {
		err = json.Unmarshal(content, &all)
	}
	if err != nil {
		return p, fmt.Errorf("read phrases/%s.json: %w", tag, err)
	}
	for english, said := range maps.Clone(all) { // where only the first sentence is said
		if first := firstSentence(english); first != english && all[first] == "" {
			all[first] = firstSentence(said)
		}
	}
	particular := func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	}
	for _, english := range slices.SortedFunc(maps.Keys(all), particular) {
		if !strings.Contains(english, "{1}") {
			p.whole[english] = all[english]
			continue
		}
		text := hole.ReplaceAllString(regexp.QuoteMeta(english), "(.+?)")
		p.patterns = append(p.patterns, pattern{regexp.MustCompile("^" + text + "$"), all[english]})
	}
	return p, nil
}

// firstSentence is a text up to its first full stop.
func firstSentence(text string) string {
	first, _, _ := strings.Cut(text, ". ")
	return strings.TrimSuffix(first, ".")
}

// say translates a sentence; ok is false if there is no translation.
func (p phrases) say(english string) (said string, ok bool) {
	if said, ok := p.whole[english]; ok {
		return said, true
	}
	if said, ok := p.span(english); ok {
		return said, true
	}
	for _, one := range p.patterns {
		holes := one.english.FindStringSubmatch(english)
		if holes == nil {
			continue
		}
		var pairs []string
		for i, text := range holes[1:] {
			inner, ok := p.say(text)
			if !ok {
				inner = text
			}
			pairs = append(pairs, fmt.Sprintf("{%d}", i+1), inner, fmt.Sprintf("{%dd}", i+1), dative.Replace(inner))
		}
		return strings.NewReplacer(pairs...).Replace(one.said), true
	}
	return "", false
}

// Spans of time, as in "2 days 3 h". They are German where there are phrases:
// a further language brings its own words.
var (
	spans  = regexp.MustCompile(`^\d+ (?:years?|days?|h|min|s)(?: \d+ (?:years?|days?|h|min|s))?$`)
	german = strings.NewReplacer("years", "Jahre", "year", "Jahr", "days", "Tage", "day", "Tag", "min", "min")
	dative = strings.NewReplacer("Jahre", "Jahren", "Tage", "Tagen")
)

func (p phrases) span(english string) (string, bool) {
	if len(p.patterns) == 0 || !spans.MatchString(english) {
		return "", false
	}
	return german.Replace(english), true
}

// Words is a word of English in the language of the page, as plain text.
func (c Common) Words(english string) string {
	if said, ok := c.frame.language.phrases.say(english); ok {
		return said
	}
	return english
}

// Phrase is a sentence of English in the language of the page, or marked as English
// where there is no translation.
func (c Common) Phrase(english string) template.HTML {
	if english == "" || c.frame.language.tag == "en" {
		return template.HTML(template.HTMLEscapeString(english))
	}
	if said, ok := c.frame.language.phrases.say(english); ok {
		return template.HTML(template.HTMLEscapeString(said))
	}
	return template.HTML(`<span lang="en">` + template.HTMLEscapeString(english) + `</span>`)
}
