package attack

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
)

// Formats are the names of the forms that a report can have.
var Formats = []string{"terminal", "json", "sarif", "junit", "html", "md"}

// Write writes a report in a form. colour is for terminals.
func (r Report) Write(w io.Writer, format string, colour bool) error {
	r = r.clean()
	switch format {
	case "terminal":
		return r.terminal(w, colour)
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(r)
	case "sarif":
		return r.sarif(w)
	case "junit":
		return r.junit(w)
	case "html":
		return r.html(w)
	case "md":
		return r.markdown(w)
	}
	return fmt.Errorf("there is no format %q: use one of %s", format, strings.Join(Formats, ", "))
}

// headline is the whole report in a line.
func (r Report) headline() string {
	s := r.Summary
	text := fmt.Sprintf("%d vulnerable, %d suspect, %d resisted, %d not testable", s.Vulnerable, s.Suspect, s.Resisted, s.NotTestable)
	if s.Accepted > 0 {
		text += fmt.Sprintf("; %d of the vulnerable are accepted by the baseline file", s.Accepted)
	}
	if r.Interrupted {
		text += "; interrupted, so this is a part"
	}
	return text
}

// The colours of a terminal, by severity.
var colours = map[finding.Severity]string{finding.Critical: "\x1b[1;31m", finding.High: "\x1b[31m", finding.Medium: "\x1b[33m", finding.Low: "\x1b[36m", finding.Info: "\x1b[2m"}

func (r Report) terminal(w io.Writer, colour bool) error {
	var b strings.Builder
	paint := func(code, text string) string {
		if !colour {
			return text
		}
		return code + text + "\x1b[0m"
	}
	for _, t := range r.Targets {
		fmt.Fprintf(&b, "%s   %d requests\n", t.Route, t.Requests)
		if t.Measurable {
			fmt.Fprintf(&b, "  baseline: valid token %d, none %d, garbage %d, broken signature %d\n", t.Baseline.Valid, t.Baseline.None, t.Baseline.Garbage, t.Baseline.Flipped)
		} else {
			fmt.Fprintf(&b, "  %s %s\n", paint("\x1b[33m", "NOT TESTABLE"), t.Reason)
		}
	}
	for _, f := range r.Findings() {
		fmt.Fprintf(&b, "\n%s  %s  %s\n", paint(colours[f.Severity], strings.ToUpper(string(f.Severity))), f.ID, f.Title)
		if len(r.Targets) > 1 {
			fmt.Fprintf(&b, "  route    %s\n", f.Route)
		}
		fmt.Fprintf(&b, "  seen     %s\n", f.Reason)
		fmt.Fprintf(&b, "  why      %s\n  fix      %s\n  read     %s\n  repeat   %s\n  known?   %s\n", f.Why, f.Fix, strings.Join(f.References, ", "), f.Reproduce, f.Fingerprint)
	}
	for _, v := range []struct {
		kind  Verdict
		title string
	}{{Suspect, "Suspect: look at it by hand"}, {NotTestable, "Not testable"}} {
		list := r.of(func(one Result) bool { return one.Verdict == v.kind })
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", v.title)
		for _, group := range byReason(list) {
			fmt.Fprintf(&b, "  %s  %s\n", strings.Join(group.ids, " "), group.reason)
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", note)
	}
	code := "\x1b[32m"
	if r.Summary.Worst != "" {
		code = colours[r.Summary.Worst]
	}
	fmt.Fprintf(&b, "\n%s\n", paint(code, r.headline()))
	if r.Permission != "loopback" {
		fmt.Fprintf(&b, "Permission: %s.\n", r.Permission)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type group struct {
	ids    []string
	reason string
}

// byReason puts results with the same reason together, so that thirty lines
// about a missing key are one.
func byReason(list []Result) []group {
	var groups []group
	at := map[string]int{}
	for _, r := range list {
		i, ok := at[r.Reason]
		if !ok {
			i = len(groups)
			at[r.Reason] = i
			groups = append(groups, group{reason: r.Reason})
		}
		if !slices.Contains(groups[i].ids, r.ID) {
			groups[i].ids = append(groups[i].ids, r.ID)
		}
	}
	return groups
}

// JUnit, as Jenkins and GitLab read it: passed ones too.
type testsuites struct {
	XMLName xml.Name    `xml:"testsuites"`
	Name    string      `xml:"name,attr"`
	Suites  []testsuite `xml:"testsuite"`
}

type testsuite struct {
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Time     string     `xml:"time,attr"`
	Stamp    string     `xml:"timestamp,attr"`
	Cases    []testcase `xml:"testcase"`
}

type testcase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Time    string   `xml:"time,attr"`
	Failure *message `xml:"failure"`
	Skipped *message `xml:"skipped"`
	Out     string   `xml:"system-out,omitempty"`
}

type message struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

func (r Report) junit(w io.Writer) error {
	all := testsuites{Name: "gatehouse audit"}
	took := fmt.Sprintf("%.3f", r.Ended.Sub(r.Started).Seconds())
	for i, t := range r.Targets {
		suite := testsuite{Name: t.Route, Stamp: r.Started.Format("2006-01-02T15:04:05"), Time: "0"}
		if i == 0 {
			suite.Time = took
		}
		for _, one := range r.Results {
			if one.Route != t.Route {
				continue
			}
			c := testcase{Class: t.Route, Name: one.ID + " " + one.Title, Time: "0"}
			suite.Tests++
			switch {
			case one.Finding():
				suite.Failures++
				c.Failure = &message{Message: one.Reason, Type: string(one.Severity), Text: one.Why + "\n" + one.Fix + "\n" + one.Reproduce}
			case one.Verdict == NotTestable:
				suite.Skipped++
				c.Skipped = &message{Message: one.Reason}
			default:
				c.Out = string(one.Verdict) + ": " + one.Reason
			}
			suite.Cases = append(suite.Cases, c)
		}
		all.Suites = append(all.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (r Report) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Audit\n\n%s.\n\n", r.headline())
	b.WriteString("| route | baseline: valid, none, garbage, broken | requests | |\n|---|---|---|---|\n")
	for _, t := range r.Targets {
		fmt.Fprintf(&b, "| `%s` | %d, %d, %d, %d | %d | %s |\n", cell(t.Route), t.Baseline.Valid, t.Baseline.None, t.Baseline.Garbage, t.Baseline.Flipped, t.Requests, cell(t.Reason))
	}
	for _, f := range r.Findings() {
		fmt.Fprintf(&b, "\n## %s %s (%s)\n\n`%s`\n\n%s\n\n- **Why.** %s\n- **Fix.** %s\n- **Read.** %s\n- **Repeat.** `%s`\n- **Fingerprint.** `%s`\n", f.ID, f.Title, f.Severity, f.Route, cell(f.Reason), f.Why, f.Fix, strings.Join(f.References, ", "), strings.ReplaceAll(f.Reproduce, "`", "'"), f.Fingerprint)
	}
	b.WriteString("\n## All attacks\n\n| id | attack | verdict | severity | reason |\n|---|---|---|---|---|\n")
	for _, one := range r.Results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", one.ID, cell(one.Title), one.Verdict, one.Severity, cell(one.Reason))
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", cell(note))
	}
	fmt.Fprintf(&b, "\nPermission: %s. %s, %s to %s.\n", r.Permission, r.Tool.Name+" "+r.Tool.Version, r.Started.Format("2006-01-02 15:04:05"), r.Ended.Format("15:04:05 UTC"))
	_, err := io.WriteString(w, b.String())
	return err
}

// cell keeps text inside a cell of a table, and keeps Markdown out of it: a
// target could put links and pictures of its own into the report.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", "&", "&amp;", "`", "'", "[", `\[`, "]", `\]`, "*", `\*`, "!", `\!`).Replace(text)
}
