package page

import (
	"html"
	"regexp"
	"slices"
	"strings"
)

// tag is a start tag of a page, its attributes by lowercase name.
type tag struct {
	name       string
	attributes map[string]string
}

var (
	startTag  = regexp.MustCompile(`<([a-zA-Z][a-zA-Z0-9-]*)((?:\s+[^\s=>"'/]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))?)*)\s*/?>`)
	attribute = regexp.MustCompile(`([^\s=>"'/]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?`)
	comment   = regexp.MustCompile(`(?s)<!--.*?-->`)
)

// tags of a page that html/template made, which has no stray brackets in it.
func tags(body string) []tag {
	var all []tag
	for _, match := range startTag.FindAllStringSubmatch(comment.ReplaceAllString(body, ""), -1) {
		t := tag{name: strings.ToLower(match[1]), attributes: map[string]string{}}
		for _, a := range attribute.FindAllStringSubmatch(match[2], -1) {
			t.attributes[strings.ToLower(a[1])] = html.UnescapeString(strings.Trim(a[2], `"'`))
		}
		all = append(all, t)
	}
	return all
}

// parts are what a page works by: where its forms post to, the fields that they
// post, where its links lead.
func parts(body string) []string {
	var all []string
	form := ""
	for _, t := range tags(body) {
		name := t.attributes["name"]
		switch {
		case t.name == "form":
			form = "the form that posts to " + t.attributes["action"]
			all = append(all, form)
		case t.name == "button" && name != "" && name != "language":
			all = append(all, "the button "+name+"="+t.attributes["value"]+" of "+form)
		case (t.name == "input" || t.name == "select" || t.name == "textarea") && name != "":
			all = append(all, "the field "+name+" of "+form)
		case t.name == "a":
			all = append(all, "a link to "+t.attributes["href"])
		}
	}
	return all
}

// review is what is wrong with a page whatever it says: what the policy blocks,
// and what a screen reader cannot follow.
func review(body string) []string {
	var faults []string
	all := tags(body)
	ids, labels := map[string]int{}, map[string]bool{}
	for _, t := range all {
		if id, has := t.attributes["id"]; has {
			ids[id]++
		}
		if t.name == "label" {
			labels[t.attributes["for"]] = true
		}
	}
	for id, n := range ids {
		if n > 1 {
			faults = append(faults, "has the id "+id+" twice")
		}
	}
	for _, t := range all {
		faults = append(faults, t.blocked()...)
		if t.typed() && !labels[t.attributes["id"]] {
			faults = append(faults, "has no label for the field "+t.attributes["name"])
		}
		for _, reference := range []string{"for", "aria-describedby", "aria-labelledby", "aria-controls"} {
			for id := range strings.FieldsSeq(t.attributes[reference]) {
				if ids[id] == 0 {
					faults = append(faults, reference+" names the id "+id+", which is not on the page")
				}
			}
		}
	}
	slices.Sort(faults)
	return slices.Compact(faults)
}

// blocked is what the policy of the pages forbids.
func (t tag) blocked() []string {
	var faults []string
	if t.name == "style" || t.name == "iframe" || t.name == "object" || t.name == "embed" || t.name == "base" {
		faults = append(faults, "has <"+t.name+">, which the policy of the pages blocks")
	}
	if t.name == "script" && !strings.HasPrefix(t.attributes["src"], "/assets/") {
		faults = append(faults, "has a script of its own, which the policy of the pages blocks")
	}
	for name, value := range t.attributes {
		switch {
		case name == "style" || strings.HasPrefix(name, "on"):
			faults = append(faults, "has "+name+"=, which the policy of the pages blocks; use "+customSheet)
		case name == "src" || name == "srcset" || t.name == "link" && name == "href":
			if !strings.HasPrefix(value, "/") || strings.HasPrefix(value, "//") {
				faults = append(faults, "fetches "+value+", and the pages fetch nothing from elsewhere")
			}
		}
	}
	return faults
}

// typed tells whether a person types into it.
func (t tag) typed() bool {
	if t.name == "select" || t.name == "textarea" {
		return true
	}
	return t.name == "input" && !slices.Contains([]string{"hidden", "checkbox", "radio", "submit", "button"}, t.attributes["type"])
}
