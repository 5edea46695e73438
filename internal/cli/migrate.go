package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/store"
)

func (a *app) migrateCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:   "migrate",
		Short: "The schema of the database: look at it, bring it up to date",
		Long: `A newer Gatehouse may need new tables or columns. "gatehouse serve" and every
other command that opens the database add them by themselves, each in a
transaction, and wait for one another. These commands do it, or show it, before.

A Gatehouse that is older than the schema refuses to start.`,
		Example: "  gatehouse migrate status --config gatehouse.yaml\n  gatehouse migrate plan --config gatehouse.yaml\n  gatehouse migrate up --config gatehouse.yaml",
	})
	c.AddCommand(a.migrateStatus(), a.migratePlan(), a.migrateUp())
	return c
}

func (a *app) migrateStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Which versions of the schema the database has", Args: cobra.NoArgs,
		Long:    "Which versions of the schema the database has, and which are missing. It changes\nnothing. Exit code 3: some are missing.",
		Example: "  gatehouse migrate status --config gatehouse.yaml\n  gatehouse migrate status --json",
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := a.migrations(c.Context())
			if err != nil {
				return err
			}
			missing := 0
			rows := [][]string{}
			for i, m := range all {
				applied := "missing"
				if m.Applied.IsZero() {
					missing++
				} else {
					applied = m.Applied.UTC().Format(time.DateTime)
				}
				all[i].SQL = ""
				rows = append(rows, []string{fmt.Sprint(m.Version), m.Name, applied})
			}
			if err := a.table(all, []string{"VERSION", "NAME", "APPLIED (UTC)"}, rows); err != nil {
				return err
			}
			if missing > 0 {
				return &negative{fmt.Sprintf("%d missing. Add them: gatehouse migrate up", missing)}
			}
			return nil
		},
	}
}

func (a *app) migratePlan() *cobra.Command {
	return &cobra.Command{
		Use: "plan", Short: "Print the SQL that \"migrate up\" would run", Args: cobra.NoArgs,
		Example: "  gatehouse migrate plan --config gatehouse.yaml\n  gatehouse migrate plan --json",
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := a.migrations(c.Context())
			if err != nil {
				return err
			}
			missing := []store.Migration{}
			for _, m := range all {
				if m.Applied.IsZero() {
					missing = append(missing, m)
				}
			}
			if a.json {
				return a.printJSON(missing)
			}
			for _, m := range missing {
				if _, err := fmt.Fprintf(a.Out, "-- version %d, %s, in one transaction\n%s\n\n", m.Version, m.Name, m.SQL); err != nil {
					return err
				}
			}
			if len(missing) == 0 {
				_, err = fmt.Fprintln(a.Out, "-- the schema is up to date")
			}
			return err
		},
	}
}

func (a *app) migrateUp() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Bring the schema of the database up to date", Args: cobra.NoArgs,
		Long: `Bring the schema of the database up to date. On PostgreSQL no statement waits
longer than 3 seconds for a lock, so that requests never queue behind it; it is
tried again some times.`,
		Example: "  gatehouse migrate up --config gatehouse.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			place, err := a.place(c.Context())
			if err != nil {
				return err
			}
			done, err := store.Migrate(c.Context(), place)
			if err != nil {
				return err
			}
			names := []string{}
			for _, m := range done {
				names = append(names, fmt.Sprintf("%d %s", m.Version, m.Name))
			}
			if a.json {
				return a.printJSON(map[string]any{"applied": names})
			}
			for _, n := range names {
				fmt.Fprintf(a.Out, "applied %s\n", n)
			}
			_, err = fmt.Fprintln(a.Out, "the schema is up to date")
			return err
		},
	}
}

func (a *app) migrations(ctx context.Context) ([]store.Migration, error) {
	place, err := a.place(ctx)
	if err != nil {
		return nil, err
	}
	all, err := store.Migrations(ctx, place)
	var newer *store.NewerSchema
	if errors.As(err, &newer) {
		return nil, &negative{err.Error()}
	}
	return all, err
}
