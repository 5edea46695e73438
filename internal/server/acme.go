package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/visit"
)

// ACME is an account at a certificate authority (RFC 8555). Whoever sets it
// has accepted the authority's terms.
type ACME struct {
	Email     string
	Directory string // empty: Let's Encrypt
}

// ListenACME wraps a listener with certificates that are issued for the host of
// the issuer and for no other name, proven by TLS-ALPN-01 on this very listener
// (RFC 8737) and renewed by themselves.
func (p *Parts) ListenACME(l net.Listener, a ACME, keks []keys.KEK) (net.Listener, error) {
	issuer, err := url.Parse(p.issuer)
	if err != nil {
		return nil, fmt.Errorf("read the issuer: %w", err)
	}
	return listenACME(l, a, issuer.Hostname(), vault{secrets: p.Store, safe: keys.NewSafe(keks...)}, p.logger), nil
}

// ListenGatewayACME is ListenACME for a gateway and its own name. Account and
// certificates lie in its vault.
func ListenGatewayACME(l net.Listener, a ACME, host string, v *visit.Vault, logger *slog.Logger) net.Listener {
	return listenACME(l, a, host, files{v}, logger)
}

func listenACME(l net.Listener, a ACME, host string, cache autocert.Cache, logger *slog.Logger) net.Listener {
	manager := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: cache, HostPolicy: autocert.HostWhitelist(host), Email: a.Email}
	if a.Directory != "" {
		manager.Client = &acme.Client{DirectoryURL: a.Directory}
	}
	config := manager.TLSConfig()
	config.MinVersion = tls.VersionTLS12
	get := config.GetCertificate
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		certificate, err := get(hello)
		if err != nil {
			logger.Warn("no certificate", "name", iam.Printable(hello.ServerName, 64), "cause", err)
		}
		return certificate, err
	}
	return tls.NewListener(l, config)
}

// files keeps the ACME account and certificates of a gateway.
type files struct{ *visit.Vault }

// Get implements autocert.Cache.
func (f files) Get(ctx context.Context, name string) ([]byte, error) {
	data, err := f.Vault.Get(ctx, name)
	if errors.Is(err, visit.ErrNone) {
		return nil, autocert.ErrCacheMiss
	}
	return data, err
}

// secrets is where sealed secrets lie; *store.DB satisfies it.
type secrets interface {
	Secret(ctx context.Context, purpose iam.Purpose, id iam.KeyID) (string, error)
	PutSecret(ctx context.Context, s iam.Sealed) error
	DropSecret(ctx context.Context, purpose iam.Purpose, id iam.KeyID) error
}

// vault keeps the ACME account and certificates sealed in the store (C23).
type vault struct {
	secrets secrets
	safe    keys.Safe
}

// Get implements autocert.Cache.
func (v vault) Get(ctx context.Context, name string) ([]byte, error) {
	sealed, err := v.secrets.Secret(ctx, iam.ACMEData, iam.KeyID(name))
	if errors.Is(err, iam.ErrNotFound) {
		return nil, autocert.ErrCacheMiss
	}
	if err != nil {
		return nil, err
	}
	return v.safe.Open(iam.ACMEData, iam.KeyID(name), sealed)
}

// Put implements autocert.Cache.
func (v vault) Put(ctx context.Context, name string, data []byte) error {
	id := iam.KeyID(name)
	return v.secrets.PutSecret(ctx, iam.Sealed{Purpose: iam.ACMEData, ID: id, Sealed: v.safe.Seal(iam.ACMEData, id, data)})
}

// Delete implements autocert.Cache.
func (v vault) Delete(ctx context.Context, name string) error {
	return v.secrets.DropSecret(ctx, iam.ACMEData, iam.KeyID(name))
}
