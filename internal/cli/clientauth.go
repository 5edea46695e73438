package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// proof are the flags that say how a client proves who it is.
type proof struct{ method, file, uri string }

func (p *proof) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.method, "auth", "", "how it proves who it is: client_secret (default) or private_key_jwt")
	p.keyFlags(c)
}

func (p *proof) keyFlags(c *cobra.Command) {
	c.Flags().StringVar(&p.file, "jwks", "", "file with its public keys as a JWKS, or one as PEM; - for standard input")
	c.Flags().StringVar(&p.uri, "jwks-uri", "", "https address of its public keys, instead of --jwks")
}

// apply fills in the client from the flags.
func (p proof) apply(a *app, client *iam.Client) (err error) {
	if p.method == "" && (p.file != "" || p.uri != "") {
		return usagef("--jwks and --jwks-uri belong to --auth %s", iam.AuthKey)
	}
	client.Auth = iam.AuthMethod(p.method)
	client.Keys, client.KeysURI, err = p.keys(a)
	return err
}

func (p proof) keys(a *app) (set jose.KeySet, uri string, err error) {
	if p.file == "" {
		return jose.KeySet{}, p.uri, nil
	}
	document, err := a.document(p.file)
	if err == nil {
		set, err = iam.ParseClientKeys(document)
	}
	return set, p.uri, err
}

// document reads a bounded file, or standard input for "-".
func (a *app) document(path string) ([]byte, error) {
	in := a.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read the key set: %w", err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, jose.MaxKeySetBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	return b, nil
}

// authFields are the lines of a sheet about how a client proves who it is.
func authFields(c iam.Client) []field {
	var keys []string
	for _, k := range c.Keys.Keys() {
		keys = append(keys, string(k.Algorithm())+" "+k.ID())
	}
	ends := ""
	if c.OldSecretEnds.After(time.Now()) {
		ends = c.OldSecretEnds.UTC().Format(time.RFC3339)
	}
	return []field{{"auth", string(c.AuthMethod())}, {"keys", strings.Join(keys, ", ")}, {"keys from", c.KeysURI},
		{"old secret until", ends}, {"origins", strings.Join(c.Origins, " ")}}
}

// authCell is the same for a list.
func authCell(c iam.Client) string {
	if c.OldSecretEnds.After(time.Now()) {
		return string(c.AuthMethod()) + ", old until " + c.OldSecretEnds.UTC().Format(time.RFC3339)
	}
	return string(c.AuthMethod())
}

func (a *app) clientSecret(k kind) *cobra.Command {
	c := &cobra.Command{
		Use: "secret ID", Short: "Replace the secret and print the new one once", Args: cobra.ExactArgs(1),
		Long: "Replace the secret. The old one stops working at once, and what was obtained\nwith it ends: for a secret that others may know. To replace it without a gap,\nsee: gatehouse " + k.noun + " secret rotate",
		Example: fmt.Sprintf("  gatehouse %s secret %s\n  gatehouse %s secret %s --json\n  gatehouse %s secret rotate %s",
			k.noun, sample(k.noun), k.noun, sample(k.noun), k.noun, sample(k.noun)),
		RunE: func(c *cobra.Command, args []string) error {
			return a.newSecret(c.Context(), k, args[0], func(ctx context.Context, o office, id iam.ClientID) (string, error) {
				return o.directory.NewSecret(ctx, o.actor, id)
			})
		},
	}
	c.AddCommand(a.clientSecretRotate(k))
	return c
}

func (a *app) clientSecretRotate(k kind) *cobra.Command {
	var overlap time.Duration
	var now bool
	c := &cobra.Command{
		Use: "rotate ID", Short: "Make a new secret while the old one stays valid for a while", Args: cobra.ExactArgs(1),
		Long: `Make a new secret and print it once. The old one stays valid for --overlap, so
that you can hand out the new one without a gap; list and show say until when.
Nothing that was obtained ends. There are at most two secrets.

With --now every secret but the new one stops working at once, and what was
obtained with them ends.`,
		Example: fmt.Sprintf("  gatehouse %s secret rotate %s\n  gatehouse %s secret rotate %s --overlap 72h\n  gatehouse %s secret rotate %s --now",
			k.noun, sample(k.noun), k.noun, sample(k.noun), k.noun, sample(k.noun)),
		RunE: func(c *cobra.Command, args []string) error {
			if now && c.Flags().Changed("overlap") {
				return usagef("--now and --overlap exclude each other")
			}
			return a.newSecret(c.Context(), k, args[0], func(ctx context.Context, o office, id iam.ClientID) (string, error) {
				if now {
					return o.directory.NewSecret(ctx, o.actor, id)
				}
				return o.directory.RotateSecret(ctx, o.actor, id, overlap)
			})
		},
	}
	c.Flags().DurationVar(&overlap, "overlap", iam.SecretOverlap, "how long the old secret stays valid")
	c.Flags().BoolVar(&now, "now", false, "end the old secret and what was obtained with it at once")
	return c
}

func (a *app) newSecret(ctx context.Context, k kind, id string, make func(context.Context, office, iam.ClientID) (string, error)) error {
	return a.enter(ctx, func(ctx context.Context, o office) error {
		if _, err := k.find(ctx, o, id); err != nil {
			return err
		}
		secret, err := make(ctx, o, iam.ClientID(id))
		if err != nil {
			return err
		}
		changed, err := k.find(ctx, o, id)
		return errors.Join(err, a.showClient(withSecret{changed, secret}))
	})
}

func (a *app) clientKeys(k kind) *cobra.Command {
	var p proof
	var replaceSecret, now bool
	c := &cobra.Command{
		Use: "keys ID --jwks FILE | --jwks-uri URL", Short: "Replace the public keys that it proves itself with", Args: cobra.ExactArgs(1),
		Long: `Replace the public keys of a client with private_key_jwt. The keys before stop
working at once; to change over without a gap, list the old and the new key in
one set first. Signing keys only: asymmetric, RSA with 2048 bits at least, and
no private members.

With --now also what was obtained with the keys before ends.`,
		Example: fmt.Sprintf("  gatehouse %s keys %s --jwks public.pem\n  gatehouse %s keys %s --jwks-uri https://client.example.com/jwks.json --now",
			k.noun, sample(k.noun), k.noun, sample(k.noun)),
		RunE: func(c *cobra.Command, args []string) error {
			if (p.file == "") == (p.uri == "") {
				return usagef("say where the keys are: --jwks FILE or --jwks-uri URL")
			}
			set, uri, err := p.keys(a)
			if err != nil {
				return err
			}
			keys := directory.ClientKeys{Set: set, URI: uri, Switch: replaceSecret}
			if now {
				keys.Ending = iam.EndEverything
			}
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				if _, err := k.find(ctx, o, args[0]); err != nil {
					return err
				}
				changed, err := o.directory.SetKeys(ctx, o.actor, iam.ClientID(args[0]), keys)
				if err != nil {
					return err
				}
				return a.showClient(withSecret{Client: changed})
			})
		},
	}
	p.keyFlags(c)
	c.Flags().BoolVar(&replaceSecret, "replace-secret", false, "change over from a secret, which ends")
	c.Flags().BoolVar(&now, "now", false, "end what was obtained with the keys before")
	return c
}
