package attack

import (
	"encoding/json"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
)

// The part of SARIF 2.1.0 (OASIS) that code-scanning services read.
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Invocations []sarifInvocation `json:"invocations"`
	Results     []sarifResult     `json:"results"`
	ColumnKind  string            `json:"columnKind"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name            string      `json:"name"`
	Version         string      `json:"version,omitempty"`
	SemanticVersion string      `json:"semanticVersion,omitempty"`
	Rules           []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID               string          `json:"id"`
	Name             string          `json:"name"`
	ShortDescription sarifText       `json:"shortDescription"`
	FullDescription  sarifText       `json:"fullDescription"`
	Help             sarifHelp       `json:"help"`
	Default          sarifDefault    `json:"defaultConfiguration"`
	Properties       sarifProperties `json:"properties"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifHelp struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown"`
}

type sarifDefault struct {
	Level string `json:"level"`
}

type sarifProperties struct {
	Tags     []string `json:"tags"`
	Severity string   `json:"security-severity,omitempty"`
}

type sarifInvocation struct {
	Successful bool   `json:"executionSuccessful"`
	Start      string `json:"startTimeUtc"`
	End        string `json:"endTimeUtc"`
}

type sarifPlace struct {
	URI string `json:"uri"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Kind         string             `json:"kind"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations"`
	Fingerprints map[string]string  `json:"partialFingerprints"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Justification string `json:"justification"`
}

type sarifLocation struct {
	Physical sarifPhysical  `json:"physicalLocation"`
	Logical  []sarifLogical `json:"logicalLocations"`
}

type sarifPhysical struct {
	Artifact sarifPlace  `json:"artifactLocation"`
	Region   sarifRegion `json:"region"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

type sarifLogical struct {
	Name string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

// level and score are what services sort by.
var (
	level = map[finding.Severity]string{finding.Critical: "error", finding.High: "error", finding.Medium: "warning", finding.Low: "note", finding.Info: "note"}
	score = map[finding.Severity]string{finding.Critical: "9.5", finding.High: "8.0", finding.Medium: "5.5", finding.Low: "3.0", finding.Info: "0.0"}
)

// sarif writes findings and suspicions: what was refused is no result there.
func (r Report) sarif(w io.Writer) error {
	driver := sarifDriver{Name: "Gatehouse audit", Version: r.Tool.Version, Rules: []sarifRule{}}
	index := map[string]int{}
	for _, row := range Rows() {
		index[row.ID] = len(driver.Rules)
		driver.Rules = append(driver.Rules, rule(row))
	}
	run := sarifRun{Tool: sarifTool{driver}, ColumnKind: "utf16CodeUnits", Results: []sarifResult{},
		Invocations: []sarifInvocation{{Successful: !r.Interrupted, Start: r.Started.Format("2006-01-02T15:04:05.000Z"), End: r.Ended.Format("2006-01-02T15:04:05.000Z")}}}
	for _, one := range r.Results {
		if one.Verdict != Vulnerable && one.Verdict != Suspect {
			continue
		}
		result := sarifResult{RuleID: one.ID, RuleIndex: index[one.ID], Kind: "fail", Level: level[one.Severity], Message: sarifText{unlinked(one.Route + ": " + one.Reason)},
			Locations:    []sarifLocation{location(one)},
			Fingerprints: map[string]string{"gatehouseAudit/v1": one.Fingerprint}}
		if one.Verdict == Suspect {
			result.Kind, result.Level = "review", "none"
		}
		if one.Accepted != "" {
			result.Suppressions = []sarifSuppression{{Kind: "external", Justification: one.Accepted}}
		}
		run.Results = append(run.Results, result)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func rule(row finding.Finding) sarifRule {
	references := strings.Join(row.References(), ", ")
	tags := []string{"security"}
	if row.CWE != 0 {
		tags = append(tags, "external/cwe/cwe-"+strconv.Itoa(row.CWE))
	}
	return sarifRule{
		ID: row.ID, Name: name(row.Title), ShortDescription: sarifText{row.Title}, FullDescription: sarifText{row.Why},
		Help:    sarifHelp{Text: row.Why + " " + row.Fix + " See " + references + ".", Markdown: row.Why + "\n\n**Fix.** " + row.Fix + "\n\n" + references},
		Default: sarifDefault{level[row.Severity]}, Properties: sarifProperties{Tags: tags, Severity: score[row.Severity]},
	}
}

// unlinked keeps text from being read as an embedded link (SARIF 2.1.0 §3.11.6).
func unlinked(text string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace(text)
}

// name is a title as an identifier.
func name(title string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(title, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// location is the line of the OpenAPI document that declares the route, or a
// file name that stands for the route: services ask for some file.
func location(one Result) sarifLocation {
	place, line := "", 1
	if file, number, ok := cutLast(one.Declared, ":"); ok {
		place = (&url.URL{Path: file}).String()
		line, _ = strconv.Atoi(number)
	}
	if place == "" {
		_, address, _ := strings.Cut(one.Route, " ")
		u, err := url.Parse(address)
		if err == nil {
			place = strings.Trim(u.Hostname()+u.EscapedPath(), "/")
		}
	}
	return sarifLocation{Physical: sarifPhysical{Artifact: sarifPlace{place}, Region: sarifRegion{max(line, 1)}}, Logical: []sarifLogical{{Name: one.Route, Kind: "resource"}}}
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
