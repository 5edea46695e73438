package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/api"
	"github.com/gatehouse-auth/gatehouse/internal/broadcast"
	"github.com/gatehouse-auth/gatehouse/internal/dial"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Config of an authority. Issuer, Dir and KEKs are required.
type Config struct {
	Issuer string
	Dir    string // the data folder
	// Database is the address of PostgreSQL, with its password; "" for SQLite in Dir.
	Database, DatabasePassword string
	// Connections to PostgreSQL at most; 0: store.DefaultConnections.
	Connections  int
	KEKs         []keys.KEK
	PublishAhead time.Duration // of planned key rotations
	RotateEvery  time.Duration // how long a key signs; 0: keys.DefaultRotateEvery
	Now          func() time.Time
	Logger       *slog.Logger
	// Proxies terminate TLS in front of this server; nil: nobody does.
	Proxies []netip.Prefix
	// Blocklist is the operator's list of passwords to refuse; nil: none.
	Blocklist *login.Blocklist
	// Outgoing bounds what is fetched from addresses that clients name (C34).
	Outgoing dial.Config
	// Home answers what no endpoint does; nil: 404.
	Home http.Handler
	// FeedAccess says who may read the revocation feed; zero: everybody (C19).
	FeedAccess api.FeedAccess
	// Canary measures every minute how long a revocation takes to reach a verifier
	// that follows the feed at the issuer's address.
	Canary bool
	// Branding of the pages; its Host, Now and Logger are filled in.
	Branding page.Config
}

// Parts is an authority that is put together but does not listen yet.
type Parts struct {
	Store     *store.Copies
	Keys      *keys.Service
	Directory *directory.Service
	Setup     *directory.Setup
	Logins    *login.Service
	Sessions  *login.Sessions
	Tokens    *token.Service
	Pages     *page.Pages
	Feed      *broadcast.Hub // runs in Run
	Handler   http.Handler
	throttle  *throttle.Throttle
	outgoing  *http.Client
	now       func() time.Time
	own       func() time.Time // this machine's clock, which runs on while it sleeps
	pool      *jwks.Pool
	issuer    string
	logger    *slog.Logger

	rotateEvery time.Duration
	node        string // the name of this process in leases
	passwords   *login.Passwords
	canary      canary
	sings       bool
	durable     durable
}

// clockTolerance is how far this machine's clock may be from the database's
// before the log says so.
const clockTolerance = 2 * time.Second

// Assemble opens the store and the keys and introduces the services.
func Assemble(ctx context.Context, c Config) (*Parts, error) {
	records := store.Config{Dir: c.Dir, Database: c.Database, DatabasePassword: c.DatabasePassword, Connections: c.Connections, Now: c.Now}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	records.Logger = c.Logger
	db, err := store.Open(ctx, records)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	own := c.Now
	if c.Database != "" {
		if off := c.Now().Sub(db.Now()); off.Abs() > clockTolerance {
			c.Logger.Warn("this machine's clock differs from the database's, which is the one that counts", "by", off.Round(time.Second).String())
		}
		c.Now = db.Now
	}
	p := &Parts{Store: store.NewCopies(db), issuer: c.Issuer, logger: c.Logger, now: c.Now, own: own, outgoing: dial.New(c.Outgoing), rotateEvery: cmp.Or(c.RotateEvery, keys.DefaultRotateEvery), node: newNode(), sings: c.Canary && c.FeedAccess != api.FeedPrivate}
	if err := p.assemble(ctx, c); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return p, nil
}

func (p *Parts) assemble(ctx context.Context, c Config) (err error) {
	if err := p.Store.Bind(ctx, c.Issuer); err != nil {
		return err
	}
	if p.throttle, err = p.newThrottle(ctx, c.Now); err != nil {
		return err
	}
	p.Keys, err = keys.Open(ctx, keys.Config{Records: p.Store, KEKs: c.KEKs, PublishAhead: c.PublishAhead, Now: p.own, Logger: c.Logger})
	if err != nil {
		return err
	}
	p.passwords = login.NewPasswordsWith(login.PasswordConfig{
		Blocklist: func() (*login.Blocklist, error) { return c.Blocklist, nil }, Words: issuerWords(c.Issuer),
	})
	p.Directory, err = directory.New(directory.Config{APIs: p.Store, Roles: p.Store, Users: p.Store, Clients: p.Store, Logins: p.Store, Passwords: p.passwords, Now: c.Now})
	if err != nil {
		return err
	}
	p.Setup = directory.NewSetup(p.Directory, p.Store)
	p.Logins, err = login.New(login.Config{Users: p.Store, Changes: p.Store, Passwords: p.passwords, Throttle: p.throttle, Now: c.Now})
	if err != nil {
		return err
	}
	p.Sessions, err = login.NewSessions(p.Store, c.Now)
	if err != nil {
		return err
	}
	p.pool, err = jwks.NewPool(jwks.PoolConfig{HTTPClient: p.outgoing, Now: c.Now, Logger: c.Logger})
	if err != nil {
		return err
	}
	p.Tokens, err = token.New(token.Config{
		Issuer: c.Issuer, People: p.Store, Grants: p.Store, Revocations: p.Store, Requests: p.Store,
		Proofs: p.Store, ClientKeys: p.pool, Signer: p.Keys, Sealer: p.Keys, Grace: iam.RefreshGrace, Now: c.Now,
	})
	if err != nil {
		return err
	}
	p.Feed, err = broadcast.New(broadcast.Config{Issuer: c.Issuer, Keys: p.Keys, Now: c.Now, Logger: c.Logger,
		Follow: func() broadcast.Tail { return p.Store.TailRevocations(0) }})
	if err != nil {
		return err
	}
	return p.routes(c)
}

// issuerWords are what this installation is called: no password of its own.
func issuerWords(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil
	}
	return []string{u.Hostname()}
}

func (p *Parts) routes(c Config) error {
	mux, err := api.Routes(api.Config{Issuer: c.Issuer, Tokens: p.Tokens, Logins: p.Logins, Keys: p.Keys, Records: p.Store, Feed: p.Feed, Troubles: p, FeedAccess: c.FeedAccess, Logger: c.Logger, Locales: page.Languages})
	if err != nil {
		return err
	}
	if err := p.signOn(c, mux); err != nil {
		return err
	}
	if c.Home == nil {
		c.Home = http.HandlerFunc(respond.NotFound)
	}
	mux.Handle("/", c.Home)
	mux.Handle("/setup", web.Setup(p.Setup, c.Logger))
	mux.Handle("POST /csp-report", page.Reports(c.Logger, c.Now))
	h := respond.Secure(respond.Host(c.Issuer, mux))
	if len(c.Proxies) > 0 {
		h = respond.Proxied(c.Proxies, h)
	}
	p.Handler = respond.Identify(h)
	return nil
}

// signOn adds the pages.
func (p *Parts) signOn(c Config, mux *http.ServeMux) error {
	u, err := url.Parse(c.Issuer)
	if err != nil {
		return fmt.Errorf("read the issuer: %w", err)
	}
	c.Branding.Host, c.Branding.Now, c.Branding.Logger = u.Host, c.Now, c.Logger
	if p.Pages, err = page.New(c.Branding); err != nil {
		return err
	}
	return web.SignOn(mux, web.Config{Issuer: c.Issuer, Pages: p.Pages, Tokens: p.Tokens, Logins: p.Logins, Sessions: p.Sessions, Records: p.Store,
		Forms: p.Keys, Keys: p.Keys, Guesses: p.throttle, Logger: c.Logger, Now: c.Now})
}

// Close ends what Assemble opened.
func (p *Parts) Close() error { return errors.Join(p.pool.Close(), p.Store.Close()) }
