package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// StaleAfter is how long the issuer may be silent before its revocations count
// as not known. A heartbeat comes each second.
const StaleAfter = 5 * time.Second

// ErrNoSnapshot says that the revocations have not come yet.
var ErrNoSnapshot = errors.New("the issuer's revocations have not come yet")

// Config of a Follower. Issuer is required.
type Config struct {
	Issuer string
	// HTTPClient connects. Nil: a client of our own. Its timeout does not end the
	// feed, which has deadlines of its own, and it follows no redirect.
	HTTPClient *http.Client
	Reader     Reader
	// File keeps what is known on disk. Nil: in memory only.
	File File
	// Changed is called when tokens that were good may be revoked now. It must not
	// wait.
	Changed func()
	// KeysVoid is called when the issuer took keys back: those that it published
	// before must not verify any more. It must not wait long.
	KeysVoid func()
	// Heard is called for each message that was taken, in their order. It must not
	// wait long: nothing else is read meanwhile.
	Heard  func(feed.Outcome)
	Now    func() time.Time
	Logger *slog.Logger
}

// File keeps bytes that are believed when they are read back.
type File interface {
	Read() ([]byte, error) // fs.ErrNotExist: there are none
	Write(data []byte) error
}

// Places are where an issuer has what we read, as its discovery document says.
// No Feed: the issuer has none.
type Places struct{ Feed, Keys, Introspection string }

// presence is what is known about the issuer's feed.
type presence int32

const (
	unknown  presence = iota // discovery was not read yet
	none                     // there is no feed
	followed                 // there is one
)

// Follower follows the feed of one issuer. Safe for concurrent use.
type Follower struct {
	issuer  string
	client  *http.Client
	file    File
	changed func()
	void    func()
	heardOf func(feed.Outcome)
	now     func() time.Time
	logger  *slog.Logger
	asker   *asker

	set      feed.Set
	presence atomic.Int32
	begun    time.Time    // of this Follower: ages are counted on its monotonic clock
	beat     atomic.Int64 // since begun, when the set was last complete; may be negative
	heard    atomic.Bool  // whether beat means anything
	calm     atomic.Bool  // settled is closed

	ctx   context.Context
	stop  context.CancelFunc
	once  sync.Once
	ended sync.WaitGroup
	moved chan struct{} // the places are others

	mu      sync.Mutex
	said    Places // by the discovery document
	places  Places // of these, what may be read
	found   time.Time
	settled chan struct{} // closed: all was known once, or nobody needs to wait for it
	whole   chan struct{} // closed: also when a snapshot is whole, and what follows it was heard
	closed  bool
	cause   error // why the last connection ended

	// Of the goroutine that follows.
	reader  *feed.Reader
	keys    jose.KeySet
	keysURL string // of keys
	fetched time.Time
	silent  bool            // the log says that it is
	dead    map[uint64]bool // revocations of keys that KeysVoid was called for
	saver   saver
}

// New checks the configuration. It does no I/O.
func New(c Config) (*Follower, error) {
	if c.Issuer == "" {
		return nil, errors.New("follow: Issuer is required")
	}
	f := &Follower{issuer: c.Issuer, client: streaming(c.HTTPClient), file: c.File, changed: c.Changed, void: c.KeysVoid, heardOf: c.Heard, now: c.Now, logger: c.Logger,
		found: time.Now(), moved: make(chan struct{}, 1), dead: map[uint64]bool{}, settled: make(chan struct{}), whole: make(chan struct{})}
	if f.changed == nil {
		f.changed = func() {}
	}
	if f.void == nil {
		f.void = func() {}
	}
	if f.heardOf == nil {
		f.heardOf = func(feed.Outcome) {}
	}
	if f.now == nil {
		f.now = time.Now
	}
	f.begun = f.now()
	if f.logger == nil {
		f.logger = slog.New(slog.DiscardHandler)
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.reader = feed.NewReader(c.Issuer, &f.set)
	f.asker = &asker{client: f.client, reader: c.Reader, now: time.Now, ctx: f.ctx, ended: &f.ended, flights: map[[32]byte]*flight{}, answers: map[[32]byte]answer{}}
	return f, nil
}

// streaming copies a client for answers without an end, and for requests that
// carry a credential: it goes nowhere that the issuer did not name itself.
func streaming(client *http.Client) *http.Client {
	copied := http.Client{}
	if client != nil {
		copied = *client
	}
	copied.Timeout = 0
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}

// Start loads what is on disk and begins to follow, once.
func (f *Follower) Start() {
	f.once.Do(func() {
		f.load()
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.closed {
			f.ended.Go(f.run)
		}
	})
}

// None says that the issuer has no feed.
func (f *Follower) None() { f.Found(Places{}) }

// Found says what the issuer's discovery document says. Addresses that are not
// of the issuer's origin are refused (C34); a feed that cannot be read for that
// is stale, not absent.
func (f *Follower) Found(said Places) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := presence(f.presence.Load())
	if before != unknown && said == f.said {
		return
	}
	old := f.places
	f.said, f.places = said, f.accepted(said)
	f.asker.at(f.places.Introspection)
	switch {
	case said.Feed == "":
		if before == followed {
			f.logger.Warn("issuer has no revocation feed any more", "issuer", f.issuer)
		}
		f.presence.Store(int32(none))
		f.settle()
	case before != followed:
		f.found = time.Now()
		if before == none && !f.heard.Load() {
			f.settled, f.whole = make(chan struct{}), make(chan struct{})
			f.calm.Store(false)
		}
		f.presence.Store(int32(followed))
	}
	if old.Feed != f.places.Feed || old.Keys != f.places.Keys {
		select {
		case f.moved <- struct{}{}:
		default:
		}
	}
}

// accepted takes away what must not be read.
func (f *Follower) accepted(said Places) Places {
	p := said
	refuse := func(member string, at *string) {
		if *at != "" && !sameOrigin(f.issuer, *at) {
			f.logger.Warn("issuer names an address of another origin: not used", "issuer", f.issuer, "member", member, "address", fmt.Sprintf("%.200q", *at))
			*at = ""
		}
	}
	refuse("revocation_feed_endpoint", &p.Feed)
	refuse("revocation_feed_jwks_uri", &p.Keys)
	if f.CanAsk() {
		refuse("introspection_endpoint", &p.Introspection)
	}
	if p.Feed != "" && said.Keys == "" {
		f.logger.Warn("revocation feed not followed: there is no address of its keys", "issuer", f.issuer)
	}
	return p
}

func sameOrigin(issuer, address string) bool {
	want, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	got, err := url.Parse(address)
	return err == nil && got.Host != "" && got.Scheme == want.Scheme && got.Host == want.Host && got.User == nil
}

// settle says that nobody needs to wait for the first snapshot. f.mu is held.
func (f *Follower) settle() {
	shut(f.settled)
	shut(f.whole)
	f.calm.Store(true)
}

func shut(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// Set is what is known to be revoked.
func (f *Follower) Set() *feed.Set { return &f.set }

// Age is for how long the set may lack revocations, on a clock that nobody sets
// and on the one that does not stand still while the machine sleeps. False: it
// was never complete.
func (f *Follower) Age() (time.Duration, bool) { return f.age(f.now()) }

func (f *Follower) age(now time.Time) (time.Duration, bool) {
	if !f.heard.Load() || presence(f.presence.Load()) == none {
		return 0, false
	}
	// The difference of two times that were read here is of the monotonic clock.
	age := max(0, now.Sub(f.begun)-time.Duration(f.beat.Load()))
	if wall := f.set.Age(now); wall != feed.Never {
		age = max(age, wall)
	}
	return age, true
}

// Stale tells whether revocations are not known right now, and for how long
// that has been so. An issuer without a feed is never stale.
func (f *Follower) Stale() (time.Duration, bool) {
	at := presence(f.presence.Load())
	if at == none {
		return 0, false
	}
	now := f.now()
	if at == followed {
		if age, heard := f.age(now); heard {
			return age, age > StaleAfter
		}
	}
	return now.Sub(f.begun), true
}

// Fresh tells whether there is a feed and it is not stale.
func (f *Follower) Fresh() bool {
	_, stale := f.Stale()
	return !stale && presence(f.presence.Load()) == followed
}

// Wait waits until all revocations were known once, at most for patience.
// ErrNoSnapshot when they do not come, unless there are some from the disk. It
// does not wait for an issuer without a feed, or of which nothing is known.
func (f *Follower) Wait(ctx context.Context, patience time.Duration) error {
	f.mu.Lock()
	settled := f.settled
	f.mu.Unlock()
	return f.wait(ctx, settled, time.Now().Add(patience))
}

// WaitWhole waits until a snapshot has come. The patience counts from when the
// feed was found, so that only the first requests wait.
func (f *Follower) WaitWhole(ctx context.Context, patience time.Duration) {
	f.mu.Lock()
	whole, until := f.whole, f.found.Add(patience)
	f.mu.Unlock()
	f.wait(ctx, whole, until)
}

// WaitFresh waits, with the same patience, until all revocations were known once.
func (f *Follower) WaitFresh(ctx context.Context, patience time.Duration) {
	f.mu.Lock()
	settled, until := f.settled, f.found.Add(patience)
	f.mu.Unlock()
	f.wait(ctx, settled, until)
}

// Calm tells that there is nothing to wait for. It takes no lock.
func (f *Follower) Calm() bool {
	return f.calm.Load() || presence(f.presence.Load()) != followed
}

func (f *Follower) wait(ctx context.Context, event <-chan struct{}, until time.Time) error {
	if f.Calm() {
		return nil
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var cause error
	select {
	case <-event:
		return nil
	case <-timer.C:
		f.mu.Lock()
		cause = f.cause
		f.mu.Unlock()
	case <-ctx.Done():
		cause = ctx.Err()
	case <-f.ctx.Done():
		cause = f.ctx.Err()
	}
	if f.heard.Load() {
		return nil
	}
	if cause == nil {
		return ErrNoSnapshot
	}
	return fmt.Errorf("%w: %w", ErrNoSnapshot, cause)
}

// Cause is why the last connection ended; nil: none has, or all is well again.
func (f *Follower) Cause() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cause
}

// CanAsk tells whether there is a credential to ask with.
func (f *Follower) CanAsk() bool { return f.asker.possible() }

// Ask asks the issuer whether a token is live (RFC 7662). ErrUnknown when it
// does not answer. Answers are good for a second.
func (f *Follower) Ask(ctx context.Context, raw string) (active bool, err error) {
	return f.asker.ask(ctx, raw)
}

// Close ends the background work.
func (f *Follower) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.stop()
	f.ended.Wait()
	return nil
}
