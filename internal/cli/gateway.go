package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/internal/visit"
)

const defaultGatewayListen = "127.0.0.1:8090"

// gatewayFlags are the command line of `gatehouse gateway`.
type gatewayFlags struct {
	to, issuer, audience, profile string
	policy                        string
	listen, cert, key             string
	proxies                       []string
	forwardAuth                   string
	acme                          string
	acmeEmail, acmeDirectory      string
	data, keyFile, identityIssuer string
	database, passwordFile        string
	bff                           bool
	clientID, secretFile          string
	externalURL                   string
	scopes                        []string
	decisions, metrics            string
	readerID, readerSecretFile    string
	timeout                       time.Duration
	json                          bool
}

func (a *app) gatewayCommand() *cobra.Command {
	var f gatewayFlags
	c := &cobra.Command{
		Use:   "gateway",
		Short: "Protect an API in any language: a reverse proxy, or the answers for yours",
		Long: `Run a gateway: a reverse proxy that lets requests through to an API only with a
valid token, by a policy that says who may call what. Without a policy every
route needs a valid token; the policy that this is equal to is printed.

With --forward-auth it answers your own proxy instead, which asks about each
request at /forward-auth: nginx (auth_request), Caddy and Traefik
(forward_auth), HAProxy. Only the proxies that --trusted-proxy names may ask.

With --bff it is the backend of a browser app: people sign in at the issuer, the
browser gets an opaque cookie and never a token, and requests with the cookie
are decided about by the same policy.

It listens on loopback in the clear. For other machines give it a certificate
(--tls-cert, --tls-key), let it get one (--acme NAME), or name the proxy that terminates TLS (--trusted-proxy).
The policy is read again when its file changes, and at SIGHUP; a policy with a
fault is not taken, and the old one stays.`,
		Example: `  gatehouse gateway --to http://127.0.0.1:3000 --issuer https://auth.example.com --audience https://api.example.com
  gatehouse gateway --policy policy.yaml --decisions decisions.ndjson
  gatehouse gateway --policy policy.yaml --to h2c://127.0.0.1:50051
  gatehouse gateway --policy policy.yaml --listen :443 --acme api.example.com --data ./gateway
  gatehouse gateway --policy policy.yaml --forward-auth nginx --trusted-proxy 127.0.0.1
  gatehouse gateway --policy policy.yaml --data ./gateway --bff --client-id app --client-secret-file app.secret --external-url https://app.example.com`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.gateway(c, f) },
	}
	c.AddCommand(a.gatewayProbe())
	flags := c.Flags()
	flags.StringVar(&f.to, "to", "", "the API: http://HOST:PORT, https://HOST:PORT, or h2c://HOST:PORT for gRPC in the clear (default: upstream of the policy)")
	flags.StringVar(&f.issuer, "issuer", "", "whose tokens are taken, where there is no policy")
	flags.StringVar(&f.audience, "audience", "", "what the tokens must be for, as in their aud claim")
	flags.StringVar(&f.profile, "profile", "rfc9068", "what the issuer's tokens look like: "+strings.Join(policy.Profiles, ", "))
	flags.StringVar(&f.policy, "policy", "", "the file that says who may call what")
	flags.StringVar(&f.listen, "listen", defaultGatewayListen, "address to listen on, port 0 for a free one")
	flags.StringVar(&f.cert, "tls-cert", "", "certificate file, taken up again when it is renewed")
	flags.StringVar(&f.key, "tls-key", "", "file of the certificate's key")
	flags.StringVar(&f.acme, "acme", "", "get certificates for this name of the gateway from Let's Encrypt; accepts its terms of service; needs --data")
	flags.StringVar(&f.acmeEmail, "acme-email", "", "address of the ACME account")
	flags.StringVar(&f.acmeDirectory, "acme-directory", "", "URL of another ACME authority's directory")
	flags.StringSliceVar(&f.proxies, "trusted-proxy", nil, "address or range of a proxy that is believed, such as 10.0.0.5 (default: none)")
	flags.StringVar(&f.forwardAuth, "forward-auth", "", "answer a proxy of this kind at /forward-auth: nginx, haproxy, caddy or traefik")
	flags.StringVar(&f.data, "data", "", "folder of this gateway's own: its keys, the sessions of browsers, certificates, and copies of the issuers' keys for a restart while they are down")
	flags.StringVar(&f.keyFile, "key-file", "", "file with the key that seals sessions and certificates, 32 random bytes (default: one in --data, made when there is none)")
	flags.StringVar(&f.database, "database", "", "with --bff: where several gateways keep sessions together, as postgres://USER@HOST/DATABASE; needs --key-file")
	flags.StringVar(&f.passwordFile, "database-password-file", "", "file with the password of the database's user (default: PGPASSWORD or ~/.pgpass)")
	flags.StringVar(&f.identityIssuer, "identity-issuer", "", "URL that names this gateway in signed identities")
	flags.BoolVar(&f.bff, "bff", false, "sign browsers in and keep their tokens here; needs --client-id, --client-secret-file, --external-url and --data")
	flags.StringVar(&f.clientID, "client-id", "", "with --bff: the gateway's own client at the issuer, a confidential one")
	flags.StringVar(&f.secretFile, "client-secret-file", "", "with --bff: file with the client's secret")
	flags.StringVar(&f.externalURL, "external-url", "", "with --bff: the origin that browsers see, such as https://app.example.com")
	flags.StringSliceVar(&f.scopes, "scope", nil, "with --bff: what to ask for at the sign-in (default openid,profile)")
	flags.StringVar(&f.decisions, "decisions", "", "file that gets each decision as a line of JSON")
	flags.StringVar(&f.metrics, "metrics-listen", "", "address of a listener for /metrics alone, such as 127.0.0.1:9090")
	flags.StringVar(&f.readerID, "reader-id", "", "this API's client at the issuer, which is asked about tokens while revocations are not known (with --bff: its own client)")
	flags.StringVar(&f.readerSecretFile, "reader-secret-file", "", "file with the secret of that client")
	flags.DurationVar(&f.timeout, "timeout", 0, "how long the API may take to begin its answer (default 1m)")
	flags.BoolVar(&f.json, "json", false, "print one line of JSON when ready; logs go to standard error")
	return c
}

func (a *app) gateway(c *cobra.Command, f gatewayFlags) error {
	logger := slog.New(slog.NewTextHandler(a.Err, nil))
	config, err := f.config(logger)
	if err != nil {
		return err
	}
	if f.decisions != "" {
		file, err := os.OpenFile(f.decisions, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open the decision log: %w", err)
		}
		defer file.Close()
		config.Decisions = file
	}
	g, err := gateway.New(config)
	if err != nil {
		return f.explain(err)
	}
	defer g.Close()
	listener, err := f.open(config.TrustedProxies, logger)
	if err != nil {
		return err
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	defer signal.Stop(asked)
	go g.Watch(c.Context(), asked)
	if err := f.announce(a.Out, listener.Addr(), config); err != nil {
		return err
	}
	if stop, err := f.measure(c.Context(), g, logger); err != nil {
		return errors.Join(err, listener.Close())
	} else {
		defer stop()
	}
	logger.Info("ready", "listen", listener.Addr().String())
	return server.ServeGateway(c.Context(), g, logger, listener)
}

// explain tells mistakes in the command line and in the policy from trouble.
func (f gatewayFlags) explain(err error) error {
	var faults *os.PathError
	switch {
	case errors.Is(err, gateway.ErrNothingToDo):
		return usagef("%s. Give --to http://HOST:PORT, or --forward-auth with the kind of your proxy", err)
	case errors.As(err, &faults), errors.Is(err, visit.ErrDatabase):
		return err
	}
	return &usage{err.Error()}
}

// config checks what the flags say together.
func (f gatewayFlags) config(logger *slog.Logger) (gateway.Config, error) {
	config := gateway.Config{PolicyFile: f.policy, Upstream: f.to, Data: f.data, KeyFile: f.keyFile, Database: f.database, IdentityIssuer: f.identityIssuer, Timeout: f.timeout, Logger: logger}
	switch {
	case f.policy != "" && (f.issuer != "" && !f.bff || f.audience != ""):
		return config, usagef("--policy says whose tokens are taken: leave out --issuer and --audience")
	case f.policy == "" && (f.issuer == "" || f.audience == ""):
		return config, usagef("whose tokens? Give --issuer URL and --audience URI, or a policy with --policy FILE")
	case (f.cert == "") != (f.key == ""):
		return config, usagef("--tls-cert and --tls-key belong together")
	case f.acme != "" && f.cert != "":
		return config, usagef("certificates come from files or from --acme, not from both")
	case f.acme == "" && (f.acmeEmail != "" || f.acmeDirectory != ""):
		return config, usagef("--acme-email and --acme-directory are for certificates: give --acme NAME too")
	case f.acme != "" && f.data == "":
		return config, usagef("--acme keeps an account and certificates: give it a folder with --data FOLDER")
	case f.acme != "" && (net.ParseIP(f.acme) != nil || !strings.Contains(f.acme, ".") || strings.ContainsAny(f.acme, ":/*")):
		return config, usagef("--acme %q: certificates are issued for a domain name, such as api.example.com", f.acme)
	case f.acmeDirectory != "" && !strings.HasPrefix(f.acmeDirectory, "https://"):
		return config, usagef("--acme-directory %q must be https", f.acmeDirectory)
	case f.timeout < 0:
		return config, usagef("--timeout is negative")
	}
	if f.policy == "" {
		config.Policy = f.oneLine()
	}
	var err error
	if config.BFF, err = f.browsers(); err != nil {
		return config, err
	}
	if config.DatabasePassword, err = f.shared(); err != nil {
		return config, err
	}
	if config.Reader, err = f.reader(); err != nil {
		return config, err
	}
	if f.to != "" {
		if _, err := gateway.ParseUpstream(f.to); err != nil {
			return config, &usage{err.Error()}
		}
	}
	if f.forwardAuth != "" {
		if config.ForwardAuth, err = gateway.CarrierOf(f.forwardAuth); err != nil {
			return config, usagef("--forward-auth: %s", err)
		}
	}
	for _, text := range f.proxies {
		prefix, err := netip.ParsePrefix(text)
		if address, single := netip.ParseAddr(text); single == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return config, usagef("--trusted-proxy: %q is not an address or a range such as 10.0.0.0/8", text)
		}
		config.TrustedProxies = append(config.TrustedProxies, prefix.Masked())
	}
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return config, usagef("--listen: %q is not of the form HOST:PORT, such as %s", f.listen, defaultGatewayListen)
	}
	ip := net.ParseIP(host)
	config.ProxiesOnly = f.cert == "" && f.acme == "" && host != "localhost" && (ip == nil || !ip.IsLoopback())
	return config, nil
}

// browsers is what --bff says, nil without it.
func (f gatewayFlags) browsers() (*gateway.BFF, error) {
	given := f.clientID != "" || f.secretFile != "" || f.externalURL != "" || len(f.scopes) > 0
	switch {
	case !f.bff && given:
		return nil, usagef("--client-id, --client-secret-file, --external-url and --scope are for browsers: give --bff too")
	case !f.bff:
		return nil, nil
	case f.clientID == "" || f.secretFile == "" || f.externalURL == "" || f.data == "":
		return nil, usagef("--bff needs --client-id ID, --client-secret-file FILE, --external-url URL and --data FOLDER. Register the client with: gatehouse client create ID --confidential --redirect-uri URL%s", "/.gatehouse/callback")
	}
	secret, err := os.ReadFile(f.secretFile)
	if err != nil {
		return nil, fmt.Errorf("read the client's secret: %w", err)
	}
	text := strings.TrimSpace(string(secret))
	if text == "" {
		return nil, usagef("--client-secret-file: %s is empty", f.secretFile)
	}
	return &gateway.BFF{ExternalURL: strings.TrimSuffix(f.externalURL, "/"), ClientID: f.clientID, ClientSecret: text, Issuer: f.issuer, Scopes: f.scopes}, nil
}

// reader is who asks about tokens.
func (f gatewayFlags) reader() (guard.Reader, error) {
	switch {
	case f.readerID == "" && f.readerSecretFile == "":
		return guard.Reader{}, nil
	case f.readerID == "" || f.readerSecretFile == "":
		return guard.Reader{}, usagef("--reader-id and --reader-secret-file belong together")
	}
	secret, err := readSecret("--reader-secret-file", f.readerSecretFile)
	return guard.Reader{ClientID: f.readerID, ClientSecret: secret}, err
}

// readSecret reads a file that holds one secret.
func readSecret(flag, name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read the secret of %s: %w", flag, err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", usagef("%s: %s is empty", flag, name)
	}
	return secret, nil
}

// shared is the password of a database that several gateways use.
func (f gatewayFlags) shared() (password string, err error) {
	switch {
	case f.database == "" && f.passwordFile != "":
		return "", usagef("--database-password-file is for a database: give --database too")
	case f.database == "":
		return "", nil
	case !f.bff:
		return "", usagef("--database is for the sessions of browsers: give --bff too")
	case f.keyFile == "":
		return "", usagef("gateways that share a database need the same key. Make one and give each a copy with --key-file: head -c 32 /dev/urandom > gateway.key")
	}
	u, err := url.Parse(f.database)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", usagef("--database is not of the form postgres://USER@HOST/DATABASE")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return "", usagef("--database has a password in it, which everybody on this machine can see. Take it out, and give --database-password-file FILE")
	}
	if f.passwordFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(f.passwordFile)
	if err != nil {
		return "", fmt.Errorf("read the database's password: %w", err)
	}
	if password = strings.TrimRight(string(text), "\r\n"); password == "" {
		return "", usagef("--database-password-file: %s is empty", f.passwordFile)
	}
	return password, nil
}

// oneLine is the policy of a gateway that has none.
func (f gatewayFlags) oneLine() []byte {
	quoted := func(s string) string { // JSON is YAML
		text, _ := json.Marshal(s)
		return string(text)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\ntokens:\n  - issuer: %s\n    audience: %s\n", quoted(f.issuer), quoted(f.audience))
	if f.profile != "rfc9068" {
		fmt.Fprintf(&b, "    profile: %s\n", quoted(f.profile))
	}
	if strings.HasPrefix(f.to, "http") {
		fmt.Fprintf(&b, "upstream: %s\n", quoted(strings.TrimSuffix(f.to, "/")))
	}
	b.WriteString("identity_headers: { X-User-Id: token.sub, X-Client-Id: token.client_id, X-Scope: token.scope }\nroutes:\n  - GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS /**: {}   # any valid token\n")
	return []byte(b.String())
}

// measure serves /metrics on a listener of its own.
func (f gatewayFlags) measure(ctx context.Context, g *gateway.Gateway, logger *slog.Logger) (stop func(), err error) {
	if f.metrics == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", f.metrics)
	if err != nil {
		return nil, fmt.Errorf("%w. Choose another address with --metrics-listen", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", g.Metrics())
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := server.Serve(ctx, mux, logger, l); err != nil {
			logger.Error("metrics are not served any more", "cause", err)
		}
	})
	logger.Info("metrics", "listen", l.Addr().String())
	return func() { cancel(); ended.Wait() }, nil
}

func (f gatewayFlags) open(proxies []netip.Prefix, logger *slog.Logger) (net.Listener, error) {
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return nil, fmt.Errorf("%w. Choose another address with --listen", err)
	}
	listener = server.Limit(listener, server.Limits{Exempt: func(a netip.Addr) bool {
		for _, p := range proxies {
			if p.Contains(a) {
				return true
			}
		}
		return a.IsLoopback()
	}}, logger)
	switch {
	case f.acme != "":
		vault, err := visit.OpenVault(f.data, f.keyFile)
		if err != nil {
			return nil, errors.Join(err, listener.Close())
		}
		return server.ListenGatewayACME(listener, server.ACME{Email: f.acmeEmail, Directory: f.acmeDirectory}, f.acme, vault, logger), nil
	case f.cert == "":
		return listener, nil
	}
	return server.ListenTLS(listener, f.cert, f.key, logger)
}

// announce prints where the gateway is and, without a policy, what it is equal to.
func (f gatewayFlags) announce(out io.Writer, address net.Addr, config gateway.Config) error {
	scheme := "http"
	if f.cert != "" || f.acme != "" {
		scheme = "https"
	}
	at := scheme + "://" + address.String()
	if f.json {
		return json.NewEncoder(out).Encode(map[string]string{"gateway": at, "policy": string(config.Policy)})
	}
	if f.policy != "" {
		fmt.Fprintf(out, "Gateway at %s, by the policy in %s.\n", at, f.policy)
		return nil
	}
	fmt.Fprintf(out, "Gateway at %s. Every route needs a valid token, as in this policy:\n\n%s\n", at, config.Policy)
	return nil
}
