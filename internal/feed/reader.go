package feed

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// MaxSkew is how far the clocks of issuer and reader may differ, the largest
// leeway of a verifier.
const MaxSkew = 60 * time.Second

// Reader takes the messages of one issuer's feed into a Set. It is not safe for
// concurrent use; the Set is.
//
// For each connection: Begin, then Take for each event, as long as it returns
// no error but ErrClock. What an error asks for is said at the errors.
type Reader struct {
	issuer string
	set    *Set

	position int64 // all up to here is in the set
	complete bool  // whether position means anything

	stream  string
	n       int64
	live    bool // a snapshot of this connection is complete
	loading *loading

	at     time.Time     // the newest issuer's time seen in this stream
	offset time.Duration // the least (reader's - issuer's time) of this connection
	timed  bool          // whether offset means anything
}

// loading is a snapshot that has not come to its end.
type loading struct {
	head Message // its first part
	next int
	into *state
	own  bool // into is not yet the set's
}

// NewReader reads the feed of an issuer into set, which may hold what was Loaded
// from a disk.
func NewReader(issuer string, set *Set) *Reader { return &Reader{issuer: issuer, set: set} }

// Resume says up to which number the set is complete already, as read back from
// a disk beside it.
func (r *Reader) Resume(position int64) {
	r.position, r.complete = max(0, position), r.set.Salt() != Salt{}
}

// Position is the number up to which the set is complete, to be kept beside it
// on a disk. False: it is not complete.
func (r *Reader) Position() (int64, bool) { return r.position, r.complete }

// Begin begins a connection. It returns what to send as Last-Event-ID, empty to
// send none.
func (r *Reader) Begin() string {
	r.live, r.loading, r.timed = false, nil, false
	if !r.complete {
		return ""
	}
	return strconv.FormatInt(r.position, 10)
}

// Outcome is what a message changed.
type Outcome struct {
	Type    Type
	Changed bool    // tokens that were good may be revoked now: look at long streams
	Entries []Entry // that came with it
	Live    bool    // the set is complete, up to the issuer's last look
}

// Take reads one event that came at now, by the reader's clock. Events of other
// names are nothing to this version and change nothing.
func (r *Reader) Take(e Event, keys jose.KeySet, now time.Time) (Outcome, error) {
	switch Type(e.Name) {
	case Snapshot, Delta, Heartbeat:
	default:
		return Outcome{Live: r.live}, nil
	}
	m, err := Open(e.Data, keys, r.issuer)
	if err == nil && m.Type != Type(e.Name) {
		err = foreign("a " + string(m.Type) + " came as a " + clip(e.Name))
	}
	if isUnknown(err) {
		return r.misunderstood(m, err)
	}
	if err != nil {
		return Outcome{}, r.failed(err)
	}
	o := Outcome{Type: m.Type, Entries: m.Entries}
	if o.Changed, err = r.apply(m); err != nil {
		return o, r.failed(err)
	}
	o.Live = r.live
	if !r.live {
		return o, nil
	}
	r.set.Sweep(now)
	return o, r.refresh(m, now)
}

// failed ends the connection: what comes next on it is not to be relied upon.
func (r *Reader) failed(err error) error {
	if errors.Is(err, ErrUnknownKey) {
		return err // the same message may be read again
	}
	r.live, r.loading = false, nil
	if errors.Is(err, ErrResync) {
		r.complete = false
	}
	return err
}

// misunderstood takes the entries that are understood, since they only refuse
// more, and leaves the set incomplete.
func (r *Reader) misunderstood(m Message, err error) (Outcome, error) {
	o := Outcome{Type: m.Type, Entries: m.Entries}
	if m.Salt == r.set.Salt() {
		o.Changed = r.set.Add(m.Entries...)
	}
	return o, r.failed(err)
}

func (r *Reader) apply(m Message) (bool, error) {
	if m.Type == Snapshot {
		return r.snapshot(m)
	}
	switch {
	case !r.live:
		return false, resync("a " + string(m.Type) + " before a snapshot")
	case m.Salt != r.set.Salt():
		return false, resync("the salt is another")
	case m.Stream != r.stream:
		return false, resync("the stream is another")
	case m.Type == Delta && m.N != r.n+1, m.Type == Heartbeat && m.N != r.n:
		return false, resync(fmt.Sprintf("a %s with the number %d after %d", m.Type, m.N, r.n))
	}
	r.n, r.position = m.N, max(r.position, m.Seq)
	return r.set.Add(m.Entries...), nil
}

// snapshot takes a part. Under the salt of the set its entries are added one by
// one, because nothing that was revoked is ever good again; under another one
// the old entries stay in force until the new ones are complete.
func (r *Reader) snapshot(m Message) (bool, error) {
	if m.Part == 1 {
		if err := r.begin(m); err != nil {
			return false, err
		}
	}
	l := r.loading
	if l == nil || m.Part != l.next || !l.head.continues(m) {
		return false, resync("the parts of a snapshot are not in order")
	}
	l.next++
	changed := false
	if l.own {
		for _, e := range m.Entries {
			changed = l.into.add(e) || changed
			if e.Kind == All {
				r.set.all.Add(1)
			}
		}
	} else {
		changed = r.set.Add(m.Entries...)
	}
	if m.Part < m.Parts {
		return changed, nil
	}
	if l.own {
		r.set.adopt(l.into)
	}
	if m.From == 0 {
		r.position = m.Seq // also back: a restored issuer counts anew
	}
	r.position, r.complete, r.live, r.loading = max(r.position, m.Seq), true, true, nil
	if m.Stream != r.stream {
		r.at, r.timed = time.Time{}, false // another node, with a clock of its own
	}
	r.stream, r.n = m.Stream, m.N
	return changed, nil
}

func (r *Reader) begin(m Message) error {
	r.live, r.loading = false, nil
	same := m.Salt == r.set.Salt()
	switch {
	case m.From > 0 && (!r.complete || m.From > r.position):
		return resync("it begins after what is known")
	case m.From > 0 && !same:
		return resync("the salt is another")
	case same:
		r.loading = &loading{head: m, next: 1}
	case r.set.Salt() == Salt{}:
		r.set.Reset(m.Salt) // nothing is known: what comes counts at once
		r.loading = &loading{head: m, next: 1}
	default:
		r.loading = &loading{head: m, next: 1, into: newState(m.Salt), own: true}
	}
	return nil
}

// continues tells whether m belongs to the same snapshot.
func (m Message) continues(next Message) bool {
	return next.Stream == m.Stream && next.N == m.N && next.Seq == m.Seq && next.Salt == m.Salt &&
		next.Parts == m.Parts && next.From == m.From && next.At.Equal(m.At)
}

// refresh notes that the set is complete as of the issuer's time, if that has
// moved: a repeated message proves nothing. A snapshot proves nothing either: it
// was signed for many readers, some time ago. The issuer's time is translated by
// the smallest difference of the clocks that this connection has shown, so that
// a relay that holds messages back more and more makes the set old.
func (r *Reader) refresh(m Message, now time.Time) error {
	if m.Type == Snapshot || !m.At.After(r.at) {
		return nil
	}
	r.at = m.At
	offset := now.Sub(m.At)
	if offset > MaxSkew || offset < -MaxSkew {
		return fmt.Errorf("%w: it says %s, here it is %s", ErrClock, m.At.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if !r.timed || offset < r.offset {
		r.offset, r.timed = offset, true
	}
	r.set.MarkCurrent(m.At.Add(r.offset))
	return nil
}

func isUnknown(err error) bool { return errors.Is(err, ErrUnknown) }
