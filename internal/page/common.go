package page

import (
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Common is what every page has. Locales is the ui_locales parameter of the
// request, best first; it wins over the language that the person chose, so
// leave it empty once the person has chosen one within the flow.
type Common struct {
	Locales []string
	frame   frame
}

// frame is what a page is shown in; the Pages set it.
type frame struct {
	pages    *Pages
	language *language
	page     string
	faulty   bool
}

func (p *Pages) frame(r *http.Request, page string, locales []string, fault Fault) frame {
	return frame{pages: p, language: p.choose(r, locales), page: page, faulty: fault != ""}
}

func (c Common) common() Common { return c }

// Lang is the page's language, a tag of BCP 47.
func (c Common) Lang() string { return c.frame.language.tag }

// Product is the name that stands above every page.
func (c Common) Product() string { return c.frame.pages.product }

// Host is the issuer's host.
func (c Common) Host() string { return c.frame.pages.host }

// Page is the page's name, such as login.
func (c Common) Page() string { return c.frame.page }

// Faulty tells whether the page reports that something went wrong.
func (c Common) Faulty() bool { return c.frame.faulty }

// Logo is the address of the product's own logo, "" for ours.
func (c Common) Logo() string {
	if c.frame.pages.logo == "" {
		return ""
	}
	return c.frame.pages.assets.address(c.frame.pages.logo)
}

// Asset is the address of one of our files, such as gatehouse.css.
func (c Common) Asset(name string) (string, error) {
	if !c.frame.pages.assets.has(name) {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return c.frame.pages.assets.address(name), nil
}

// Custom is the address of the installation's own stylesheet, "" for none.
func (c Common) Custom() string {
	if !c.frame.pages.assets.has(customSheet) {
		return ""
	}
	return c.frame.pages.assets.address(customSheet)
}

// T is the message of key, with {name} replaced by the value that follows name
// in pairs. A key without a message is an error.
func (c Common) T(key string, pairs ...string) (string, error) {
	text, ok := c.frame.language.messages[key]
	if !ok {
		return "", fmt.Errorf("there is no message %q", key)
	}
	return strings.NewReplacer(braced(pairs, isolate)...).Replace(text), nil
}

// H is T with the values emphasised, as HTML.
func (c Common) H(key string, pairs ...string) (template.HTML, error) {
	text, ok := c.frame.language.messages[key]
	if !ok {
		return "", fmt.Errorf("there is no message %q", key)
	}
	emphasised := func(value string) string {
		return `<strong><bdi>` + template.HTMLEscapeString(value) + `</bdi></strong>`
	}
	return template.HTML(strings.NewReplacer(braced(pairs, emphasised)...).Replace(template.HTMLEscapeString(text))), nil
}

// braced turns name, value, … into {name}, show(value), …
func braced(pairs []string, show func(string) string) []string {
	all := slices.Clone(pairs)
	for i := 0; i+1 < len(all); i += 2 {
		all[i], all[i+1] = "{"+all[i]+"}", show(all[i+1])
	}
	return all[:len(all)/2*2]
}

// isolate keeps a name of the other writing direction from turning our sentence
// around. Names of Latin letters need nothing.
func isolate(value string) string {
	if strings.ContainsFunc(value, func(r rune) bool { return r >= 0x0590 }) {
		return "\u2068" + value + "\u2069"
	}
	return value
}

// Span is a time span in words, rounded up: "5 minutes".
func (c Common) Span(d time.Duration) (string, error) {
	switch {
	case d < time.Minute:
		return c.count("span.second", math.Ceil(max(d.Seconds(), 1)))
	case d < time.Hour:
		return c.count("span.minute", math.Ceil(d.Minutes()))
	}
	return c.count("span.hour", math.Ceil(d.Hours()))
}

// When is a past time in words: "3 hours ago", or a date after a month.
func (c Common) When(t time.Time) (string, error) {
	ago := c.frame.pages.now().Sub(t)
	switch {
	case t.IsZero():
		return c.T("when.never")
	case ago < 2*time.Minute:
		return c.T("when.now")
	case ago < time.Hour:
		return c.count("when.minute", math.Floor(ago.Minutes()))
	case ago < 24*time.Hour:
		return c.count("when.hour", math.Floor(ago.Hours()))
	case ago < 31*24*time.Hour:
		return c.count("when.day", math.Floor(ago.Hours()/24))
	}
	return c.Date(t)
}

// Date is a day in words: "2 January 2026".
func (c Common) Date(t time.Time) (string, error) {
	month, err := c.T(fmt.Sprintf("month.%d", t.UTC().Month()))
	if err != nil {
		return "", err
	}
	return c.T("date", "day", fmt.Sprint(t.UTC().Day()), "month", month, "year", fmt.Sprint(t.UTC().Year()))
}

// Stamp is a time for the datetime attribute of <time>.
func (c Common) Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (c Common) count(key string, n float64) (string, error) {
	form := ".other"
	if n == 1 {
		form = ".one"
	}
	return c.T(key+form, "n", fmt.Sprintf("%.0f", n))
}

// List is names in a row.
func (c Common) List(names []string) string {
	isolated := make([]string, len(names))
	for i, name := range names {
		isolated[i] = isolate(name)
	}
	return strings.Join(isolated, ", ")
}

// Others are the languages that a person can switch to.
func (c Common) Others() []string {
	var others []string
	for _, tag := range Languages {
		if tag != c.Lang() {
			others = append(others, tag)
		}
	}
	return others
}

// Tongue is a language's name in that language.
func (c Common) Tongue(tag string) string { return c.frame.pages.languages[tag].messages["language"] }

// Say is what a permission means: our sentence for the scopes of OpenID
// Connect, else the API's, else its bare name.
func (c Common) Say(s ConsentScope) string {
	if text, ok := c.frame.language.messages["scope."+s.Name]; ok {
		return text
	}
	if s.Sentence != "" {
		return s.Sentence
	}
	return s.Name
}

// Trouble is the sentence of a fault; wait is how long until the next try.
func (c Common) Trouble(f Fault, wait time.Duration) (string, error) {
	span, err := c.Span(wait)
	if err != nil {
		return "", err
	}
	if wait > 0 && f == FaultTooMany {
		return c.T("fault.too-many-wait", "span", span)
	}
	return c.T("fault." + string(f))
}

// own are the permissions about the person, theirs those at the API; both leave
// out what is optional.
func own(all []ConsentScope) []ConsentScope {
	return pick(all, func(s ConsentScope) bool { return !s.Optional && slices.Contains(ownScopes, s.Name) })
}

func theirs(all []ConsentScope) []ConsentScope {
	return pick(all, func(s ConsentScope) bool { return !s.Optional && !slices.Contains(ownScopes, s.Name) })
}

func optional(all []ConsentScope) []ConsentScope {
	return pick(all, func(s ConsentScope) bool { return s.Optional })
}

func pick(all []ConsentScope, wanted func(ConsentScope) bool) []ConsentScope {
	return slices.DeleteFunc(slices.Clone(all), func(s ConsentScope) bool { return !wanted(s) })
}

// ownScopes are about the person or the grant, whatever the API.
var ownScopes = []string{"openid", "profile", "email", "address", "phone", "roles", "offline_access"}
