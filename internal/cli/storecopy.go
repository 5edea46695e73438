package cli

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

func (a *app) storeCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:     "store",
		Short:   "The records as a whole: move them to PostgreSQL",
		Example: "  gatehouse store copy --config gatehouse.yaml --to postgres://gatehouse@db.example.com/gatehouse --to-password db.password",
	})
	c.AddCommand(a.storeCopy())
	return c
}

func (a *app) storeCopy() *cobra.Command {
	var to, password string
	c := &cobra.Command{
		Use: "copy", Short: "Copy a data folder into an empty PostgreSQL database", Args: cobra.NoArgs,
		Long: `Copy everything of a data folder into an empty PostgreSQL database: users,
clients, keys, sessions, grants, codes and the journal. Whoever is logged in
stays so, and every refresh token keeps working. All or nothing is copied, and
each table is compared afterwards.

  1. make an empty database, and its user the owner
  2. stop the server; the copy refuses to begin while one works on the folder
  3. gatehouse store copy
  4. name the database in the configuration, in the place of data
  5. start the server; keep the folder as a backup

No server starts on the folder again: the file MOVED in it says so. To go back,
remove that file; what happened since the copy is then forgotten.

Keys stay sealed with the same key-encryption key.`,
		Example: `  gatehouse store copy --config gatehouse.yaml --to postgres://gatehouse@db.example.com/gatehouse --to-password db.password
  gatehouse store copy --data ./data --to postgres:///gatehouse?host=/run/postgresql --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			from, err := a.source()
			if err != nil {
				return err
			}
			target, err := targetOf(c, to, password)
			if err != nil {
				return err
			}
			done, err := store.Copy(c.Context(), from, target)
			var moved *store.Moved
			if errors.Is(err, store.ErrInUse) || errors.Is(err, store.ErrNotEmpty) || errors.As(err, &moved) {
				return &usage{err.Error()}
			}
			if err != nil {
				return err
			}
			return a.showCopied(done)
		},
	}
	c.Flags().StringVar(&to, "to", "", "the database: postgres://USER@HOST/DATABASE")
	c.Flags().StringVar(&password, "to-password", "", "the file of its password")
	_ = c.MarkFlagRequired("to")
	return c
}

// source is the data folder to copy.
func (a *app) source() (store.Config, error) {
	dir, err := a.folder()
	if err != nil {
		return store.Config{}, err
	}
	if dir == "" || !store.Exists(dir) {
		return store.Config{}, usagef("there is no Gatehouse data in %q. Name the data folder with --data", dir)
	}
	return store.Config{Dir: dir}, nil
}

func targetOf(c *cobra.Command, to, passwordFile string) (store.Config, error) {
	if u, err := url.Parse(to); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return store.Config{}, usagef("--to is not of the form postgres://USER@HOST/DATABASE")
	} else if _, set := u.User.Password(); set || u.Query().Has("password") {
		return store.Config{}, usagef("--to has a password in it, which every user of this machine can see. Write postgres://USER@HOST/DATABASE and name a file: --to-password FILE")
	}
	target := store.Config{Database: to}
	if passwordFile == "" {
		return target, nil
	}
	path, err := filepath.Abs(passwordFile)
	if err != nil {
		return target, err
	}
	target.DatabasePassword, err = config.Config{DatabasePassword: config.KeySource{File: path}}.Password(c.Context())
	return target, err
}

func (a *app) showCopied(done []store.CopiedTable) error {
	rows, total := [][]string{}, int64(0)
	for _, t := range done {
		total += t.Rows
		rows = append(rows, []string{t.Name, fmt.Sprint(t.Rows), t.Hash[:16]})
	}
	if err := a.table(map[string]any{"rows": total, "tables": done}, []string{"TABLE", "ROWS", "SHA-256"}, rows); err != nil || a.json {
		return err
	}
	_, err := fmt.Fprintf(a.Out, "\n%d rows copied and compared.\nNow name the database in the configuration, in the place of data, and start the server.\nKeep the data folder as a backup; it is marked, and no server starts on it again.\n", total)
	return err
}
