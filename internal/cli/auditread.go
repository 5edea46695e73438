package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/finding"
)

// explained is a row as `audit explain --json` prints it.
type explained struct {
	ID         string           `json:"id"`
	Title      string           `json:"title"`
	Severity   finding.Severity `json:"severity"`
	Why        string           `json:"why"`
	Fix        string           `json:"fix"`
	References []string         `json:"references"`
	Sent       string           `json:"sent"`
}

func explainedOf(f finding.Finding) explained {
	return explained{f.ID, f.Title, f.Severity, f.Why, f.Fix, f.References(), attack.Sends(f.ID)}
}

func (a *app) auditList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List all attacks and passive checks", Args: cobra.NoArgs,
		Example: "  gatehouse audit list\n  gatehouse audit list --json",
		RunE: func(*cobra.Command, []string) error {
			all, rows := []explained{}, [][]string{}
			for _, f := range attack.Rows() {
				all = append(all, explainedOf(f))
				rows = append(rows, []string{f.ID, string(f.Severity), f.Title})
			}
			return a.table(all, []string{"ID", "SEVERITY", "ATTACK"}, rows)
		},
	}
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

func (a *app) auditExplain() *cobra.Command {
	c := &cobra.Command{
		Use: "explain ID", Short: "What an attack sends, why it matters and how to fix it", Args: cobra.ExactArgs(1),
		Example: "  gatehouse audit explain T05\n  gatehouse audit explain T05 --json",
		RunE: func(_ *cobra.Command, args []string) error {
			f, ok := finding.Find(strings.ToUpper(args[0]))
			if !ok {
				return usagef("there is no attack %q. See them all with: gatehouse audit list", args[0])
			}
			e := explainedOf(f)
			return a.sheet(e, field{f.ID, f.Title}, field{"severity", string(f.Severity) + " at its worst"}, field{"sent", e.Sent}, field{"why", f.Why}, field{"fix", f.Fix}, field{"read", strings.Join(e.References, ", ")})
		},
	}
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

func (a *app) auditDiff() *cobra.Command {
	c := &cobra.Command{
		Use: "diff OLD.json NEW.json", Short: "What got worse and what got better between two reports", Args: cobra.ExactArgs(2),
		Long: `Compare two JSON reports. The exit code is 3 when something got worse.`,
		Example: `  gatehouse audit diff monday.json today.json
  gatehouse audit diff monday.json today.json --json`,
		RunE: func(_ *cobra.Command, args []string) error {
			var reports [2]attack.Report
			for i, name := range args {
				file, err := os.Open(name)
				if err != nil {
					return err
				}
				defer file.Close()
				if reports[i], err = attack.ReadReport(file); err != nil {
					return usagef("%s: %v", name, err)
				}
			}
			d := attack.Compare(reports[0], reports[1])
			if err := a.showDiff(d); err != nil {
				return err
			}
			if len(d.Worse) > 0 {
				return &negative{fmt.Sprintf("%d got worse", len(d.Worse))}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

func (a *app) showDiff(d attack.Diff) error {
	rows := [][]string{}
	for _, group := range []struct {
		what    string
		changes []attack.Change
	}{{"worse", d.Worse}, {"better", d.Better}, {"other", d.Other}} {
		for _, c := range group.changes {
			rows = append(rows, []string{group.what, c.ID, string(c.Severity), dash(string(c.Old)) + " → " + dash(string(c.New)), c.Route, c.Title})
		}
	}
	if len(rows) == 0 && !a.json {
		_, err := fmt.Fprintln(a.Out, "nothing changed")
		return err
	}
	return a.table(d, []string{"", "ID", "SEVERITY", "VERDICT", "ROUTE", "ATTACK"}, rows)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
