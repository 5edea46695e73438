package attack

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
)

// Verdict is what an attack showed.
type Verdict string

const (
	Vulnerable  Verdict = "VULNERABLE"   // accepted, twice
	Suspect     Verdict = "SUSPECT"      // something differs that a person should look at
	Resisted    Verdict = "RESISTED"     // all of it refused
	NotTestable Verdict = "NOT_TESTABLE" // nothing can be said; the reason says why
)

// Schema names the form of the JSON report.
const Schema = "gatehouse-audit/1"

// Report is one run.
type Report struct {
	Schema      string         `json:"schema"`
	Tool        Tool           `json:"tool"`
	Started     time.Time      `json:"started"`
	Ended       time.Time      `json:"ended"`
	Permission  string         `json:"permission"` // "loopback", or that the user said so
	Targets     []TargetReport `json:"targets"`
	Results     []Result       `json:"results"`
	Summary     Summary        `json:"summary"`
	Interrupted bool           `json:"interrupted,omitempty"`
	Notes       []string       `json:"notes,omitempty"`
}

// Tool is what made the report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// TargetReport is what the baseline said about a route.
type TargetReport struct {
	Route      string   `json:"route"`
	Host       string   `json:"host"`
	Declared   string   `json:"declared,omitempty"`
	Measurable bool     `json:"measurable"`
	Reason     string   `json:"reason,omitempty"` // why it is not
	Baseline   Baseline `json:"baseline"`
	Requests   int64    `json:"requests"`
}

// Result is one attack on one route.
type Result struct {
	ID          string           `json:"id"`
	Title       string           `json:"title"`
	Verdict     Verdict          `json:"verdict"`
	Severity    finding.Severity `json:"severity"`
	Reason      string           `json:"reason"`
	Route       string           `json:"route"`
	Declared    string           `json:"declared,omitempty"`
	Sent        int              `json:"sent"`
	Evidence    []Evidence       `json:"evidence,omitempty"`
	References  []string         `json:"references,omitempty"`
	Why         string           `json:"why,omitempty"` // with findings only
	Fix         string           `json:"fix,omitempty"`
	Reproduce   string           `json:"reproduce,omitempty"`
	Fingerprint string           `json:"fingerprint"`
	Accepted    string           `json:"accepted,omitempty"` // by the baseline file: the note there
}

// Evidence is one request that was not refused.
type Evidence struct {
	Name   string `json:"name"`
	Title  string `json:"title"`
	Answer string `json:"answer"`
}

// Summary counts the results.
type Summary struct {
	Vulnerable  int              `json:"vulnerable"`
	Suspect     int              `json:"suspect"`
	Resisted    int              `json:"resisted"`
	NotTestable int              `json:"not_testable"`
	Accepted    int              `json:"accepted"` // vulnerable, and in the baseline file
	Worst       finding.Severity `json:"worst,omitempty"`
}

// Finding tells whether a result is something to act on.
func (r Result) Finding() bool { return r.Verdict == Vulnerable && r.Accepted == "" }

// fingerprint names a finding for as long as row, method, host and path are the
// same. The port is left out: on one machine it changes with every start.
func fingerprint(id string, t Target) string {
	host, path := "", ""
	if u, err := url.Parse(t.URL); err == nil {
		host, path = u.Hostname(), u.EscapedPath()
	}
	digest := sha256.Sum256([]byte(id + "\n" + t.method() + "\n" + host + "\n" + path))
	return hex.EncodeToString(digest[:8])
}

// conclude counts, after the last result is in.
func (r *Report) conclude() {
	r.Summary = Summary{}
	for _, one := range r.Results {
		switch one.Verdict {
		case Vulnerable:
			r.Summary.Vulnerable++
			if one.Accepted != "" {
				r.Summary.Accepted++
			} else if r.Summary.Worst == "" || one.Severity.AtLeast(r.Summary.Worst) {
				r.Summary.Worst = one.Severity
			}
		case Suspect:
			r.Summary.Suspect++
		case Resisted:
			r.Summary.Resisted++
		case NotTestable:
			r.Summary.NotTestable++
		}
	}
}

// FailsAt tells whether there is a finding of that severity or worse.
func (r Report) FailsAt(least finding.Severity) bool {
	return slices.ContainsFunc(r.Results, func(one Result) bool { return one.Finding() && one.Severity.AtLeast(least) })
}

// Measured tells whether anything was: a route whose answers depend on the token.
func (r Report) Measured() bool {
	return slices.ContainsFunc(r.Targets, func(t TargetReport) bool { return t.Measurable })
}

// Findings are the results to act on, the worst first.
func (r Report) Findings() []Result {
	return r.of(func(one Result) bool { return one.Finding() })
}

func (r Report) of(kind func(Result) bool) []Result {
	var list []Result
	for _, one := range r.Results {
		if kind(one) {
			list = append(list, one)
		}
	}
	slices.SortStableFunc(list, func(a, b Result) int {
		if a.Severity == b.Severity {
			return cmp.Compare(a.ID, b.ID)
		}
		if a.Severity.AtLeast(b.Severity) {
			return -1
		}
		return 1
	})
	return list
}

// Join makes one report of several.
func Join(reports ...Report) Report {
	whole := Report{Schema: Schema, Results: []Result{}}
	for i, r := range reports {
		if i == 0 {
			whole.Tool, whole.Started, whole.Permission = r.Tool, r.Started, r.Permission
		}
		whole.Ended = r.Ended
		whole.Targets = append(whole.Targets, r.Targets...)
		whole.Results = append(whole.Results, r.Results...)
		whole.Notes = append(whole.Notes, r.Notes...)
		whole.Interrupted = whole.Interrupted || r.Interrupted
	}
	whole.conclude()
	return whole
}
