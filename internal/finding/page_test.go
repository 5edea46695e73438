package finding_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
)

// page is where people look up what a token shows.
const page = "../../docs/reference/inspect.md"

func TestThePageHasEveryFindingOfATokenAndAnAnswer(t *testing.T) {
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range finding.Table {
		if f.ID[0] != 'J' && f.ID[0] != 'P' {
			continue
		}
		if line := fmt.Sprintf("| %s | %s | %s | %s |\n", f.ID, f.Title, f.Severity, f.Fix); !strings.Contains(string(content), line) {
			t.Errorf("%s lacks the line\n%s", page, line)
		}
	}
}
