package finding_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
)

// T01–T83 are the numbers of the catalogue of attacks; the gaps are free.
func TestEveryAttackHasARow(t *testing.T) {
	for _, span := range [][2]int{{1, 18}, {20, 40}, {50, 63}, {70, 83}} {
		for n := span[0]; n <= span[1]; n++ {
			if _, ok := finding.Find(fmt.Sprintf("T%02d", n)); !ok {
				t.Errorf("T%02d has no row", n)
			}
		}
	}
	if _, ok := finding.Find("T19"); ok {
		t.Error("T19 is no attack of the catalogue")
	}
}

func TestRowsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range finding.Table {
		t.Run(f.ID, func(t *testing.T) {
			if seen[f.ID] {
				t.Error("the id is given twice")
			}
			seen[f.ID] = true
			if _, err := finding.ParseSeverity(string(f.Severity)); err != nil {
				t.Error(err)
			}
			if f.Title == "" || strings.HasSuffix(f.Title, ".") {
				t.Errorf("title %q: a few words, no full stop", f.Title)
			}
			for _, sentence := range []string{f.Why, f.Fix} {
				if !strings.HasSuffix(sentence, ".") && !strings.HasSuffix(sentence, ").") {
					t.Errorf("%q is no sentence", sentence)
				}
			}
			if f.CWE == 0 && f.Severity != finding.Info {
				t.Error("a weakness has a CWE number")
			}
			if len(f.References()) == 0 {
				t.Error("no reference")
			}
		})
	}
}

func TestReferences(t *testing.T) {
	f, _ := finding.Find("T05")
	want := []string{"RFC 8725 §2.1 (BCP 225)", "RFC 8725 §3.1 (BCP 225)", "OWASP ASVS 5.0 V9.1.2", "CWE-347"}
	if got := f.References(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSeverityOrder(t *testing.T) {
	order := []finding.Severity{finding.Info, finding.Low, finding.Medium, finding.High, finding.Critical}
	for i, a := range order {
		for j, b := range order {
			if got := a.AtLeast(b); got != (i >= j) {
				t.Errorf("%s at least %s: %v", a, b, got)
			}
		}
	}
	if _, err := finding.ParseSeverity("severe"); err == nil {
		t.Error("an unknown severity was taken")
	}
}
