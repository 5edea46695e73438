package attack

import (
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
)

func findRow(id string) (finding.Finding, bool) { return finding.Find(id) }

// reproduce is a command for a finding, with placeholders where tokens and
// other secrets go. The forged token itself is made again by the auditor.
func reproduce(t Target, result Result) string {
	var b strings.Builder
	name := result.ID
	if len(result.Evidence) > 0 && result.Evidence[0].Name != "seen" && result.Evidence[0].Name != "callback" {
		name = result.Evidence[0].Name
	}
	b.WriteString("curl -i -X " + t.method())
	for _, header := range slices.Sorted(maps.Keys(t.Headers)) {
		b.WriteString(" -H " + quoted(header+": $"+strings.ToUpper(strings.ReplaceAll(header, "-", "_"))))
	}
	switch {
	case result.ID[0] == 'P' || result.ID[0] == 'J' || result.ID == "T70" || result.ID == "T71" || result.ID == "T72":
		b.WriteString(carried(t, "$TOKEN"))
	case result.ID >= "T73" && result.ID <= "T78" && result.ID[0] == 'T':
	default:
		b.WriteString(carried(t, "$FORGED_TOKEN"))
	}
	if t.Body != "" {
		b.WriteString(" --data-binary @BODY")
	}
	b.WriteString(" " + quoted(bare(t.URL)))
	b.WriteString("   # or: gatehouse audit " + quoted(bare(t.URL)) + " --token @FILE --only " + name)
	return b.String()
}

func carried(t Target, placeholder string) string {
	if t.Field != "" {
		return " --data-urlencode \"" + t.Field + "=" + placeholder + "\""
	}
	if t.Cookie != "" {
		return " -b \"" + t.Cookie + "=" + placeholder + "\""
	}
	return " -H \"Authorization: Bearer " + placeholder + "\""
}

// quoted is text for a shell: single quotes where a variable is not meant.
func quoted(s string) string {
	if strings.Contains(s, ": $") {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
