package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Leases. Of all processes on one database, one does each duty. It says so
// every renewEvery; if it dies or sleeps, another one takes over within
// leaseLife and tryEvery. What a process writes after it lost a lease is
// refused by the store, so it does not matter how long it slept.
const (
	leaseLife  = 9 * time.Second
	renewEvery = 2 * time.Second
	tryEvery   = 3 * time.Second
)

// The duties. Another one, such as writing the journal's tree, is one more line
// in Run: everything it writes under its context is fenced.
const (
	dutyClean  = "clean"
	dutyKeys   = "keys"
	dutyLogout = "logout"
	dutyCanary = "canary"
)

// duty is work that one process does at a time.
type duty struct {
	name  string
	every time.Duration // how often it is due
	// idle tells, without writing, that nothing is to be done; nil: there always
	// may be something.
	idle func(ctx context.Context) (bool, error)
	work func(ctx context.Context) error
}

// newNode names this process in leases.
func newNode() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", iam.Printable(host, 64), os.Getpid(), rand.Text()[:8])
}

// serveDuty does a duty whenever it is due and nobody else does it, until ctx
// ends.
func (p *Parts) serveDuty(ctx context.Context, d duty) {
	tick := time.NewTicker(min(d.every, tryEvery))
	defer tick.Stop()
	for {
		if err := p.turn(ctx, d); err != nil && ctx.Err() == nil {
			p.logger.Error("background work failed", "duty", d.name, "cause", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// turn does a duty once, if its lease can be had.
func (p *Parts) turn(ctx context.Context, d duty) error {
	if d.idle != nil {
		if idle, err := d.idle(ctx); err != nil || idle {
			return err
		}
	}
	lease, ok, err := p.Store.Acquire(ctx, d.name, p.node, leaseLife)
	if err != nil || !ok {
		return err
	}
	err = p.keep(ctx, lease, d.work)
	if errors.Is(err, iam.ErrLeaseLost) {
		p.logger.Warn("background work went to another process", "duty", d.name, "fence", lease.Fence)
		return nil
	}
	// Also at the end of this process: the next one need not wait.
	rest := d.every
	if ctx.Err() != nil || err != nil || d.idle != nil {
		rest = 0
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewEvery)
	defer cancel()
	return errors.Join(err, p.Store.Release(after, lease, rest))
}

// keep works under a lease and renews it meanwhile. The work's context ends
// when the lease is lost, or when nobody could say for its whole life that it
// is not.
func (p *Parts) keep(ctx context.Context, lease iam.Lease, work func(context.Context) error) error {
	working, lost := context.WithCancelCause(p.Store.Under(ctx, lease))
	expiry := time.AfterFunc(leaseLife, func() { lost(iam.ErrLeaseLost) })
	defer expiry.Stop()
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(renewEvery)
		defer tick.Stop()
		for {
			select {
			case <-working.Done():
				return
			case <-tick.C:
			}
			began := time.Now()
			held, err := p.Store.Renew(working, lease, leaseLife)
			switch {
			case errors.Is(err, iam.ErrLeaseLost), err == nil && !held:
				lost(iam.ErrLeaseLost)
			case err == nil:
				expiry.Reset(leaseLife - time.Since(began))
			}
		}
	})
	err := work(working)
	if cause := context.Cause(working); errors.Is(cause, iam.ErrLeaseLost) {
		err = cause
	}
	lost(context.Canceled)
	renewing.Wait()
	return err
}
