package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/dial"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// Addresses of dev when no flag names others.
const (
	DefaultListen    = "localhost:8080"
	DefaultAPIListen = "localhost:8081"
	// The two web apps are on two host names, so that a browser takes them for
	// two sites, as apps of different people are.
	DefaultShopListen    = "localhost:8082"
	DefaultParcelsListen = "127.0.0.1:8083"
	DefaultDeskListen    = "localhost:8084"
)

// Options of `gatehouse dev`. An empty address means the default, an empty
// Data a fresh temporary folder that is deleted at the end.
type Options struct {
	Listen        string
	APIListen     string
	ShopListen    string
	ParcelsListen string
	DeskListen    string
	Data          string
	JSON          bool
	Out           io.Writer // the screen, or the one line of --json
	Logger        *slog.Logger
}

// run is one dev run.
type run struct {
	folder   folder
	ports    ports
	parts    *server.Parts
	guard    *guard.Guard
	seeded   seeded
	issuer   string
	audience string
	service  string
	shop     string
	parcels  string
	desk     string
	out      io.Writer
	logger   *slog.Logger
	home     home
}

// Run starts everything, prints what a newcomer needs, and serves until ctx
// ends. A mistake in the command line is a *Usage.
func Run(ctx context.Context, o Options) (err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f, err := openFolder(o.Data)
	if err != nil {
		return &Usage{err.Error()}
	}
	defer func() {
		if ctx.Err() != nil {
			err = nil // Ctrl-C in the middle of the start is an end like any other
		}
		err = errors.Join(err, f.remove())
	}()
	p, err := o.listen(f)
	if err != nil {
		return err
	}
	r := &run{folder: f, ports: p, out: o.Out, logger: o.Logger}
	r.issuer, r.audience, r.service = localhost(p.issuer), localhost(p.api), localhost(p.service)
	r.shop, r.parcels = localhost(p.shop), fmt.Sprintf("http://127.0.0.1:%d", p.parcels.Port)
	r.desk = localhost(p.desk)
	if err := r.assemble(ctx); err != nil {
		p.close()
		return err
	}
	defer func() { err = errors.Join(err, r.guard.Close(), r.parts.Close()) }()
	return r.serve(ctx, o.JSON)
}

func localhost(l server.Loopback) string { return fmt.Sprintf("http://localhost:%d", l.Port) }

func (r *run) assemble(ctx context.Context) error {
	kek, err := r.folder.kek()
	if err != nil {
		return err
	}
	restart := r.folder.known
	r.folder.marker = marker{Issuer: r.issuer, Audience: r.audience, Port: r.ports.issuer.Port, APIPort: r.ports.api.Port, ServicePort: r.ports.service.Port,
		ShopPort: r.ports.shop.Port, ParcelsPort: r.ports.parcels.Port, DeskPort: r.ports.desk.Port}
	if err := r.folder.writeMarker(); err != nil {
		return err
	}
	r.parts, err = server.Assemble(ctx, server.Config{Issuer: r.issuer, Dir: r.folder.dir, KEKs: []keys.KEK{kek}, Outgoing: dial.Config{InsecureLoopback: true}, Logger: r.logger, Home: &r.home})
	if err != nil {
		return err
	}
	r.guard, err = guard.New(guard.Config{Issuer: r.issuer, Audience: r.audience, Logger: r.logger})
	if err == nil {
		// A start that was interrupted after the marker but before the end of
		// the seeding is finished by the next one.
		_, missing := r.parts.Store.API(ctx, apiName)
		r.seeded, err = seeder{r.parts.Directory, r.parts.Store.DB}.seed(ctx, r.audience, r.apps(), r.desk, restart && missing == nil)
	}
	if err != nil {
		return errors.Join(err, r.parts.Close())
	}
	return nil
}

// serve starts the servers, prints, and waits for the end of ctx or for
// the first server that fails.
func (r *run) serve(ctx context.Context, asJSON bool) error {
	g, err := r.newGateway()
	if err != nil {
		return err
	}
	defer g.Close() // when nothing runs any more
	deskGateway, err := r.newDeskGateway()
	if err != nil {
		return err
	}
	defer deskGateway.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	start := func(serve func() error) {
		running.Go(func() {
			if err := serve(); err != nil {
				cancel(err)
			}
		})
	}
	start(func() error { return r.parts.Run(ctx, r.ports.issuer.Listeners...) })
	// The demo API and the demo service answer under their own names only, like
	// the authority (C22).
	api := respond.Identify(respond.Host(r.audience, NewAPI(r.guard)))
	service := respond.Identify(respond.Host(r.service, NewService(ctx, r.issuer, r.audience, r.seeded.serviceSecret)))
	start(func() error { return server.Serve(ctx, api, r.logger, r.ports.api.Listeners...) })
	start(func() error { return server.Serve(ctx, service, r.logger, r.ports.service.Listeners...) })
	for i, listeners := range [][]net.Listener{r.ports.shop.Listeners, r.ports.parcels.Listeners} {
		app, err := NewWebApp(ctx, r.seeded.apps[i])
		if err != nil {
			cancel(err)
			return errors.Join(stopped(ctx), err)
		}
		start(func() error { return server.Serve(ctx, app, r.logger, listeners...) })
	}
	start(func() error { return server.ServeGateway(ctx, g, r.logger, r.ports.gateway.Listeners...) })
	start(func() error { return server.Serve(ctx, http.HandlerFunc(echo), r.logger, r.ports.echo.Listeners...) })
	start(func() error { return server.ServeGateway(ctx, deskGateway, r.logger, r.ports.desk.Listeners...) })
	start(func() error { return server.Serve(ctx, newDesk(r.issuer), r.logger, r.ports.deskApp.Listeners...) })
	t, err := r.renew(ctx)
	if err != nil {
		cancel(err)
		return errors.Join(stopped(ctx), err)
	}
	r.home.show(r.view())
	if err := r.print(t, asJSON); err != nil {
		return err
	}
	running.Go(func() { r.keepFresh(ctx, t) })
	<-ctx.Done()
	return stopped(ctx)
}

// stopped is nil when the user ended the run, and the cause otherwise.
func stopped(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// ready is the one line of --json.
type ready struct {
	Ready    bool          `json:"ready"`
	Data     string        `json:"data"`
	Issuer   string        `json:"issuer"`
	API      string        `json:"api"`
	Service  string        `json:"service"`
	Gateway  string        `json:"gateway"`
	Desk     string        `json:"desk"`
	Audience string        `json:"audience"`
	Apps     []readyApp    `json:"apps"`
	Users    []readyUser   `json:"users"`
	Clients  []readyClient `json:"clients"`
	Forged   []readyForged `json:"forged"`
}

type readyApp struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	ID   string `json:"client_id"`
}

type readyUser struct {
	Username string   `json:"username"`
	Password string   `json:"password"`
	Roles    []string `json:"roles"`
	Token    string   `json:"token"`
}

type readyClient struct {
	ID         string `json:"client_id"`
	Type       string `json:"type"`
	FirstParty bool   `json:"first_party,omitempty"`
	Secret     string `json:"client_secret,omitempty"`
	Token      string `json:"token,omitempty"`
}

type readyForged struct {
	Name  string `json:"name"`
	ID    string `json:"id"`
	Title string `json:"title"`
	Token string `json:"token"`
}

func (r *run) print(t tokens, asJSON bool) error {
	if !asJSON {
		_, err := io.WriteString(r.out, r.view().Screen())
		return err
	}
	line := ready{Ready: true, Data: r.folder.dir, Issuer: r.issuer, API: r.audience, Service: r.service, Gateway: localhost(r.ports.gateway), Desk: r.desk, Audience: r.audience,
		Clients: []readyClient{
			{ID: appID, Type: "public", FirstParty: true},
			{ID: serviceID, Type: "service", Secret: r.seeded.serviceSecret, Token: t.service},
		}}
	for _, a := range r.seeded.apps {
		line.Apps = append(line.Apps, readyApp{Name: a.Name, URL: a.URL, ID: a.ID})
		line.Clients = append(line.Clients, readyClient{ID: a.ID, Type: "confidential", FirstParty: a.ID == shopID, Secret: a.Secret})
	}
	line.Clients = append(line.Clients, readyClient{ID: deskID, Type: "confidential", FirstParty: true, Secret: r.seeded.deskSecret})
	for _, p := range t.users {
		line.Users = append(line.Users, readyUser{Username: p.username, Password: p.password, Roles: p.roles, Token: p.access()})
	}
	for _, f := range t.forged {
		line.Forged = append(line.Forged, readyForged{Name: f.Name, ID: f.ID, Title: f.Title, Token: f.Raw})
	}
	return json.NewEncoder(r.out).Encode(line)
}

var _ http.Handler = (*home)(nil)
