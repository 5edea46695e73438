package finding

import (
	"fmt"
	"slices"
	"strings"
)

// Severity says how bad a finding is.
type Severity string

const (
	Critical Severity = "critical" // anybody can be anybody
	High     Severity = "high"     // some token of somebody opens more than it should
	Medium   Severity = "medium"   // a check is missing that another one may cover
	Low      Severity = "low"      // a lax reading without a known abuse
	Info     Severity = "info"     // worth knowing, no fault by itself
)

// severities from below.
var severities = []Severity{Info, Low, Medium, High, Critical}

// ParseSeverity reads the name of a severity.
func ParseSeverity(name string) (Severity, error) {
	if s := Severity(name); slices.Contains(severities, s) {
		return s, nil
	}
	return "", fmt.Errorf("severity %q is none of info, low, medium, high, critical", name)
}

// AtLeast tells whether s is as bad as other, or worse.
func (s Severity) AtLeast(other Severity) bool {
	return slices.Index(severities, s) >= slices.Index(severities, other)
}

// Finding is one row of the table.
type Finding struct {
	ID       string
	Title    string
	Severity Severity // at its worst; a report may have reason to say less
	Why      string   // why it matters, in a sentence or two
	Fix      string   // what to do, in a sentence
	RFC      string   // such as "RFC 8725 §3.1"; several are joined by ", "
	ASVS     string   // requirement of OWASP ASVS 5.0.0, such as "9.1.2"; "" where none fits
	CWE      int      // number of the weakness
}

// Find returns the row of an id.
func Find(id string) (Finding, bool) {
	for _, f := range Table {
		if f.ID == id {
			return f, true
		}
	}
	return Finding{}, false
}

// bestPractice are the RFCs that are also a Best Current Practice.
var bestPractice = map[string]string{"RFC 8725": "BCP 225", "RFC 9700": "BCP 240"}

// References are the row's sources as a report prints them.
func (f Finding) References() []string {
	var list []string
	for rfc := range strings.SplitSeq(f.RFC, ", ") {
		if rfc == "" {
			continue
		}
		for name, bcp := range bestPractice {
			if strings.HasPrefix(rfc, name) {
				rfc += " (" + bcp + ")"
			}
		}
		list = append(list, rfc)
	}
	if f.ASVS != "" {
		list = append(list, "OWASP ASVS 5.0 V"+f.ASVS)
	}
	if f.CWE != 0 {
		list = append(list, fmt.Sprintf("CWE-%d", f.CWE))
	}
	return list
}
