package attack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
)

// Change is one attack whose verdict differs between two reports.
type Change struct {
	ID       string           `json:"id"`
	Title    string           `json:"title"`
	Route    string           `json:"route"`
	Severity finding.Severity `json:"severity"`
	Old      Verdict          `json:"old"` // "" when the attack or the route is new
	New      Verdict          `json:"new"`
	Reason   string           `json:"reason"`
}

// Diff says what got worse, what got better and what else changed between two
// runs. The same attack is found again by its fingerprint.
type Diff struct {
	Worse  []Change `json:"worse"`
	Better []Change `json:"better"`
	Other  []Change `json:"other"`
}

// rank orders verdicts by how bad they are; what could not be measured is
// neither good nor bad.
var rank = map[Verdict]int{Resisted: 0, Suspect: 1, Vulnerable: 2}

// Compare compares two reports.
func Compare(before, after Report) Diff {
	d := Diff{Worse: []Change{}, Better: []Change{}, Other: []Change{}}
	was := map[string]Result{}
	for _, r := range before.Results {
		was[r.Fingerprint] = r
	}
	seen := map[string]bool{}
	for _, r := range after.Results {
		seen[r.Fingerprint] = true
		old, known := was[r.Fingerprint]
		if known && old.Verdict == r.Verdict && old.Severity == r.Severity {
			continue
		}
		d.sort(Change{r.ID, r.Title, r.Route, r.Severity, old.Verdict, r.Verdict, r.Reason}, known, old, r)
	}
	for _, r := range before.Results {
		if !seen[r.Fingerprint] && r.Verdict != Resisted {
			d.Other = append(d.Other, Change{r.ID, r.Title, r.Route, r.Severity, r.Verdict, "", "It is not in the new report."})
		}
	}
	return d
}

func (d *Diff) sort(c Change, known bool, old, next Result) {
	a, measuredBefore := rank[old.Verdict]
	b, measured := rank[next.Verdict]
	switch {
	case next.Verdict == Vulnerable && (!known || old.Verdict != Vulnerable), next.Verdict == Suspect && (!known || measuredBefore && a < b):
		d.Worse = append(d.Worse, c)
	case !known && next.Verdict != Vulnerable:
		d.Other = append(d.Other, c)
	case measured && measuredBefore && b < a:
		d.Better = append(d.Better, c)
	case old.Verdict == next.Verdict && next.Severity.AtLeast(old.Severity):
		d.Worse = append(d.Worse, c)
	case old.Verdict == next.Verdict:
		d.Better = append(d.Better, c)
	default:
		d.Other = append(d.Other, c)
	}
}

// ReadReport reads a JSON report.
func ReadReport(r io.Reader) (Report, error) {
	var report Report
	if err := json.NewDecoder(io.LimitReader(r, 64<<20)).Decode(&report); err != nil {
		return report, fmt.Errorf("it is no JSON report of gatehouse audit: %w", err)
	}
	if report.Schema != Schema {
		return report, fmt.Errorf("it is no report of the schema %s", Schema)
	}
	return report, nil
}

// ReadAccepted reads a baseline file: a fingerprint a line, and behind it why
// the finding is accepted. Empty lines and lines that begin with # say nothing.
func ReadAccepted(r io.Reader) (map[string]string, error) {
	accepted := map[string]string{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		print, note, _ := strings.Cut(line, " ")
		if len(print) != 16 || strings.Trim(print, "0123456789abcdef") != "" {
			return nil, fmt.Errorf("line %d does not begin with a fingerprint of 16 hexadecimal digits", n)
		}
		if note = strings.Trim(note, " #"); note == "" {
			note = "accepted"
		}
		accepted[print] = note
	}
	return accepted, lines.Err()
}
