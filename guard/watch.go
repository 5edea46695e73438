package guard

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// watchPause bounds how often the streams are looked through: a burst of
// revocations costs one look.
const watchPause = 50 * time.Millisecond

// Watch is for answers that go on for longer than a moment, such as server-sent
// events and WebSockets. The context that it returns ends when the caller's
// token expires or is revoked; context.Cause then is ErrExpired or ErrRevoked.
// Call stop when the answer has ended.
//
// The context of an ordinary request ends with neither, because a request that
// began with a good token may finish its work.
func (g *Guard) Watch(ctx context.Context, c Caller) (watched context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if c.v == nil {
		cancel(ErrNoToken)
		return ctx, func() {}
	}
	// The deadline ends it for what reads deadlines too; its cause is ours.
	ctx, release := context.WithDeadlineCause(ctx, c.Expires(), refuse(jose.ErrExpired))
	w := &watch{v: c.v, end: cancel}
	by := c.v.by
	by.watches.add(w)
	// Whoever was revoked between the last check and the registration ends now.
	if err := by.revoked(c.v); err != nil {
		cancel(refuse(err))
	}
	return ctx, func() {
		by.watches.remove(w)
		release()
		cancel(context.Canceled)
	}
}

type watch struct {
	v   *verified
	end context.CancelCauseFunc
}

// watches are the streams of a guard. All are looked through when something was
// revoked, which needs no index and misses nothing: 10,000 take a millisecond.
type watches struct {
	revoked func(*verified) error
	ctx     context.Context
	ended   sync.WaitGroup
	wake    chan struct{}

	mu    sync.Mutex
	begun bool
	all   map[*watch]struct{}
}

func newWatches(ctx context.Context, revoked func(*verified) error) *watches {
	return &watches{revoked: revoked, ctx: ctx, wake: make(chan struct{}, 1), all: map[*watch]struct{}{}}
}

func (ws *watches) add(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.all[w] = struct{}{}
	if !ws.begun && ws.ctx.Err() == nil {
		ws.begun = true
		ws.ended.Go(ws.run)
	}
}

func (ws *watches) remove(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.all, w)
}

// changed says that something was revoked. It does not wait.
func (ws *watches) changed() {
	select {
	case ws.wake <- struct{}{}:
	default:
	}
}

func (ws *watches) run() {
	for {
		select {
		case <-ws.wake:
		case <-ws.ctx.Done():
			return
		}
		ws.sweep()
		select {
		case <-time.After(watchPause):
		case <-ws.ctx.Done():
			return
		}
	}
}

func (ws *watches) sweep() {
	ended := map[*watch]error{}
	ws.mu.Lock()
	for w := range ws.all {
		if err := ws.revoked(w.v); err != nil {
			ended[w] = err
			delete(ws.all, w)
		}
	}
	ws.mu.Unlock()
	for w, err := range ended {
		w.end(refuse(err))
	}
}

var errRevoked = errors.New("the token was revoked")
