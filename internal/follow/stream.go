package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Bounds of a connection.
const (
	// A connection that brings nothing good for StaleAfter is given up, and one
	// whose snapshot takes longer than loadMost.
	loadMost = 2 * time.Minute
	// restAfter is how long after its snapshot what a feed said since has come.
	restAfter = 100 * time.Millisecond
	// After a connection the next one begins after pauseFirst, after twice as long
	// for each failure in a row, up to pauseMost, give or take a half.
	pauseFirst = 200 * time.Millisecond
	pauseMost  = 5 * time.Second
	// An issuer may ask for a longer pause (Retry-After), up to patienceMost.
	patienceMost = 30 * time.Second
	// The feed's keys are fetched for each connection, again when a message is of
	// one that is not known, at most once in keysPause, and once in keysLife.
	keysTimeout = 5 * time.Second
	keysPause   = 2 * time.Second
	keysLife    = 10 * time.Minute
)

// run follows the feed, wherever it is, until Close.
func (f *Follower) run() {
	defer f.saver.last(f)
	failures := 0
	for f.ctx.Err() == nil {
		f.mu.Lock()
		p := f.places
		select { // the news that we are reading
		case <-f.moved:
		default:
		}
		f.mu.Unlock()
		if p.Feed == "" || p.Keys == "" {
			select {
			case <-f.moved:
				continue
			case <-f.ctx.Done():
				return
			}
		}
		lived, err := f.connect(p)
		if f.ctx.Err() != nil {
			return
		}
		failures++
		if lived {
			failures = 0
		}
		f.blame(err)
		f.complain(err)
		f.pause(failures, err)
	}
}

// pause between two connections. A place that moved ends it.
func (f *Follower) pause(failures int, err error) {
	pause := min(pauseMost, pauseFirst<<min(failures, 10))
	pause = pause/2 + rand.N(pause)
	var busy *busyError
	if errors.As(err, &busy) {
		pause = max(pause, busy.wait)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.moved:
	case <-f.ctx.Done():
	}
}

// complain says once that the feed is stale.
func (f *Follower) complain(cause error) {
	age, stale := f.Stale()
	if !stale || f.silent || age < StaleAfter {
		return
	}
	f.silent = true
	f.logger.Warn("revocation feed is stale", "issuer", f.issuer, "seconds", int(age.Seconds()), "cause", cause)
}

// blame keeps why all is not known.
func (f *Follower) blame(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cause = err
	if f.heard.Load() { // from the disk: nobody needs to wait for more
		f.settle()
	}
}

// connect reads the feed until it ends, and it always ends with an error. lived
// tells whether all was known for a moment.
func (f *Follower) connect(p Places) (lived bool, err error) {
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	if err := f.fetchKeys(ctx, p); err != nil {
		return false, err
	}
	// The dog bites when nothing good came for too long: a heartbeat that is a
	// repetition, a comment or half a message is nothing good.
	dog := time.AfterFunc(StaleAfter, func() { cancel(errSilent) })
	defer dog.Stop()
	response, err := f.open(ctx, p.Feed)
	if err != nil {
		return false, because(ctx, err)
	}
	defer response.Body.Close()
	events, started := feed.NewEvents(response.Body), time.Now()
	for {
		e, err := events.Next()
		if err != nil {
			return lived, because(ctx, err)
		}
		got, err := f.take(ctx, p, e)
		if err != nil {
			return lived, because(ctx, err)
		}
		live := got == fresh
		lived = lived || live
		if got > nothing && (got != loading || time.Since(started) < loadMost) {
			dog.Reset(StaleAfter)
		}
		if live && time.Since(f.fetched) > keysLife {
			return lived, errRenew
		}
		select {
		case <-f.moved:
			return lived, errMoved
		default:
		}
	}
}

var (
	errSilent = fmt.Errorf("nothing new was heard for %s", StaleAfter)
	errMoved  = errors.New("the feed has moved")
	errRenew  = errors.New("the feed's keys are looked at again")
	errEnded  = errors.New("the issuer ended the connection")
)

// because is why a read ended: what ended its context, if that did.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) {
		return errEnded
	}
	return err
}

// gain is what an event brought.
type gain int

const (
	nothing gain = iota
	loading      // a part of a snapshot
	untimed      // news, and no proof that they are of now
	fresh        // all that was revoked is known
)

// take gives one event to the reader.
func (f *Follower) take(ctx context.Context, p Places, e feed.Event) (gain, error) {
	o, err := f.reader.Take(e, f.keys, f.now())
	if errors.Is(err, feed.ErrUnknownKey) && time.Since(f.fetched) > keysPause {
		if err := f.fetchKeys(ctx, p); err != nil {
			return nothing, err
		}
		o, err = f.reader.Take(e, f.keys, f.now())
	}
	f.voided(o.Entries)
	// A snapshot that ends may have brought another salt, and all its entries.
	if o.Changed || o.Live && o.Type == feed.Snapshot {
		f.changed()
		f.saver.dirty = true
	}
	if errors.Is(err, feed.ErrClock) { // what it brings is true all the same
		f.blame(err)
		f.complain(err)
		return untimed, nil
	}
	if err != nil {
		return nothing, err
	}
	defer f.heardOf(o) // with the age that it leaves
	if !o.Live {
		if o.Type == feed.Snapshot {
			return loading, nil
		}
		return nothing, nil
	}
	if !f.Calm() && o.Type == feed.Snapshot {
		f.rest()
	}
	age := f.set.Age(f.now())
	if age > StaleAfter || o.Type == "" {
		return nothing, nil // a repetition, or held back on its way
	}
	f.complete(age)
	f.saver.maybe(f)
	return fresh, nil
}

// maxDead bounds the memory for keys that were taken back; whoever has so many
// fetches his keys once too often.
const maxDead = 1024

// voided calls KeysVoid for keys that were taken back, once for each revocation.
func (f *Follower) voided(entries []feed.Entry) {
	isNew := false
	for _, e := range entries {
		if (e.Kind != feed.Key && e.Kind != feed.All) || f.dead[e.Print] {
			continue
		}
		if len(f.dead) >= maxDead {
			clear(f.dead)
		}
		f.dead[e.Print], isNew = true, true
	}
	if isNew {
		f.void()
	}
}

// rest lets the first requests go a moment after the snapshot. It may be one that
// was signed for many readers; what came after it follows at once, but the word
// that this is all comes with the next heartbeat, up to a second later.
func (f *Follower) rest() {
	f.mu.Lock()
	whole := f.whole
	f.mu.Unlock()
	time.AfterFunc(restAfter, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		shut(whole)
	})
}

// complete notes that all was known an age ago.
func (f *Follower) complete(age time.Duration) {
	f.beat.Store(int64(f.now().Sub(f.begun) - age))
	if !f.heard.Swap(true) {
		f.saver.dirty = true
	}
	if !f.calm.Load() {
		f.mu.Lock()
		f.settle()
		f.mu.Unlock()
	}
	f.blame(nil)
	if f.silent {
		f.silent = false
		f.logger.Info("revocation feed is fresh again", "issuer", f.issuer)
	}
}

// busyError is an answer that names a time to come again.
type busyError struct {
	code   int
	status string
	wait   time.Duration
}

// ErrNotReader says that the feed is private and takes no such credential.
var ErrNotReader = errors.New("not a reader of the feed")

func (e *busyError) Is(target error) bool {
	return target == ErrNotReader && (e.code == http.StatusUnauthorized || e.code == http.StatusForbidden)
}

func (e *busyError) Error() string { return "the feed answered " + e.status }

// open asks for the feed, from where we are.
func (f *Follower) open(ctx context.Context, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Accept-Encoding", "identity") // what is packed on the way comes late
	request.Header.Set("Cache-Control", "no-store")
	if last := f.reader.Begin(); last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	f.asker.reader.sign(request)
	response, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode == http.StatusOK && kind == "text/event-stream" && response.Header.Get("Content-Encoding") == "" {
		return response, nil
	}
	response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil, fmt.Errorf("%s is no feed: its content type is %.60q", address, response.Header.Get("Content-Type"))
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	return nil, &busyError{code: response.StatusCode, status: response.Status, wait: min(patienceMost, time.Duration(max(0, min(seconds, 3600)))*time.Second)}
}

// fetchKeys fetches the feed's keys, which are in a document of their own (C24).
// Those of a moment ago are good enough for another connection.
func (f *Follower) fetchKeys(ctx context.Context, p Places) error {
	if f.keysURL == p.Keys && time.Since(f.fetched) < keysPause {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Keys, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	response, err := f.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", p.Keys, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, jose.MaxKeySetBytes+1))
	if err == nil && len(body) > jose.MaxKeySetBytes {
		err = fmt.Errorf("larger than %d bytes", jose.MaxKeySetBytes)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", p.Keys, err)
	}
	set, _, err := jose.ParseKeySet(body)
	if err == nil && set.Len() == 0 {
		err = errors.New("no usable key")
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", p.Keys, err)
	}
	f.keys, f.keysURL, f.fetched = set, p.Keys, time.Now()
	return nil
}
