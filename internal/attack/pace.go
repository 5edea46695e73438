package attack

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// errLimited says that the target kept answering "too many requests".
var errLimited = errors.New("the route limits the rate of requests")

// pace spaces requests out and waits where the target asks for it.
type pace struct {
	mu       sync.Mutex
	gap      time.Duration // between two requests
	next     time.Time
	patience time.Duration // for waiting at the target's request, in all
	limited  bool          // the target asked at least once
	asked    time.Duration // what it asked for when patience ran out
}

func newPace(rate float64, patience time.Duration) *pace {
	p := &pace{patience: patience}
	if rate > 0 {
		p.gap = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// turn waits until the next request may be sent.
func (p *pace) turn(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(p.gap)
	p.mu.Unlock()
	return sleep(ctx, time.Until(at))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// back waits as long as a refused answer asks, as far as patience reaches, and
// halves the rate from here on.
func (p *pace) back(ctx context.Context, a answer) error {
	wait := time.Second
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && seconds >= 0 {
		wait = time.Duration(min(seconds, 86400)) * time.Second
	} else if date, err := http.ParseTime(a.header.Get("Retry-After")); err == nil {
		wait = max(time.Until(date), 0)
	}
	p.mu.Lock()
	p.limited = true
	if wait > p.patience {
		p.patience, p.asked = 0, wait
		p.mu.Unlock()
		return errLimited
	}
	p.patience -= max(wait, 100*time.Millisecond)
	p.gap = max(2*p.gap, 20*time.Millisecond)
	p.mu.Unlock()
	return sleep(ctx, wait)
}

// limitedFor says how long the target asked to wait.
func (p *pace) limitedFor() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}
