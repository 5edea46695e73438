package login

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// queueDeadline is how long a login waits for a hashing slot before it is told
// to come back: unbounded concurrency gains nothing and takes 19 MiB each.
const queueDeadline = 2 * time.Second

// waitingEach is how many may wait for each slot in one lane. More than about
// twenty would not get their turn before the deadline anyway.
const waitingEach = 64

// ErrBusy says that all hashing slots were taken until the deadline.
var ErrBusy = errors.New("password hashing is busy")

// lane is where a caller waits. Who is known goes first, so that a flood of
// strangers' guesses does not keep the people away who work here.
type lane int

const (
	knownLane lane = iota
	strangerLane
	lanes
)

// queue hands out a bounded number of slots.
type queue struct {
	deadline time.Duration
	slots    int
	most     int // that wait in one lane

	mu      sync.Mutex
	free    int
	waiting [lanes][]chan struct{}
}

func newQueue(slots int, deadline time.Duration) *queue {
	return &queue{deadline: deadline, slots: slots, most: slots * waitingEach, free: slots}
}

// enter waits for a slot; leave gives it back.
func (q *queue) enter(ctx context.Context, l lane) error {
	ctx, cancel := context.WithTimeoutCause(ctx, q.deadline, ErrBusy)
	defer cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	turn, err := q.line(l)
	if err != nil || turn == nil {
		return err
	}
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		q.step(l, turn)
		return context.Cause(ctx)
	}
}

// line takes a slot at once, or a place in the line: a channel that is closed
// when the slot is there.
func (q *queue) line(l lane) (chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free > 0 {
		q.free--
		return nil, nil
	}
	if len(q.waiting[l]) >= q.most {
		return nil, ErrBusy
	}
	turn := make(chan struct{})
	q.waiting[l] = append(q.waiting[l], turn)
	return turn, nil
}

// step out of the line. The slot may have come in the same moment.
func (q *queue) step(l lane, turn chan struct{}) {
	q.mu.Lock()
	i := slices.Index(q.waiting[l], turn)
	if i >= 0 {
		q.waiting[l] = slices.Delete(q.waiting[l], i, i+1)
	}
	q.mu.Unlock()
	if i < 0 {
		q.leave()
	}
}

func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for l := range q.waiting {
		if len(q.waiting[l]) > 0 {
			close(q.waiting[l][0])
			q.waiting[l] = slices.Delete(q.waiting[l], 0, 1)
			return
		}
	}
	q.free++
}
