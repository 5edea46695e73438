package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/demo"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
)

func (a *app) kekCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:   "kek",
		Short: "Key-encryption keys: what seals all other keys",
		Long: `The key-encryption key seals every other key in the database. It lies outside
the data folder, so that a copy of the folder opens nothing.

To replace it:

  1. gatehouse kek new /etc/gatehouse/kek-2
  2. in the configuration, name the new one first and keep the old one:
       key_encryption_key: { file: /etc/gatehouse/kek-2 }
       old_key_encryption_keys: [{ file: /etc/gatehouse/kek }]
  3. restart every server, so that new keys are sealed with the new one
  4. gatehouse kek rotate
  5. remove old_key_encryption_keys from the configuration, then the old file`,
		Example: "  gatehouse kek new /etc/gatehouse/kek-2\n  gatehouse kek status\n  gatehouse kek rotate",
	})
	c.AddCommand(a.kekNew(), a.kekStatus(), a.kekRotate())
	return c
}

func (a *app) kekNew() *cobra.Command {
	return &cobra.Command{
		Use: "new FILE", Short: "Write a new key-encryption key to a file", Args: cobra.ExactArgs(1),
		Long:    "Write 32 random bytes in base64 to a new file that only its owner can read.",
		Example: "  gatehouse kek new /etc/gatehouse/kek-2",
		RunE: func(_ *cobra.Command, args []string) error {
			kek, err := writeKEK(args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"file": args[0], "id": kek.ID()})
			}
			_, err = fmt.Fprintf(a.Out, "%s holds key-encryption key %s\n", args[0], kek.ID())
			return err
		},
	}
}

// writeKEK draws a key-encryption key into a new file. It never overwrites: the
// old key may be the only one that opens a database.
func writeKEK(path string) (keys.KEK, error) {
	kek, raw := keys.GenerateKEK()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return keys.KEK{}, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return keys.KEK{}, usagef("%s exists already, and what it holds may be the only key to a database. Name a new file", path)
	}
	if err != nil {
		return keys.KEK{}, err
	}
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(raw) + "\n")
	return kek, errors.Join(err, f.Sync(), f.Close())
}

func (a *app) kekStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Which key-encryption key seals how many secrets", Args: cobra.NoArgs,
		Example: "  gatehouse kek status\n  gatehouse kek status --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				keks, _, err := a.keks(ctx)
				if err != nil {
					return err
				}
				secrets, err := o.db.Sealed(ctx)
				if err != nil {
					return err
				}
				type status struct {
					ID      string `json:"id"`
					Use     string `json:"use"`
					Secrets int    `json:"secrets"`
				}
				all, at := []status{}, map[string]int{}
				for i, kek := range keks {
					at[kek.ID()] = i
					all = append(all, status{ID: kek.ID(), Use: map[bool]string{true: "seals and opens", false: "opens"}[i == 0]})
				}
				for _, s := range secrets {
					id := keys.SealedBy(s.Sealed)
					if _, known := at[id]; !known {
						at[id] = len(all)
						all = append(all, status{ID: id, Use: "not configured"})
					}
					all[at[id]].Secrets++
				}
				rows := [][]string{}
				for _, s := range all {
					rows = append(rows, []string{s.ID, s.Use, fmt.Sprint(s.Secrets)})
				}
				return a.table(all, []string{"ID", "USE", "SECRETS"}, rows)
			})
		},
	}
}

func (a *app) kekRotate() *cobra.Command {
	return &cobra.Command{
		Use: "rotate", Short: "Seal everything with the first key-encryption key", Args: cobra.NoArgs,
		Long: `Open everything that an old key-encryption key sealed, and seal it with the
one that the configuration names first. All or nothing happens. Afterwards the
old key-encryption keys open nothing and can go.`,
		Example: "  gatehouse kek rotate --config gatehouse.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				dir, err := a.folder()
				if err != nil {
					return err
				}
				if dir != "" && demo.IsDevFolder(dir) {
					return usagef("a dev folder has one key-encryption key of its own")
				}
				keks, _, err := a.keks(ctx)
				if err != nil {
					return err
				}
				total, changed, err := keys.Rewrap(ctx, o.db, o.actor, keks)
				if err != nil {
					return explainSealed(err)
				}
				if a.json {
					return a.printJSON(map[string]any{"id": keks[0].ID(), "secrets": total, "rewrapped": changed})
				}
				_, err = fmt.Fprintf(a.Out, "%d of %d secrets rewrapped; key-encryption key %s opens all of them\n", changed, total, keks[0].ID())
				return err
			})
		},
	}
}
