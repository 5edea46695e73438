package targets_test

import (
	"os"
	"strings"
	"testing"
)

// authlib 1.6.5 takes the algorithm none where no algorithms are named
// (CVE-2026-28802), however the word is escaped (the escaped ones follow from T01).
func TestPythonLibraries(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct{ venv, rows string }{
		"authlib 1.6.5": {"python/venv", "T01"},
		"authlib fixed": {"python/venv-fixed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(tc.venv); err != nil {
				t.Fatal("the libraries are not there. Fetch them with: make -C e2e/targets libraries")
			}
			r, _ := w.audit(t, w.serve(t, tc.venv+"/bin/python", "python/server.py"), target{name: name})
			var got []string
			for _, one := range r.Results {
				if one.Verdict == "VULNERABLE" {
					got = append(got, one.ID)
				}
			}
			if strings.Join(got, " ") != tc.rows || !r.Targets[0].Measurable {
				t.Errorf("found %q, want %q (%s)", got, tc.rows, r.Targets[0].Reason)
			}
		})
	}
}
