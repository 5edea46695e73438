package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

func (a *app) policyDiff() *cobra.Command {
	var log string
	c := &cobra.Command{
		Use:   "diff OLD NEW --log FILE",
		Short: "Show what another policy would have done to recorded requests",
		Long: `Ask two policies about every request of a decision log, as the gateway writes it,
and show who would lose or gain which route. Every request is judged at the time
at which it was made.

Exit code 3 when somebody would lose something.`,
		Example: `  gatehouse policy diff policy.yaml new.yaml --log decisions.ndjson
  zcat decisions.ndjson.gz | gatehouse policy diff policy.yaml new.yaml --log - --json`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return a.diffPolicies(args[0], args[1], log) },
	}
	c.Flags().StringVar(&log, "log", "", "the decision log, one JSON record a line; - is the input")
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	if err := c.MarkFlagRequired("log"); err != nil {
		panic(err)
	}
	return c
}

func (a *app) diffPolicies(before, after, log string) error {
	from, err := a.loadPolicy(before)
	if err != nil {
		return err
	}
	to, err := a.loadPolicy(after)
	if err != nil {
		return err
	}
	d := policy.NewDiff(from, to)
	if err := a.eachRecord(log, d.Add); err != nil {
		return err
	}
	changes := d.Changes()
	if a.json {
		err = a.printJSON(map[string]any{"records": d.Records, "changes": changes})
	} else {
		a.printChanges(d.Records, changes)
	}
	if err == nil && len(changes) > 0 && changes[0].Kind == policy.Lose {
		return &findings{fmt.Errorf("%s would take something away", after)}
	}
	return err
}

// maxRecord bounds one line of a log.
const maxRecord = 1 << 20

// eachRecord reads a decision log; "-" is the input.
func (a *app) eachRecord(name string, visit func(policy.Record)) error {
	records := a.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		records = f
	}
	lines := bufio.NewScanner(records)
	lines.Buffer(nil, maxRecord)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var r policy.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("%s:%d is no decision record: %w", name, n, err)
		}
		if r.Method == "" || r.Path == "" || r.Time.IsZero() {
			return fmt.Errorf("%s:%d is no decision record: time, method or path is missing", name, n)
		}
		visit(r)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (a *app) printChanges(records int, changes []policy.Change) {
	words := map[string]string{policy.Lose: "would lose", policy.Gain: "would gain", policy.Unknown: "cannot be judged on"}
	for _, c := range changes {
		noun := "callers"
		if len(c.Callers) == 1 {
			noun = "caller"
		}
		fmt.Fprintf(a.Out, "%d %s %s %s (%s; %d requests): %s\n", len(c.Callers), noun, words[c.Kind], printable(c.Route), strings.Join(c.Reasons, ", "), c.Requests, printable(someOf(c.Callers)))
		if c.Kind == policy.Unknown {
			fmt.Fprintln(a.Out, "  The log lacks a claim or a query value that a where compares; it has those of the policy that wrote it.")
		}
	}
	if len(changes) == 0 {
		fmt.Fprintf(a.Out, "No change for any of %d recorded requests.\n", records)
		return
	}
	fmt.Fprintf(a.Out, "Of %d recorded requests.\n", records)
}

// someOf names the first few.
func someOf(names []string) string {
	const few = 5
	if len(names) > few {
		return strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", len(names)-few)
	}
	return strings.Join(names, ", ")
}
