package policy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// The policy of the guide loads, its tests pass, and they come to every route.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/guides/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(text), "```yaml\n")[1:] {
		blocks = append(blocks, part[:strings.Index(part, "```")])
	}
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of YAML, want a policy and its tests", len(blocks))
	}
	p := parse(t, blocks[0])
	tests, err := policy.ParseTests("policy.test.yaml", []byte(blocks[1]))
	if err != nil {
		t.Fatal(err)
	}
	var results []policy.Result
	for _, e := range tests {
		r := p.Check(e, noon)
		if r.Fault != "" {
			t.Errorf("line %d: %s: %s", e.Line, e, r.Fault)
		}
		results = append(results, r)
	}
	if bare := p.Untouched(results); len(bare) > 0 {
		t.Errorf("no test comes to %v", bare)
	}
}

// The reference names every word that a policy and a route may have.
func TestReferenceNamesEveryWord(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, err = policy.Parse("p.yaml", []byte(head+"x: 1\nroutes:\n- GET /a: { x: 1 }\n"))
	if err == nil {
		t.Fatal("an unknown word is accepted")
	}
	words := 0
	for line := range strings.Lines(err.Error()) {
		_, list, ok := strings.Cut(strings.TrimSpace(line), "It has: ")
		if !ok {
			continue
		}
		for word := range strings.SplitSeq(list, ", ") {
			words++
			if !strings.Contains(string(text), "`"+word) {
				t.Errorf("the reference lacks %q", word)
			}
		}
	}
	if words < 20 {
		t.Errorf("%d words: the faults no longer list them", words)
	}
}
