package inspect

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// DiffSchema names the form of a Difference as JSON.
const DiffSchema = "token-diff/1"

// Change is one name that two tokens do not have alike.
type Change struct {
	Where  string `json:"where"` // header or payload
	Name   string `json:"name"`
	Before string `json:"before,omitempty"` // masked like the values of a Report; "" absent
	After  string `json:"after,omitempty"`
	Note   string `json:"note,omitempty"`
}

// Difference is what changed from one token to another.
type Difference struct {
	Schema   string   `json:"schema"`
	Before   Report   `json:"before"`
	After    Report   `json:"after"`
	Changes  []Change `json:"changes"`
	Same     []string `json:"same"`     // names that are equal, header first
	Appeared []string `json:"appeared"` // findings of the second only
	Gone     []string `json:"gone"`     // findings of the first only
}

// Diff compares two tokens.
func Diff(before, after string, o Options) Difference {
	d := Difference{Schema: DiffSchema, Before: Inspect(before, o), After: Inspect(after, o), Changes: []Change{}, Same: []string{}}
	a, b := parse(d.Before.Found.Text), parse(d.After.Found.Text)
	d.compare("header", a.header, b.header, o)
	d.compare("payload", a.payload, b.payload, o)
	d.Appeared, d.Gone = missing(d.After, d.Before), missing(d.Before, d.After)
	return d
}

func (d *Difference) compare(where string, a, b part, o Options) {
	var names []string
	for _, m := range append(slices.Clone(a.members), b.members...) {
		if !slices.Contains(names, m.name) {
			names = append(names, m.name)
		}
	}
	for _, name := range names {
		before, after := a.raw(name), b.raw(name)
		if equal(before, after) {
			d.Same = append(d.Same, printable(name))
			continue
		}
		c := Change{Where: where, Name: printable(name), Note: shift(name, before, after)}
		masked := false
		if before != nil {
			c.Before, masked = show(name, before, o.Reveal)
		}
		if after != nil {
			c.After, masked = show(name, after, o.Reveal)
		}
		if masked && before != nil && after != nil {
			c.Note = "differs"
		}
		d.Changes = append(d.Changes, c)
	}
}

// equal compares JSON values, whatever the white space in them.
func equal(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	if a == nil || b == nil || json.Compact(&x, a) != nil || json.Compact(&y, b) != nil {
		return a == nil && b == nil
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}

// shift says by how much a date moved.
func shift(name string, before, after json.RawMessage) string {
	var from, to float64
	if times[name] == "" || json.Unmarshal(before, &from) != nil || json.Unmarshal(after, &to) != nil {
		return ""
	}
	moved := time.Duration(to-from) * time.Second
	if moved < 0 {
		return span(-moved) + " earlier"
	}
	return span(moved) + " later"
}

// missing are the findings of r that other does not have.
func missing(r, other Report) []string {
	ids := []string{}
	for _, f := range r.Findings {
		has := slices.ContainsFunc(other.Findings, func(o Finding) bool { return o.Fingerprint == f.Fingerprint })
		if !has {
			ids = append(ids, f.ID)
		}
	}
	return ids
}
