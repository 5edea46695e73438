package page

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Cookie is the name of the cookie that holds the language a person chose, one
// of Languages.
const Cookie = "gatehouse-language"

// Languages that the pages speak, the first one when nothing else is known.
var Languages = []string{"en", "de"}

// LanguageCookie remembers a person's choice for a year. Anything but one of
// Languages is an error. The caller adds Secure where it serves https.
func LanguageCookie(tag string) (*http.Cookie, error) {
	if !slices.Contains(Languages, tag) {
		return nil, fmt.Errorf("there is no language %q", tag)
	}
	return &http.Cookie{Name: Cookie, Value: tag, Path: "/", MaxAge: 365 * 24 * 60 * 60, HttpOnly: true, SameSite: http.SameSiteLaxMode}, nil
}

//go:embed messages
var messageFiles embed.FS

// language is the messages of one language.
type language struct {
	tag      string
	messages map[string]string
	phrases  phrases
}

func loadLanguage(tag string) (*language, error) {
	content, err := messageFiles.ReadFile("messages/" + tag + ".json")
	if err != nil {
		return nil, fmt.Errorf("read the messages: %w", err)
	}
	l := &language{tag: tag}
	if err := json.Unmarshal(content, &l.messages); err != nil {
		return nil, fmt.Errorf("read messages/%s.json: %w", tag, err)
	}
	if l.phrases, err = loadPhrases(tag); err != nil {
		return nil, err
	}
	return l, nil
}

// pseudo is English made longer and marked, so that tests see text that does
// not come from the messages and boxes that are too small.
func pseudo(english *language) *language {
	l := &language{tag: "en-XA", messages: map[string]string{}}
	swap := strings.NewReplacer("a", "á", "e", "ë", "i", "î", "o", "ø", "u", "ü", "A", "Å", "E", "Ë", "S", "Š", "n", "ñ", "c", "ç")
	for key, text := range english.messages {
		var b strings.Builder
		for part := range strings.SplitAfterSeq(text, "}") {
			before, placeholder, _ := strings.Cut(part, "{")
			b.WriteString(swap.Replace(before))
			if placeholder != "" {
				b.WriteString("{" + placeholder)
			}
		}
		l.messages[key] = "[" + b.String() + strings.Repeat(" ~~~", 1+len(text)/12) + "]"
	}
	return l
}

// choose picks a language: the app's ui_locales, then what the person chose,
// then what the browser asks for, then English.
func (p *Pages) choose(r *http.Request, locales []string) *language {
	for _, tag := range locales {
		if l := p.speaks(tag); l != nil {
			return l
		}
	}
	if c, err := r.Cookie(Cookie); err == nil {
		if l := p.speaks(c.Value); l != nil {
			return l
		}
	}
	var best *language
	var bestWeight float64
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, parameter, _ := strings.Cut(part, ";")
		weight := 1.0
		if q, found := strings.CutPrefix(strings.TrimSpace(parameter), "q="); found {
			weight, _ = strconv.ParseFloat(q, 64)
		}
		if l := p.speaks(strings.TrimSpace(tag)); l != nil && weight > bestWeight {
			best, bestWeight = l, weight
		}
	}
	if best != nil {
		return best
	}
	return p.languages[Languages[0]]
}

// speaks finds the language of a tag of BCP 47 by its first part: de-AT is de.
func (p *Pages) speaks(tag string) *language {
	if l := p.languages[tag]; l != nil {
		return l
	}
	primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
	return p.languages[primary]
}
