package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/demo"
	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/lab"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// auditConfig reads everything that the flags name. done ends what it began.
func (a *app) auditConfig(ctx context.Context, f *auditing, args []string) (attack.Config, func(), error) {
	c := attack.Config{
		Issuer: f.issuer, Audience: f.audience, AllowDoS: f.allowDoS, Only: f.only, Skip: f.skip, Rate: f.rate, Concurrency: f.concurrency,
		Timeout: f.timeout, Patience: f.patience, Authorized: f.authorized, CallbackListen: f.callbackListen, CallbackURL: f.callbackURL,
		RecoverKey: f.recoverKey, Progress: a.progress(f.quiet), Version: version(), Now: time.Now,
	}
	done := func() {}
	var err error
	if c.Targets, err = f.targetsOf(args); err != nil {
		return c, done, err
	}
	if err := a.readLists(f, &c); err != nil {
		return c, done, err
	}
	signing, done, err := f.signing(ctx)
	if err != nil {
		return c, done, err
	}
	if err := a.tokens(ctx, f, &c, signing); err != nil {
		return c, done, err
	}
	if signing.issuer != "" {
		c.Issuer, c.Audience = or(c.Issuer, signing.issuer), or(c.Audience, signing.audience)
		c.Lab, c.Fetches = signing.signer, signing.fetches
	}
	return c, done, a.findKeys(ctx, f, &c, signing)
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// readLists reads the baseline file, the word list and the extra tokens.
func (a *app) readLists(f *auditing, c *attack.Config) error {
	if f.baseline != "" {
		file, err := os.Open(f.baseline)
		if err != nil {
			return fmt.Errorf("read --baseline: %w", err)
		}
		defer file.Close()
		if c.Accepted, err = attack.ReadAccepted(file); err != nil {
			return usagef("--baseline %s: %v", f.baseline, err)
		}
	}
	if f.wordlist != "" {
		file, err := os.Open(f.wordlist)
		if err != nil {
			return fmt.Errorf("read --wordlist: %w", err)
		}
		defer file.Close()
		if c.Words, err = attack.ReadWordlist(file); err != nil {
			return fmt.Errorf("read --wordlist: %w", err)
		}
	}
	for _, extra := range []struct{ flag, value, row, title string }{
		{"id-token", f.idToken, "T56", "an ID token"}, {"expired", f.expired, "T51", "an expired token"},
		{"other-audience", f.otherAudience, "T54", "a token for another API"}, {"revoked", f.revoked, "T62", "a token from before a logout"},
	} {
		if extra.value == "" {
			continue
		}
		raw, err := a.secretIn(extra.flag, extra.value)
		if err != nil {
			return err
		}
		c.Extra = append(c.Extra, attack.Extra{Row: extra.row, Name: "given-" + extra.flag, Title: extra.title + " that was given", Raw: raw})
	}
	for _, value := range f.second {
		raw, err := a.secretIn("second-token", value)
		if err != nil {
			return err
		}
		c.More = append(c.More, raw)
	}
	return nil
}

// signing is an issuer whose key the auditor has: of a lab, a dev folder, or
// the auditor itself.
type signing struct {
	issuer, audience string
	signer           jose.Signer
	keys             jose.KeySet
	fetches          func() int
	claims           func(map[string]any) map[string]any
}

// signing opens what --lab or --lab-listen names. Only a lab or a dev folder
// gives its keys away: a production authority never signs for an attack (C9).
func (f *auditing) signing(ctx context.Context) (signing, func(), error) {
	none := func() {}
	switch {
	case f.lab != "" && f.labListen != "":
		return signing{}, none, usagef("--lab and --lab-listen are two ways to sign. Use one of them")
	case f.labListen != "":
		return f.beIssuer()
	case f.lab == "":
		return signing{}, none, nil
	case lab.IsFolder(f.lab):
		issuer, err := lab.Load(f.lab)
		if err != nil {
			return signing{}, none, err
		}
		s, err := labSigning(issuer)
		return s, none, err
	case demo.IsDevFolder(f.lab):
		s, err := devSigning(ctx, f.lab)
		return s, none, err
	}
	return signing{}, none, usagef("%s is neither a folder of `gatehouse dev --data` nor of `gatehouse audit lab --data`. Keys of a production authority are never used for an attack", f.lab)
}

func labSigning(issuer *lab.Issuer) (signing, error) {
	signer, err := issuer.Signer("")
	return signing{issuer: issuer.URL(), audience: issuer.Audience(), signer: signer, keys: issuer.Keys(), claims: issuer.Claims}, err
}

// beIssuer starts an issuer in this process, for an API that is configured to
// trust it.
func (f *auditing) beIssuer() (signing, func(), error) {
	none := func() {}
	if f.audience == "" {
		return signing{}, none, usagef("--lab-listen makes the tokens itself, so it needs to know the --audience that the API expects")
	}
	listener, err := net.Listen("tcp", f.labListen)
	if err != nil {
		return signing{}, none, fmt.Errorf("--lab-listen: %w", err)
	}
	if host, _, err := net.SplitHostPort(listener.Addr().String()); err != nil || !net.ParseIP(host).IsLoopback() {
		listener.Close()
		return signing{}, none, usagef("--lab-listen signs whatever it likes, so it listens on this machine only: use 127.0.0.1:PORT")
	}
	url := or(f.issuer, "http://"+listener.Addr().String())
	issuer, err := lab.NewIssuer(url, f.audience, jose.ES256, jose.RS256)
	if err != nil {
		listener.Close()
		return signing{}, none, err
	}
	server := &http.Server{Handler: issuer, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener)
	s, err := labSigning(issuer)
	s.fetches = issuer.Fetches
	return s, func() { server.Close() }, err
}

// devSigning opens the keys of a dev folder.
func devSigning(ctx context.Context, dir string) (signing, error) {
	issuer, audience, err := demo.Names(dir)
	if err != nil {
		return signing{}, err
	}
	kek, err := demo.ReadKEK(dir)
	if err != nil {
		return signing{}, err
	}
	db, err := store.Open(ctx, store.Config{Dir: dir})
	if err != nil {
		return signing{}, err
	}
	service, err := keys.Open(ctx, keys.Config{Records: db, KEKs: []keys.KEK{kek}, Now: db.Now})
	if err != nil {
		return signing{}, errors.Join(err, db.Close())
	}
	signer, err := service.Signer(ctx, string(jose.ES256))
	s := signing{issuer: issuer, audience: audience, signer: signer, keys: service.Published()}
	if made, err := lab.NewIssuer(issuer, audience, jose.ES256); err == nil {
		s.claims = made.Claims // its key is not used
	}
	return s, errors.Join(err, db.Close())
}

// tokens sets where valid tokens come from.
func (a *app) tokens(ctx context.Context, f *auditing, c *attack.Config, s signing) error {
	switch {
	case f.token != "" && f.loginClient != "":
		return usagef("--token and --login-client are two sources of valid tokens. Use one of them")
	case f.token != "":
		raw, err := a.secretIn("token", f.token)
		if err != nil {
			return err
		}
		if _, err := jose.Parse(raw); err != nil {
			return usagef("--token holds no signed JWT (%v). The auditor forges JWTs; opaque tokens cannot be attacked this way", err)
		}
		c.Token = func(context.Context) (string, error) { return raw, nil }
	case f.loginClient != "":
		return a.login(ctx, f, c)
	case s.claims != nil:
		scope := or(f.scope, "orders:read orders:write")
		c.Token = func(context.Context) (string, error) {
			return s.signer.Sign(forge.AccessToken, s.claims(map[string]any{"scope": scope}))
		}
	default:
		return usagef("the auditor needs a valid token to compare with: give --token @FILE, --login-client, or --lab DIR")
	}
	return nil
}

// login obtains tokens by client credentials (RFC 6749 §4.4), anew whenever the
// one in use is about to end.
func (a *app) login(ctx context.Context, f *auditing, c *attack.Config) error {
	if f.issuer == "" || f.loginSecret == "" {
		return usagef("--login-client needs --issuer URL and --login-secret @FILE")
	}
	secret, err := a.secretIn("login-secret", f.loginSecret)
	if err != nil {
		return err
	}
	endpoint, err := attack.TokenEndpoint(ctx, f.issuer)
	if err != nil {
		return err
	}
	config := clientcredentials.Config{ClientID: f.loginClient, ClientSecret: secret, TokenURL: endpoint, Scopes: strings.Fields(f.scope)}
	if f.audience != "" {
		config.EndpointParams = map[string][]string{"resource": {f.audience}}
	}
	var mu sync.Mutex
	c.Token = func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		token, err := config.Token(ctx)
		if err != nil {
			return "", fmt.Errorf("log in as %s: %w", f.loginClient, err)
		}
		return token.AccessToken, nil
	}
	if _, err := c.Token(ctx); err != nil {
		return err
	}
	return nil
}

// findKeys finds the issuer's public keys: the lab's, those that were named, or
// by discovery. Without them some attacks cannot be made, and the report says so.
func (a *app) findKeys(ctx context.Context, f *auditing, c *attack.Config, s signing) error {
	var published attack.Published
	var err error
	switch {
	case f.publicKey != "":
		content, err := os.ReadFile(f.publicKey)
		if err != nil {
			return fmt.Errorf("read --public-key: %w", err)
		}
		key, certificate, err := publicKeyIn(content, a.algorithmOf(ctx, c))
		if err != nil {
			return usagef("--public-key %s: %v. It is a PEM file that begins with BEGIN PUBLIC KEY or BEGIN CERTIFICATE", f.publicKey, err)
		}
		c.Keys = jose.NewKeySet(key)
		if certificate != nil {
			c.Certificates = [][]byte{certificate}
		}
		return nil
	case strings.HasPrefix(f.jwks, "http://"), strings.HasPrefix(f.jwks, "https://"):
		if published, err = attack.FetchKeys(ctx, f.jwks); err != nil {
			return fmt.Errorf("--jwks: %w", err)
		}
	case f.jwks != "":
		content, err := os.ReadFile(f.jwks)
		if err != nil {
			return fmt.Errorf("read --jwks: %w", err)
		}
		set, _, err := jose.ParseKeySet(content)
		if err != nil {
			return usagef("--jwks %s: %v", f.jwks, err)
		}
		published = attack.Published{Keys: set, Document: content}
	case s.keys.Len() > 0:
		published, _ = attack.DiscoverKeys(ctx, s.issuer) // the document is looked at; the keys are known
		published.Keys = s.keys
	default:
		issuer := c.Issuer
		if issuer == "" {
			issuer = a.issuerOf(ctx, c)
		}
		if issuer == "" {
			c.KeysNote = "the token names no issuer"
			return nil
		}
		if published, err = attack.DiscoverKeys(ctx, issuer); err != nil {
			c.KeysNote = err.Error()
		}
	}
	c.Keys, c.KeysDocument = published.Keys, published.Document
	return nil
}

func (a *app) issuerOf(ctx context.Context, c *attack.Config) string {
	raw, err := c.Token(ctx)
	if err != nil {
		return ""
	}
	return attack.IssuerOf(raw)
}

// publicKeyIn reads a public key or the X.509 certificate of one, whose DER is
// certificate then. The key is one for the algorithm of the valid token, where
// it fits: PEM does not say whether an RSA key signs with RS256 or PS256.
func publicKeyIn(content []byte, algorithm jose.Algorithm) (key jose.Key, certificate []byte, err error) {
	if block, _ := pem.Decode(content); block != nil && block.Type == "CERTIFICATE" {
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return jose.Key{}, nil, err
		}
		der, err := x509.MarshalPKIXPublicKey(parsed.PublicKey)
		if err != nil {
			return jose.Key{}, nil, err
		}
		certificate, content = block.Bytes, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	if key, err = jose.ParsePublicPEM(content); err != nil {
		return jose.Key{}, nil, err
	}
	if fitting, err := jose.NewKey(algorithm, key.Public()); err == nil {
		key = fitting
	}
	return key, certificate, nil
}

func (a *app) algorithmOf(ctx context.Context, c *attack.Config) jose.Algorithm {
	raw, err := c.Token(ctx)
	if err != nil {
		return ""
	}
	return attack.AlgorithmOf(raw)
}
