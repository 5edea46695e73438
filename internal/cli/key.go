package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/demo"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
)

func (a *app) keyCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:   "key",
		Short: "Keys: what signs tokens and seals codes",
		Long: `Keys sign tokens and seal codes. One key of a line is active, one is pending:
published, so that every verifier knows it before it signs.`,
		Example: "  gatehouse key list\n  gatehouse key rotate",
	})
	c.AddCommand(a.keyList(), a.keyRotate(), a.keyRetire())
	return c
}

// ring opens the keys of the folder that the flags name. It needs the
// key-encryption key: of the configuration, or of a dev folder.
func (a *app) ring(ctx context.Context, work func(context.Context, *keys.Service, string) error) error {
	return a.enter(ctx, func(ctx context.Context, o office) error {
		keks, ahead, err := a.keks(ctx)
		if err != nil {
			return err
		}
		service, err := keys.Open(ctx, keys.Config{Records: o.db, KEKs: keks, PublishAhead: ahead, Now: o.db.Now})
		if err != nil {
			return explainSealed(err)
		}
		return work(ctx, service, o.actor)
	})
}

// keks are the key-encryption keys of the folder that the flags name, the one
// that seals first, and how long its keys are published ahead.
func (a *app) keks(ctx context.Context) ([]keys.KEK, time.Duration, error) {
	dir, err := a.folder()
	if err != nil {
		return nil, 0, err
	}
	if dir != "" && demo.IsDevFolder(dir) {
		kek, err := demo.ReadKEK(dir)
		return []keys.KEK{kek}, 0, err
	}
	if a.data != "" {
		return nil, 0, usagef("keys are sealed with a key-encryption key that is not in the data folder. Name the configuration with --config instead of --data")
	}
	settings, err := a.settings()
	if err != nil {
		return nil, 0, err
	}
	all, err := keyEncryptionKeys(ctx, settings)
	return all, keys.DefaultPublishAhead, err
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func (a *app) keyList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all keys and their states", Args: cobra.NoArgs,
		Example: "  gatehouse key list\n  gatehouse key list --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				stored, err := o.db.Keys(ctx)
				if err != nil {
					return err
				}
				listed := keys.States(stored, o.db.Now())
				rows := [][]string{}
				for _, k := range listed {
					rows = append(rows, []string{string(k.ID), string(k.Purpose), k.Algorithm, string(k.State), when(k.CreatedAt), when(k.ActivateAt)})
				}
				return a.table(listed, []string{"ID", "PURPOSE", "ALGORITHM", "STATE", "CREATED", "ACTIVE FROM"}, rows)
			})
		},
	}
}

func (a *app) keyRotate() *cobra.Command {
	var purpose, algorithm string
	var now bool
	c := &cobra.Command{
		Use: "rotate", Short: "Let the pending key take over, and publish the next", Args: cobra.NoArgs,
		Long: `Let the pending key take over and publish the next one. It takes over when it
has been published for 24 hours (in a dev folder: at once), so that no verifier
meets an unknown key; --now does not wait.`,
		Example: "  gatehouse key rotate\n  gatehouse key rotate --purpose token --algorithm RS256 --now",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := keys.ParsePurpose(purpose)
			if err != nil {
				return err
			}
			if algorithm == "" {
				algorithm = keys.AlgorithmFor(p)
			}
			soon := keys.Planned
			if now {
				soon = keys.AtOnce
			}
			return a.ring(c.Context(), func(ctx context.Context, s *keys.Service, actor string) error {
				next, err := s.Rotate(ctx, actor, p, algorithm, soon)
				if err != nil {
					return err
				}
				return a.showKey(next)
			})
		},
	}
	c.Flags().StringVar(&purpose, "purpose", "token", "which keys: token, code-seal, refresh-mac or feed")
	c.Flags().StringVar(&algorithm, "algorithm", "", "which line of token keys: ES256 (default), RS256 or EdDSA")
	c.Flags().BoolVar(&now, "now", false, "do not wait until the key has been published for long enough")
	return c
}

func (a *app) keyRetire() *cobra.Command {
	return &cobra.Command{
		Use: "retire ID", Short: "Remove a key at once, because it may be known to others", Args: cobra.ExactArgs(1),
		Long: `Remove a key at once: what it signed is not valid any more. If it was active,
the pending key takes over now.`,
		Example: "  gatehouse key retire KEY-ID\n  gatehouse key list --json",
		RunE: func(c *cobra.Command, args []string) error {
			return a.ring(c.Context(), func(ctx context.Context, s *keys.Service, actor string) error {
				next, err := s.Retire(ctx, actor, iam.KeyID(args[0]))
				if err != nil {
					return err
				}
				return a.showKey(next)
			})
		},
	}
}

// showKey prints the key that signs, or will.
func (a *app) showKey(k iam.Key) error {
	return a.sheet(k, field{"signs", string(k.ID)}, field{"purpose", string(k.Purpose)}, field{"algorithm", k.Algorithm}, field{"from", when(k.ActivateAt)})
}
