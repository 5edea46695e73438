package forge

import "github.com/gatehouse-auth/gatehouse/internal/finding"

// Severity says how bad it is to accept a token of a row.
type Severity = finding.Severity

const (
	Critical = finding.Critical
	High     = finding.High
	Medium   = finding.Medium
	Low      = finding.Low
)

// Row is one kind of forged token, by the number that Gatehouse gives it
// everywhere; its words are those of the finding.
type Row struct {
	ID       string
	Title    string
	Severity Severity
	Fix      string // for who accepts a token of this row, one sentence
	// Without says why no token of this row is made here; "" where some are.
	Without string
}

// Find returns the row of an id.
func Find(id string) (Row, bool) {
	for _, r := range Catalogue {
		if r.ID == id {
			return r, true
		}
	}
	return Row{}, false
}

// ids of the rows, in order.
var ids = []string{
	"T01", "T02", "T03", "T04", "T05", "T06", "T07", "T08", "T09", "T10", "T11", "T12", "T13", "T14", "T15", "T16", "T17", "T18",
	"T20", "T21", "T22", "T23", "T24", "T25", "T26", "T27", "T28", "T29", "T30",
	"T31", "T32", "T33", "T34", "T35", "T36", "T37", "T38", "T39", "T40",
	"T50", "T51", "T52", "T53", "T54", "T55", "T56", "T57", "T58", "T59", "T60", "T61", "T62", "T63", "C9",
}

// without are the rows that no token is made for, and why.
var without = map[string]string{
	"T06": "The tokens are those of T05: recovering the key from two signatures only matters where it is not published.",
	"T40": "These probe how an API decrypts: their tell is timing and error texts over many requests, not one acceptance.",
	"T57": "Only the issuer can prevent it: the token is a genuine one.",
	"T59": "It needs one of the rows above to get past the signature.",
	"T60": "The token is a genuine one; what an API does with a name it has to test with its own accounts.",
	"T61": "Access tokens may be used more than once; one-time tokens are spent at the authority, whose own tests replay them.",
	"T62": "It takes a real logout in between.",
}

// Catalogue is every kind of token that an API can be sent, in order.
var Catalogue = catalogue()

func catalogue() []Row {
	rows := make([]Row, len(ids))
	for i, id := range ids {
		f, _ := finding.Find(id) // that each id has a finding is tested
		rows[i] = Row{ID: id, Title: f.Title, Severity: f.Severity, Fix: f.Fix, Without: without[id]}
	}
	return rows
}
