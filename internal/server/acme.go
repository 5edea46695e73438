package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
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
	manager := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      vault{secrets: p.Store, safe: keys.NewSafe(keks...)},
		HostPolicy: autocert.HostWhitelist(issuer.Hostname()),
		Email:      a.Email,
	}
	if a.Directory != "" {
		manager.Client = &acme.Client{DirectoryURL: a.Directory}
	}
	config := manager.TLSConfig()
	config.MinVersion = tls.VersionTLS12
	get := config.GetCertificate
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		certificate, err := get(hello)
		if err != nil {
			p.logger.Warn("no certificate", "name", iam.Printable(hello.ServerName, 64), "cause", err)
		}
		return certificate, err
	}
	return tls.NewListener(l, config), nil
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
