package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
)

// Why a request under way ends before its time.
var (
	errTokenEnded   = errors.New("the token has expired")
	errTokenRevoked = errors.New("the token was revoked")
	errSessionEnded = errors.New("the session has ended")
)

// lastingLooks is after how many looks a request is one that lasts.
const lastingLooks = 2

// lookEvery is how long after its end a token may still carry a request.
const lookEvery = 100 * time.Millisecond

// running are the requests under way that came with a token. One goroutine looks
// at them all, now and then: that costs a request less than a timer of its own,
// and finds what no timer could know.
type running struct {
	next  atomic.Uint32
	shard [16]struct {
		mu    sync.Mutex
		first *admission
	}
}

// add registers a request; the context that it returns ends with the token.
func (s *running) add(ctx context.Context, a *admission) context.Context {
	ctx, a.end = context.WithCancelCause(ctx)
	a.ctx = ctx
	a.at = int(s.next.Add(1) % uint32(len(s.shard)))
	at := &s.shard[a.at]
	at.mu.Lock()
	defer at.mu.Unlock()
	if a.after = at.first; a.after != nil {
		a.after.before = a
	}
	at.first = a
	return ctx
}

// remove is for a request that is over.
func (s *running) remove(a *admission) {
	at := &s.shard[a.at]
	at.mu.Lock()
	if a.before == nil {
		at.first = a.after
	} else {
		a.before.after = a.after
	}
	if a.after != nil {
		a.after.before = a.before
	}
	a.before, a.after = nil, nil
	at.mu.Unlock()
	a.end(nil)
}

// look ends the requests whose token ended, and hands out those that turn out to
// last, each once.
func (s *running) look(fault func(*admission) error, lasting func(*admission)) {
	type ended struct {
		a   *admission
		why error
	}
	var over []ended
	var last []*admission
	for i := range s.shard {
		at := &s.shard[i]
		at.mu.Lock()
		for a := at.first; a != nil; a = a.after {
			if why := fault(a); why != nil {
				over = append(over, ended{a, why})
			}
			if a.looks++; a.looks == lastingLooks {
				last = append(last, a)
			}
		}
		at.mu.Unlock()
	}
	for _, e := range over { // not under the lock: it runs what hangs on the context
		e.a.end(e.why)
	}
	for _, a := range last {
		lasting(a)
	}
}

// uses tells whether a request under way was admitted by this guard.
func (s *running) uses(g *guard.Guard) (found bool) {
	for i := range s.shard {
		at := &s.shard[i]
		at.mu.Lock()
		for a := at.first; a != nil; a = a.after {
			found = found || a.rules.guard == g
		}
		at.mu.Unlock()
	}
	return found
}

// watch ends a request that lasts when its token is revoked. A short one is
// through before anybody could tell.
func (g *Gateway) watch(a *admission) {
	watched, stop := a.rules.guard.Watch(a.ctx, a.caller)
	context.AfterFunc(watched, func() {
		defer stop()
		if errors.Is(context.Cause(watched), guard.ErrRevoked) {
			a.end(errTokenRevoked)
		}
	})
}

// overdue is why a request that was admitted must end now, nil while it may go on.
func (g *Gateway) overdue(a *admission) error {
	if !g.now().Before(a.expires.Add(leeway)) {
		return errTokenEnded
	}
	return nil
}

// tend looks at the requests under way until the gateway is closed.
func (g *Gateway) tend() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-g.closed:
			return
		case <-tick.C:
			g.running.look(g.overdue, g.watch)
		}
	}
}
