package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/api"
	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/demo"
	"github.com/gatehouse-auth/gatehouse/internal/dial"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

func (a *app) serveCommand() *cobra.Command {
	return a.withConfig(&cobra.Command{
		Use:   "serve",
		Short: "Run the authorization server",
		Long: `Run the authorization server of a configuration file:

  issuer: https://auth.example.com
  listen: :443
  data: /var/lib/gatehouse
  tls: { acme: { accept_terms: true } }
  key_encryption_key: { file: /etc/gatehouse/kek }

"gatehouse init" writes such a file, with a comment for each setting. The
key-encryption key lies outside the data folder; without it the server does not
start. Certificates come from an ACME authority or from files:

  tls: { cert: /etc/gatehouse/cert.pem, key: /etc/gatehouse/key.pem }

or from a proxy in front, whose addresses alone may then connect:

  proxy: { addresses: [10.0.0.5] }

Without any of these the server answers on loopback only.

Any number of servers share a PostgreSQL database, instead of data:

  database: postgres://gatehouse@db.example.com/gatehouse
  database_password: { file: /etc/gatehouse/database.password }`,
		Example: `  gatehouse serve --config gatehouse.yaml
  GATEHOUSE_CONFIG=/etc/gatehouse/gatehouse.yaml gatehouse serve`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.serve(c) },
	})
}

func (a *app) serve(c *cobra.Command) error {
	settings, err := a.settings()
	if err != nil {
		return err
	}
	if settings.Data != "" && demo.IsDevFolder(settings.Data) {
		return usagef("%s is a folder of `gatehouse dev`, whose secrets lie in it in the clear. Use another data folder", settings.Data)
	}
	keks, err := keyEncryptionKeys(c.Context(), settings)
	if err != nil {
		return err
	}
	blocklist, err := openBlocklist(settings)
	if err != nil {
		return err
	}
	records, err := recordsOf(c.Context(), settings)
	if err != nil {
		return err
	}
	if err := leftBehind(c.Context(), records); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(a.Err, nil))
	parts, err := server.Assemble(c.Context(), server.Config{
		Issuer: settings.Issuer, Dir: records.Dir, Database: records.Database, DatabasePassword: records.DatabasePassword, Connections: records.Connections, KEKs: keks, Proxies: proxies(settings), Logger: logger, Blocklist: blocklist,
		PublishAhead: keys.DefaultPublishAhead, RotateEvery: time.Duration(settings.Keys.RotateEvery),
		FeedAccess: feedAccess(settings),
		Canary:     settings.Canary != "off",
		Outgoing:   dial.Config{Ports: settings.Outgoing.Ports, Networks: settings.Outgoing.Prefixes()},
		Branding:   page.Config{Product: settings.Branding.Product, LogoFile: settings.Branding.Logo, Accent: settings.Branding.Accent, Templates: settings.Branding.Templates},
	})
	if err != nil {
		return explainSealed(err)
	}
	defer parts.Close()
	listener, err := listen(settings, parts, keks, logger)
	if err != nil {
		return err
	}
	logger.Info("ready", "issuer", settings.Issuer, "listen", listener.Addr().String())
	return run(c.Context(), settings, parts, listener)
}

// run serves until the context ends, and the metrics beside it.
func run(ctx context.Context, settings config.Config, parts *server.Parts, listener net.Listener) error {
	if settings.Metrics.Listen == "" {
		return parts.Run(ctx, listener)
	}
	metrics, err := net.Listen("tcp", settings.Metrics.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("%w. Choose another address with metrics.listen in the configuration", err), listener.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer cancel() // a server whose metrics ended ends too: nobody would notice
		ended <- parts.ServeMetrics(ctx, metrics)
	}()
	err = parts.Run(ctx, listener)
	cancel()
	return errors.Join(err, <-ended)
}

// leftBehind refuses to begin a new installation on PostgreSQL where the data
// folder holds one: its users and keys would seem to be gone.
func leftBehind(ctx context.Context, records store.Config) error {
	if records.Database == "" || records.Dir == "" || !store.Exists(records.Dir) {
		return nil
	}
	empty, err := store.Empty(ctx, records)
	if err != nil || !empty {
		return err
	}
	return usagef("the database is empty, and the data folder %s holds an installation. Move it: gatehouse store copy; or remove data from the configuration, to begin anew", records.Dir)
}

// keyEncryptionKeys reads the key that seals, and after it those that may still
// open.
func keyEncryptionKeys(ctx context.Context, settings config.Config) ([]keys.KEK, error) {
	var keks []keys.KEK
	for _, source := range append([]config.KeySource{settings.KeyEncryptionKey}, settings.OldKeyEncryptionKeys...) {
		if err := source.Outside(settings.Data); err != nil {
			return nil, &usage{err.Error()}
		}
		raw, err := source.Read(ctx)
		if err != nil {
			return nil, err
		}
		kek, err := keys.NewKEK(raw)
		if err != nil {
			return nil, err
		}
		keks = append(keks, kek)
	}
	return keks, nil
}

// openBlocklist reads the operator's list of passwords to refuse; nil: none.
func openBlocklist(settings config.Config) (*login.Blocklist, error) {
	if settings.Passwords.Blocklist == "" {
		return nil, nil
	}
	list, err := login.OpenBlocklist(settings.Passwords.Blocklist)
	if err != nil {
		return nil, usagef("passwords.blocklist: %s", err)
	}
	return list, nil
}

func feedAccess(settings config.Config) api.FeedAccess {
	if settings.FeedAccess == "private" {
		return api.FeedPrivate
	}
	return api.FeedPublic
}

func proxies(settings config.Config) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, p := range settings.Proxy.Addresses {
		prefixes = append(prefixes, p.Prefix)
	}
	return prefixes
}

func listen(settings config.Config, parts *server.Parts, keks []keys.KEK, logger *slog.Logger) (net.Listener, error) {
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w. Choose another address with listen: in the configuration", err)
	}
	behind := proxies(settings)
	listener = server.Limit(listener, server.Limits{
		Connections: settings.Limits.Connections,
		PerAddress:  settings.Limits.ConnectionsPerAddress,
		Exempt: func(a netip.Addr) bool {
			return slices.ContainsFunc(behind, func(p netip.Prefix) bool { return p.Contains(a) })
		},
	}, logger)
	switch {
	case settings.TLS.ACME.Given():
		return parts.ListenACME(listener, server.ACME{Email: settings.TLS.ACME.Email, Directory: settings.TLS.ACME.Directory}, keks)
	case settings.TLS.Cert != "":
		return server.ListenTLS(listener, settings.TLS.Cert, settings.TLS.Key, logger)
	}
	return listener, nil
}

// explainSealed says what to do about keys that do not open.
func explainSealed(err error) error {
	if errors.Is(err, keys.ErrSealed) {
		return fmt.Errorf("%w. The configured key-encryption key is not the one that sealed these keys: restore that one. Gatehouse never replaces keys that it cannot open", err)
	}
	return err
}

// withConfig adds the flag of the configuration file.
func (a *app) withConfig(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&a.config, "config", "", "configuration file (or GATEHOUSE_CONFIG)")
	return c
}

// settings loads the configuration file that is named.
func (a *app) settings() (config.Config, error) {
	path := a.config
	if path == "" {
		path = os.Getenv("GATEHOUSE_CONFIG")
	}
	if path == "" {
		return config.Config{}, usagef("no configuration: name the file with --config, or in GATEHOUSE_CONFIG")
	}
	settings, err := config.Load(path)
	if err != nil {
		return config.Config{}, &usage{err.Error()}
	}
	return settings, nil
}
