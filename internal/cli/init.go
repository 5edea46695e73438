package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

func (a *app) initCommand() *cobra.Command {
	d := config.Draft{}
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Prepare an installation: configuration, key-encryption key, data folder",
		Long: `Prepare an installation in a folder, the current one when none is named:

  gatehouse.yaml   the configuration, with a comment for each setting
  gatehouse.kek    the key-encryption key; keep a copy of it elsewhere
  data/            the database, with its first keys

and show a one-time code for the first administrator. Nothing that exists is
overwritten.`,
		Example: `  gatehouse init /etc/gatehouse --issuer https://auth.example.com --acme
  gatehouse init --issuer https://auth.example.com --tls-cert cert.pem --tls-key key.pem
  gatehouse init --issuer https://auth.example.com --proxy 10.0.0.5 --listen :8080
  gatehouse init --issuer https://auth.example.com --proxy 10.0.0.5 --database postgres://gatehouse@db.example.com/gatehouse --database-password db.password
  gatehouse init ./try --issuer http://localhost:8080`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return a.init(c.Context(), dir, d)
		},
	}
	c.Flags().StringVar(&d.Issuer, "issuer", "", "the URL that clients will reach this server by; it can never change")
	c.Flags().StringVar(&d.Listen, "listen", "", "the address to answer on (default: the issuer's port)")
	c.Flags().StringVar(&d.Data, "data", "./data", "the data folder, relative to DIR")
	c.Flags().StringVar(&d.Database, "database", "", "an empty PostgreSQL database instead of the data folder: postgres://USER@HOST/DATABASE")
	c.Flags().StringVar(&d.DatabasePassword, "database-password", "", "the file of its password")
	c.Flags().StringVar(&d.KeyFile, "key-encryption-key", "./gatehouse.kek", "the file of the key-encryption key, outside the data folder")
	c.Flags().BoolVar(&d.ACME, "acme", false, "certificates from Let's Encrypt; accepts its terms of service")
	c.Flags().StringVar(&d.Email, "acme-email", "", "address of the ACME account")
	c.Flags().StringVar(&d.Cert, "tls-cert", "", "certificate file")
	c.Flags().StringVar(&d.Key, "tls-key", "", "key file of the certificate")
	c.Flags().StringSliceVar(&d.Proxy, "proxy", nil, "address of the proxy that terminates TLS (may be repeated)")
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	_ = c.MarkFlagRequired("issuer")
	c.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	c.MarkFlagsMutuallyExclusive("acme", "tls-cert", "proxy")
	return c
}

// prepared is what init made.
type prepared struct {
	Config    string `json:"config"`
	Data      string `json:"data,omitempty"`
	Database  string `json:"database,omitempty"`
	KeyFile   string `json:"key_encryption_key"`
	SetupURL  string `json:"setup_url"`
	SetupCode string `json:"setup_code"`
}

func (a *app) init(ctx context.Context, dir string, d config.Draft) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if d.Listen == "" {
		d.Listen = listenFor(d.Issuer)
	}
	for _, file := range []*string{&d.Cert, &d.Key, &d.DatabasePassword} {
		if *file != "" { // named from here, not from the configuration
			if *file, err = filepath.Abs(*file); err != nil {
				return err
			}
		}
	}
	p := prepared{Config: filepath.Join(dir, "gatehouse.yaml"), SetupURL: strings.TrimSuffix(d.Issuer, "/") + "/setup"}
	text, err := d.Write(p.Config)
	if err != nil {
		return &usage{regexp.MustCompile(regexp.QuoteMeta(p.Config)+`(:\d+)?: `).ReplaceAllString(err.Error(), "")}
	}
	if _, err := os.Stat(p.Config); err == nil {
		return usagef("%s exists already. Name another folder, or start it: gatehouse serve --config %s", p.Config, p.Config)
	}
	settings, err := config.Parse(p.Config, text, func(string) string { return "" })
	if err != nil {
		return err
	}
	p.Data, p.KeyFile = settings.Data, settings.KeyEncryptionKey.File
	p.Database = settings.Database
	records, err := recordsOf(ctx, settings)
	if err != nil {
		return err
	}
	if records.Database != "" {
		if empty, err := store.Empty(ctx, records); err != nil || !empty {
			return cmp.Or(err, usagef("the database holds an installation already. Name an empty one with --database"))
		}
	} else if entries, err := os.ReadDir(p.Data); err == nil && len(entries) > 0 {
		return usagef("the data folder %s is not empty. Name a new one with --data", p.Data)
	}
	if err := settings.KeyEncryptionKey.Outside(p.Data); err != nil {
		return &usage{err.Error()}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	kek, err := writeKEK(p.KeyFile)
	if err != nil {
		return err
	}
	p.SetupCode, err = furnish(ctx, settings, records, kek)
	if err == nil {
		// The configuration comes last: where it lies, everything is ready.
		err = os.WriteFile(p.Config, text, 0o600)
	}
	if err != nil {
		return errors.Join(err, p.undo())
	}
	return a.showPrepared(p)
}

// undo removes what an init made that did not come to its end, so that it can
// be run again. None of it was there before.
func (p prepared) undo() error {
	faults := []error{os.RemoveAll(p.Config), os.RemoveAll(p.KeyFile)}
	made, err := os.ReadDir(p.Data)
	for _, file := range made {
		faults = append(faults, os.RemoveAll(filepath.Join(p.Data, file.Name())))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(append(faults, err)...)
}

// listenFor is the port of the issuer on all addresses, or on loopback alone
// where the issuer is there.
func listenFor(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ":443"
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80"}[u.Scheme]
	}
	if port == "" {
		port = "443"
	}
	host := ""
	if u.Scheme == "http" {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// furnish makes the database with its first keys and offers the setup.
func furnish(ctx context.Context, settings config.Config, records store.Config, kek keys.KEK) (code string, err error) {
	parts, err := server.Assemble(ctx, server.Config{Issuer: settings.Issuer, Dir: records.Dir, Database: records.Database, DatabasePassword: records.DatabasePassword, KEKs: []keys.KEK{kek}, PublishAhead: keys.DefaultPublishAhead})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, parts.Close()) }()
	return parts.Setup.Offer(ctx, actor())
}

func (a *app) showPrepared(p prepared) error {
	if a.json {
		return a.printJSON(p)
	}
	_, err := fmt.Fprintf(a.Out, `Made:
  %s   the configuration, with comments
  %s   the key-encryption key. Keep a copy of it elsewhere:
     without it the database opens nothing
  %s   the database, with its first keys

Next:
  1. gatehouse serve --config %s
  2. within %d minutes, open %s
     and make the first administrator with the one-time code
       %s
     (gatehouse setup --config %s shows another one)
`, p.Config, p.KeyFile, cmp.Or(p.Database, p.Data), p.Config, int(iam.SetupLife.Minutes()), p.SetupURL, p.SetupCode, p.Config)
	return err
}

func (a *app) setupCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "setup",
		Short: "Show a new one-time code for an administrator",
		Long: `Show a new one-time code that makes an administrator at /setup of the issuer. It
is good for an hour and ends any older one. Only the owner of the data folder
can draw it.`,
		Example: "  gatehouse setup --config gatehouse.yaml\n  gatehouse setup --config gatehouse.yaml --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				code, err := directory.NewSetup(o.directory, o.db).Offer(ctx, o.actor)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(map[string]string{"setup_code": code})
				}
				_, err = fmt.Fprintf(a.Out, "Open /setup of the issuer within %d minutes, and enter the code\n  %s\n", int(iam.SetupLife.Minutes()), code)
				return err
			})
		},
	}
	run := c.RunE
	a.admin(c)
	c.RunE = run
	return c
}
