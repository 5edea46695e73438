package broadcast

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const (
	pollEvery      = 100 * time.Millisecond
	heartbeatEvery = time.Second
	// pollLimit ends a read of a database that does not answer.
	pollLimit = 2 * time.Second
	// beginLimit is for reading everything that is live.
	beginLimit = time.Minute
	// late is when a poll that took its time is mentioned in the log.
	late = time.Second
	// complainEvery is how often trouble that goes on is mentioned.
	complainEvery = 10 * time.Second
	// stepBack is how far the clock may go back before readers must begin anew.
	stepBack = 2 * time.Second
)

// Tail follows the rows of revocations: each comes once, also one whose
// transaction was committed late. Next returns none when nothing is new, and the
// number up to which all were returned. After an error the same rows come again.
type Tail interface {
	Next(ctx context.Context) (rows []iam.Revocation, settled int64, err error)
}

// signer is the key that signs the feed now.
type signer interface {
	FeedSigner(ctx context.Context) (jose.Signer, error)
}

// Config of a Hub. Issuer, Follow and Keys are required.
type Config struct {
	Issuer string
	Follow func() Tail // from the first row
	Keys   signer
	// Readers at once, in total and of one address; 0: 2048 and 128.
	Readers           int
	ReadersPerAddress int
	// Kept is how many messages a reader may fall behind, at least half of it; 0: 512.
	Kept   int
	Now    func() time.Time
	Logger *slog.Logger
}

// Hub follows the revocations of the database for the readers of one node.
type Hub struct {
	config Config

	started time.Time
	tail    Tail // of the goroutine that polls

	mu      sync.Mutex
	settled int64 // all rows up to here were read, and no other will come
	signer  jose.Signer
	unclear int64 // numbers up to this one may have been given to two rows
	salt    feed.Salt
	stream  string
	n       int64     // the number of the last delta
	at      time.Time // of the last look at the database, never the same twice
	log     messages
	live    ledger
	resumes map[int64]frame // of the present n, by where they begin
	changed chan struct{}   // closed at the next message
	open    bool
	ended   bool
	readers map[netip.Addr]int
	// networks have their readers, the newest last.
	networks map[netip.Prefix][]*Reader
	total    int

	looked  time.Time // when the database was last read, by the monotonic clock
	greeted frame     // a heartbeat for those who came since then; nil: nobody has

	cutting sync.Mutex // one goroutine signs a snapshot
	cut     snapshot
}

// New makes a hub that runs when Run is called.
func New(c Config) (*Hub, error) {
	if c.Issuer == "" || c.Follow == nil || c.Keys == nil {
		return nil, errors.New("broadcast: Issuer, Follow and Keys are required")
	}
	if c.Readers == 0 {
		c.Readers = 2048
	}
	if c.ReadersPerAddress == 0 {
		c.ReadersPerAddress = 128
	}
	if c.Kept == 0 {
		c.Kept = 512
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Hub{config: c, log: messages{kept: c.Kept}, started: time.Now(), changed: make(chan struct{}), readers: map[netip.Addr]int{}, networks: map[netip.Prefix][]*Reader{}}, nil
}

// Run follows the database until ctx ends; then every reader is sent away.
func (h *Hub) Run(ctx context.Context) {
	defer h.end()
	var beat, complained time.Time
	failing := false
	for {
		began := time.Now()
		err := h.poll(ctx)
		switch took := time.Since(began); {
		case ctx.Err() != nil:
			return
		case err != nil && time.Since(complained) > complainEvery:
			complained, failing = time.Now(), true
			h.config.Logger.Error("revocations not read: readers of the feed hear nothing, and go stale", "cause", err)
		case err == nil && failing:
			failing = false
			h.config.Logger.Info("revocations are read again")
		case err == nil && took > late:
			h.config.Logger.Warn("revocations were read late", "took", took)
		}
		if err == nil && time.Since(beat) >= heartbeatEvery {
			beat = time.Now()
			if err := h.heartbeat(); err != nil {
				h.config.Logger.Error("heartbeat not signed", "cause", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(jittered(pollEvery)):
		}
	}
}

// jittered is between nine and eleven tenths of d: nodes that were started
// together do not ask together.
func jittered(d time.Duration) time.Duration {
	return d*9/10 + mathrand.N(d/5)
}

// poll looks at the database once and tells the readers what is new.
func (h *Hub) poll(ctx context.Context) error {
	limited, done := context.WithTimeout(ctx, pollLimit)
	key, err := h.config.Keys.FeedSigner(limited)
	done()
	if err != nil {
		return fmt.Errorf("feed key: %w", err)
	}
	if h.signer.Key().ID() != key.Key().ID() {
		if err := h.begin(ctx, key); err != nil {
			return err
		}
	}
	limited, done = context.WithTimeout(ctx, pollLimit)
	defer done()
	for {
		at, looked := h.config.Now(), time.Now()
		rows, settled, err := h.tail.Next(limited)
		if errors.Is(err, iam.ErrBeganAnew) {
			return h.beginAfter(ctx, key)
		}
		if err != nil {
			return fmt.Errorf("read revocations: %w", err)
		}
		if err := h.publish(at, looked, rows, settled); err != nil || len(rows) == 0 {
			return err
		}
	}
}

// beginAfter begins anew on a database that failed over or was restored. What was
// heard stays revoked, though the database may have lost it. The numbers up to the
// last that was seen may be in use twice, so nobody resumes at one.
func (h *Hub) beginAfter(ctx context.Context, key jose.Signer) error {
	heard, seen := slices.Concat(h.live.settled, h.live.recent), max(h.settled, h.unclear)
	for _, n := range h.live.recent {
		seen = max(seen, n.seq)
	}
	if err := h.begin(ctx, key); err != nil {
		return err
	}
	for i := range heard {
		heard[i].seq = 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live.settled = append(heard, h.live.settled...)
	h.unclear = seen
	h.restart(h.at)
	return nil
}

// begin reads everything that is live, under the salt of a key, and begins a new
// stream: at the start, and when the feed gets another key.
func (h *Hub) begin(ctx context.Context, key jose.Signer) error {
	at := h.config.Now()
	ctx, cancel := context.WithTimeout(ctx, beginLimit)
	defer cancel()
	next, salt := h.config.Follow(), feed.SaltOf(key.Key().ID())
	var live ledger
	for {
		rows, settled, err := next.Next(ctx)
		if err != nil {
			return fmt.Errorf("read revocations: %w", err)
		}
		live.add(h.entries(salt, rows), settled)
		if len(rows) > 0 {
			continue
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.tail, h.settled, h.signer, h.salt, h.live = next, settled, key, salt, live
		h.restart(at)
		return nil
	}
}

// restart gives the messages a new stream: readers get a snapshot first.
func (h *Hub) restart(at time.Time) {
	h.stream, h.n, h.at, h.resumes = strings.ToLower(rand.Text()[:16]), 0, at, map[int64]frame{}
	h.log.clear()
	h.open, h.greeted = true, nil
	h.wake()
}

func (h *Hub) entries(salt feed.Salt, rows []iam.Revocation) []numbered {
	list := make([]numbered, 0, len(rows))
	for _, r := range rows {
		kind, ok := feed.ParseKind(string(r.Kind))
		if !ok {
			h.config.Logger.Error("a revocation of a kind that this version does not know: restart it as the version that wrote it", "kind", string(r.Kind), "seq", r.Seq)
			continue
		}
		subject := r.Subject
		if kind == feed.All {
			subject = fmt.Sprintf("%s#%d", subject, r.Seq) // each is an event of its own
		}
		list = append(list, numbered{seq: r.Seq, entry: feed.NewEntry(salt, kind, subject, r.MinEpoch, r.DropAfter), until: until(time.Since(h.started), r)})
	}
	return list
}

// until is when a row may be forgotten here, as a time since this hub began: when
// its whole life has passed since it was read. The clock of this node, which may
// be an hour fast, has no say in it.
func until(since time.Duration, r iam.Revocation) uint32 {
	return uint32((since+max(0, r.DropAfter.Sub(r.At)))/time.Second) + 1
}

// publish signs what is new, in as many deltas as it takes. A signature that
// fails loses nothing: a new stream begins with a snapshot.
func (h *Hub) publish(at, looked time.Time, rows []iam.Revocation, settled int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at.Before(h.at.Add(-stepBack)) {
		h.restart(at)
	}
	h.tick(at)
	h.looked, h.greeted = looked, nil
	added := h.entries(h.salt, rows)
	h.settled = settled
	h.live.add(added, h.settled)
	h.live.drop(time.Since(h.started))
	if len(added) == 0 {
		return nil
	}
	list := make([]feed.Entry, len(added))
	for i, a := range added {
		list[i] = a.entry
	}
	clear(h.resumes)
	for _, piece := range feed.Split(list) {
		h.n++
		if err := h.say(feed.Message{Type: feed.Delta, Entries: piece}); err != nil {
			h.restart(at)
			return err
		}
		h.tick(at)
	}
	return nil
}

// tick moves the time of the last look: it never stands still, so that no
// message looks like another one again.
func (h *Hub) tick(at time.Time) {
	if next := h.at.Add(time.Millisecond); at.Before(next) {
		at = next
	}
	h.at = at
}

func (h *Hub) heartbeat() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick(h.at)
	return h.say(feed.Message{Type: feed.Heartbeat})
}

// greetLimit is how old the last look at the database may be for a greeting.
const greetLimit = 5 * pollEvery

// greeting is a heartbeat between two polls for readers that have just come; one
// signature is for all who come in between. False: the database was not read for
// a while, and nobody may believe that it was. h.mu is held.
func (h *Hub) greeting() (frame, bool) {
	if time.Since(h.looked) > greetLimit {
		return nil, false
	}
	if h.greeted == nil {
		h.tick(h.at)
		f, err := h.sign(feed.Message{Type: feed.Heartbeat})
		if err != nil {
			return nil, false
		}
		h.greeted = f
	}
	return h.greeted, true
}

// say signs a message and hands it to the readers.
func (h *Hub) say(m feed.Message) error {
	f, err := h.sign(m)
	if err != nil {
		return err
	}
	h.log.add(f)
	h.wake()
	return nil
}

func (h *Hub) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// frame is a message as it goes out, shared by all readers.
type frame []byte

// beats tells whether it is a heartbeat. The data of a message has no line breaks.
func (f frame) beats() bool { return bytes.Contains(f, []byte("\nevent: heartbeat\n")) }

func (h *Hub) sign(m feed.Message) (frame, error) {
	m.Stream, m.N, m.At, m.Seq, m.Salt = h.stream, h.n, h.at, h.settled, h.salt
	return encode(m, h.signer, h.config.Issuer)
}

func encode(m feed.Message, key jose.Signer, issuer string) (frame, error) {
	raw, err := m.Sign(key, issuer)
	if err != nil {
		return nil, err
	}
	e := feed.Event{Name: string(m.Type), Data: raw}
	if m.Type != feed.Snapshot || m.Part == m.Parts {
		e.ID = fmt.Sprint(m.Seq)
	}
	return e.Append(nil), nil
}

// end sends every reader away and lets no other in.
func (h *Hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended, h.open = true, false
	h.wake()
}

// Lag is the time since the database was last read; false before the first time.
func (h *Hub) Lag() (time.Duration, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.config.Now().Sub(h.at), !h.at.IsZero()
}
