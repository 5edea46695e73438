package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/demo"
	"github.com/gatehouse-auth/gatehouse/internal/dial"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

func (a *app) serveCommand() *cobra.Command {
	return a.withConfig(&cobra.Command{
		Use:   "serve",
		Short: "Run the authorization server",
		Long: `Run the authorization server of a configuration file:

  issuer: https://auth.example.com
  listen: :443
  data: /var/lib/gatehouse
  tls: { cert: /etc/gatehouse/cert.pem, key: /etc/gatehouse/key.pem }
  key_encryption_key: { file: /etc/gatehouse/kek }

The key-encryption key is 32 random bytes in base64 (openssl rand -base64 32),
outside the data folder. Without it the server does not start.`,
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
	if demo.IsDevFolder(settings.Data) {
		return usagef("%s is a folder of `gatehouse dev`, whose secrets lie in it in the clear. Use another data folder", settings.Data)
	}
	raw, err := settings.KeyEncryptionKey.Read(c.Context())
	if err != nil {
		return err
	}
	kek, err := keys.NewKEK(raw)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(a.Err, nil))
	parts, err := server.Assemble(c.Context(), server.Config{Issuer: settings.Issuer, Dir: settings.Data, KEKs: []keys.KEK{kek}, PublishAhead: keys.DefaultPublishAhead,
		Outgoing: dial.Config{Ports: settings.Outgoing.Ports, Networks: settings.Outgoing.Prefixes()}, Logger: logger})
	if err != nil {
		return explainSealed(err)
	}
	defer parts.Close()
	listener, err := listen(settings)
	if err != nil {
		return err
	}
	logger.Info("ready", "issuer", settings.Issuer, "listen", listener.Addr().String())
	return parts.Run(c.Context(), listener)
}

func listen(settings config.Config) (net.Listener, error) {
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w. Choose another address with listen: in the configuration", err)
	}
	if settings.TLS.Cert == "" {
		return listener, nil
	}
	return server.ListenTLS(listener, settings.TLS.Cert, settings.TLS.Key)
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
