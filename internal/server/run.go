package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// Intervals of the background work.
const (
	watchEvery    = 100 * time.Millisecond // C28
	forgetEvery   = time.Minute            // all copies, whatever was heard
	tendEvery     = time.Minute
	cleanBatch    = 500
	shutdownGrace = 5 * time.Second
	// drainGrace is how long open connections may end by themselves.
	drainGrace = time.Second
)

// Limits of one request and one connection.
const (
	maxBodyBytes   = 1 << 20 // forms are bounded further where they are read
	maxHeaderBytes = 32 << 10
	maxStreams     = 100 // requests at once on one HTTP/2 connection
)

// Run serves the authority on listeners until ctx ends, then finishes open
// requests for at most shutdownGrace. It does not close the parts.
func (p *Parts) Run(ctx context.Context, listeners ...net.Listener) error {
	tuneCollector()
	// ID tokens of clients that ask for nothing else. The keys are published
	// before anybody is answered; only the first start of all waits for them.
	if err := p.Keys.Prepare(ctx, string(jose.RS256)); err != nil && ctx.Err() == nil {
		p.logger.Error("no key for ID tokens yet", "cause", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer p.endCanary() // one that a duty opened in the last moment
	defer background.Wait()
	defer cancel()
	background.Go(func() { p.watch(ctx) })
	for _, d := range p.duties() {
		background.Go(func() { p.serveDuty(ctx, d) })
	}
	background.Go(func() { p.Feed.Run(ctx) })
	background.Go(func() {
		<-ctx.Done() // it reads from this server, which waits for its connections
		p.endCanary()
	})
	return Serve(ctx, p.Handler, p.logger, listeners...)
}

// Serve answers on listeners with the limits that every server of ours has,
// until ctx ends.
func Serve(ctx context.Context, h http.Handler, logger *slog.Logger, listeners ...net.Listener) error {
	s := newServer(http.MaxBytesHandler(h, maxBodyBytes), logger)
	s.ReadTimeout, s.WriteTimeout = 15*time.Second, 30*time.Second
	return serve(ctx, s, listeners)
}

// ServeGateway answers on listeners for a gateway: bodies and answers may take
// as long as the gateway lets them, and HTTP/2 is spoken in the clear as well,
// for gRPC behind a proxy.
func ServeGateway(ctx context.Context, h http.Handler, logger *slog.Logger, listeners ...net.Listener) error {
	tuneCollector()
	s := newServer(h, logger)
	s.Protocols = &http.Protocols{}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return serve(ctx, s, listeners)
}

// newServer has the limits that are the same for all.
func newServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

func serve(ctx context.Context, s *http.Server, listeners []net.Listener) error {
	d := &drain{next: s.Handler}
	s.Handler, s.ConnState = d, d.count
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- s.Serve(l) }()
	}
	var err error
	select {
	case <-ctx.Done():
		d.wait(listeners)
	case err = <-ended:
	}
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if s.Shutdown(shutdown) != nil {
		s.Close()
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// drain ends connections without losing a request: a server that closes an idle
// connection may do so just as the client sends the next request on it, and the
// client cannot know whether it was done. So new connections are refused, and
// open ones hear with their next answer that it is the last.
type drain struct {
	next   http.Handler
	ending atomic.Bool
	open   atomic.Int64
}

func (d *drain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.ending.Load() {
		w.Header().Set("Connection", "close")
	}
	d.next.ServeHTTP(w, r)
}

func (d *drain) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		d.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		d.open.Add(-1)
	}
}

func (d *drain) wait(listeners []net.Listener) {
	for _, l := range listeners { // first, so that nobody who is sent away comes back
		_ = l.Close()
	}
	d.ending.Store(true)
	for end := time.Now().Add(drainGrace); d.open.Load() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

// watch follows what other processes changed (C28): the keys, and the copies
// that the store holds.
func (p *Parts) watch(ctx context.Context) {
	var seen watched // the first look reads what is there: nothing between opening and watching is missed
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var complained time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := p.look(ctx, &seen); err != nil && ctx.Err() == nil && time.Since(complained) > complainEvery {
			complained = time.Now()
			p.logger.Error("changes not followed", "cause", explain(err))
		}
	}
}

// explain says what to do about keys that another process sealed with a
// key-encryption key that this one was not given.
func explain(err error) error {
	if errors.Is(err, keys.ErrSealed) {
		return fmt.Errorf("%w. Another process seals with a newer key-encryption key: restart this server with the configuration that names it", err)
	}
	return err
}

// watched is how far the watcher has come.
type watched struct {
	changes *store.Tail[iam.Change]
	keys    bool      // some changed that were not read anew yet
	forgot  time.Time // on the wall: monotonic time stands still in sleep
}

// look reads the changes since the last look. Once a minute a process forgets all
// it holds, so that a change which it never hears of is not unknown for longer:
// changes are kept for an hour only, and after a failover that lost rows their
// numbers may begin anew below the last one that was seen.
func (p *Parts) look(ctx context.Context, seen *watched) error {
	if now := time.Now().Round(0); now.Sub(seen.forgot) > forgetEvery || now.Before(seen.forgot) {
		p.Store.Forget(iam.Change{})
		seen.forgot = now
	}
	if seen.changes == nil {
		seen.changes = p.Store.TailChanges(0)
	}
	for {
		changes, _, err := seen.changes.Next(ctx)
		if errors.Is(err, iam.ErrBeganAnew) {
			p.Store.Forget(iam.Change{})
			seen.changes, seen.keys = p.Store.TailChanges(0), true
			continue
		}
		if err != nil {
			return fmt.Errorf("read changes: %w", err)
		}
		p.Store.Forget(changes...)
		seen.keys = seen.keys || slices.ContainsFunc(changes, func(c iam.Change) bool { return c.Kind == "key" })
		if seen.keys {
			if err := p.Keys.Reload(ctx); err != nil {
				return fmt.Errorf("reload keys: %w", err)
			}
			seen.keys = false
		}
		p.hearCanary(changes)
		if err := p.hearPressure(ctx, changes); err != nil {
			return err
		}
		if len(changes) == 0 {
			break
		}
	}
	return errors.Join(p.Keys.Confirm(ctx), p.tellPressure(ctx))
}

// duties are what one process of all does: keys rotate, what ended is marked and
// expired rows go, clients hear of logouts.
func (p *Parts) duties() []duty {
	all := []duty{
		{name: dutyKeys, every: tendEvery, work: func(ctx context.Context) error { return p.Keys.Tend(ctx, p.rotateEvery) }},
		{name: dutyClean, every: tendEvery, work: p.clean},
		{name: dutyLogout, every: deliverEvery, idle: p.noLogouts, work: p.deliverDue},
	}
	if p.sings {
		all = append(all, duty{name: dutyCanary, every: canaryEvery, work: p.sing})
	}
	return all
}

// clean marks what decisions over many ended, and removes what nobody can need
// any more: until a batch is not full, for assertions alone can be thousands a
// minute.
func (p *Parts) clean(ctx context.Context) error {
	if err := p.Store.Sweep(ctx); err != nil {
		return fmt.Errorf("mark ended grants: %w", err)
	}
	for {
		n, err := p.Store.Clean(ctx, cleanBatch)
		if err != nil {
			return fmt.Errorf("remove expired rows: %w", err)
		}
		if n < cleanBatch {
			return nil
		}
	}
}

// tuneCollector trades memory for CPU under a soft limit, unless the
// environment says otherwise (map.md decision 16).
func tuneCollector() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(512 << 20)
		debug.SetGCPercent(400)
	}
}
