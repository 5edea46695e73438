package main

import (
	"os"
	"strings"
	"testing"
)

// page shows the matrix.
const page = "docs/reference/differential.md"

// Ours is right about every token, accepts only what all others accept, and
// the page says what is true of these versions.
func TestOursAcceptsOnlyWhatAllAccept(t *testing.T) {
	r, err := run()
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range r.faults() {
		t.Error(fault)
	}
	if len(r.samples) < 2300 || len(r.classes()) < 45 {
		t.Errorf("only %d tokens in %d classes", len(r.samples), len(r.classes()))
	}
	ids := map[string]bool{}
	for _, s := range r.samples {
		if ids[s.id] {
			t.Errorf("%s is there twice", s.id)
		}
		ids[s.id] = true
	}
	content, err := os.ReadFile(root(page))
	if err != nil {
		t.Fatal(err)
	}
	if matrix := r.matrix(); !strings.Contains(string(content), matrix) {
		t.Errorf("%s is out of date; make differential prints:\n%s", page, matrix)
	}
}

// A library that is wrong is found out: the libraries are their own proof that
// the comparison can fail.
func TestTheComparisonFindsFaults(t *testing.T) {
	all := libraries
	defer func() { libraries = all }()
	libraries = []library{all[1], all[0], all[2], all[3]} // golang-jwt in our place
	r, err := run()
	if err != nil {
		t.Fatal(err)
	}
	faults := strings.Join(r.faults(), "\n")
	for _, want := range []string{"T27 crit-unknown (ES256): must be refused", "Wycheproof tcId 281: must be refused", "accepted by Gatehouse, refused by go-jose"} {
		if !strings.Contains(faults, want) {
			t.Errorf("%q is not among the faults", want)
		}
	}
}
