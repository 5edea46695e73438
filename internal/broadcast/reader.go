package broadcast

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
)

var (
	// ErrFull: there are too many readers, of this address or in total.
	ErrFull = errors.New("too many readers of the feed")
	// ErrClosed: the feed does not run here, or not yet, or ends.
	ErrClosed = errors.New("the feed is not running")
	// ErrOusted: another reader got this one's place, because its network has more
	// of them than any other.
	ErrOusted = errors.New("the reader's network has most of the places, and another needs one")
	// ErrSlow: the reader fell behind and was cut.
	ErrSlow = errors.New("the reader of the feed fell behind")
)

// Reader is one connection. It holds no messages: only how far it came.
type Reader struct {
	hub     *Hub
	address netip.Addr
	first   []frame // a snapshot to begin with
	greet   bool    // whether a heartbeat of its own is due
	stream  string
	next    int64
	closed  bool
	ousted  chan struct{} // closed: another has its place
}

// resumeLimit is how many entries a reader that resumes may have missed and
// still get them alone, in one message signed for it.
const resumeLimit = 400

// Enter lets a reader in. lastEventID is what it sent: a number after which to
// go on; anything else, and nothing, begins with a snapshot. Close it.
func (h *Hub) Enter(address netip.Addr, lastEventID string) (*Reader, error) {
	r := &Reader{hub: h, address: address, greet: true, ousted: make(chan struct{})}
	if err := h.admit(r); err != nil {
		return nil, err
	}
	position, err := strconv.ParseInt(lastEventID, 10, 64)
	if err != nil || len(lastEventID) > 16 || position <= 0 || !r.resume(position) {
		if err := r.snapshot(); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

func (h *Hub) admit(r *Reader) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.open {
		return ErrClosed
	}
	if h.readers[r.address] >= h.config.ReadersPerAddress || h.total >= h.config.Readers && !h.oust(network(r.address)) {
		return ErrFull
	}
	h.total++
	h.readers[r.address]++
	h.networks[network(r.address)] = append(h.networks[network(r.address)], r)
	return nil
}

// network is what one party can be expected to have: an IPv4 /24, an IPv6 /48.
func network(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits)
	return p
}

// oust makes room for a reader of a network: the network with the most readers
// loses its newest, unless the newcomer's would then have as many. A few
// addresses cannot take all places, and nobody is sent away in turns.
func (h *Hub) oust(newcomer netip.Prefix) bool {
	var largest []*Reader
	for _, readers := range h.networks {
		if len(readers) > len(largest) {
			largest = readers
		}
	}
	if len(largest) < len(h.networks[newcomer])+2 {
		return false
	}
	newest := largest[len(largest)-1]
	close(newest.ousted)
	h.remove(newest)
	return true
}

// remove takes a reader out of the counts, once.
func (h *Hub) remove(r *Reader) {
	if r.closed {
		return
	}
	r.closed = true
	h.total--
	if h.readers[r.address]--; h.readers[r.address] == 0 {
		delete(h.readers, r.address)
	}
	of := network(r.address)
	h.networks[of] = slices.DeleteFunc(h.networks[of], func(other *Reader) bool { return other == r })
	if len(h.networks[of]) == 0 {
		delete(h.networks, of)
	}
}

// Close makes room for another reader.
func (r *Reader) Close() {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	r.hub.remove(r)
}

// Readers counts who is connected.
func (h *Hub) Readers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

// resume begins after what the reader has, if that is here and little enough.
func (r *Reader) resume(position int64) bool {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if position > h.settled || position <= h.unclear {
		return false // of a database that is not this one, or a node that does not see it
	}
	f, known := h.resumes[position]
	if !known {
		entries, ok := h.live.after(position, resumeLimit)
		if !ok {
			return false
		}
		var err error
		if f, err = h.sign(feed.Message{Type: feed.Snapshot, Part: 1, Parts: 1, From: position, Entries: entries}); err != nil {
			return false
		}
		if len(h.resumes) < h.config.Kept {
			h.resumes[position] = f
		}
	}
	r.first, r.stream, r.next = []frame{f}, h.stream, h.log.next()
	return true
}

// snapshot is everything, signed once for many readers.
type snapshot struct {
	frames []frame
	stream string
	next   int64 // the first message after it
}

// snapshotAge is after how many messages a snapshot is made anew.
const snapshotAge = 50

// snapshot begins with all there is.
func (r *Reader) snapshot() error {
	h := r.hub
	h.cutting.Lock()
	defer h.cutting.Unlock()
	h.mu.Lock()
	if !h.open {
		h.mu.Unlock()
		return ErrClosed
	}
	if fresh := h.cut.stream == h.stream && h.log.next()-h.cut.next < snapshotAge; fresh {
		h.mu.Unlock()
	} else {
		head := feed.Message{Type: feed.Snapshot, Stream: h.stream, N: h.n, At: h.at, Seq: h.settled, Salt: h.salt}
		next, key, rows := h.log.next(), h.signer, h.live.all()
		h.mu.Unlock()
		h.cut = snapshot{stream: head.Stream, next: next}
		var list []feed.Entry
		for _, piece := range rows {
			for _, n := range piece {
				list = append(list, n.entry)
			}
		}
		pieces := feed.Split(list)
		head.Parts = len(pieces)
		for i, piece := range pieces {
			head.Part, head.Entries = i+1, piece
			f, err := encode(head, key, h.config.Issuer)
			if err != nil {
				h.cut = snapshot{}
				return err
			}
			h.cut.frames = append(h.cut.frames, f)
		}
	}
	r.first, r.stream, r.next = h.cut.frames, h.cut.stream, h.cut.next
	return nil
}

// Next waits for what comes next: some messages, to be written in their order
// and not to be changed. ErrClosed when the feed ends, ErrSlow when messages
// that this reader did not take are gone, ErrOusted when another needs its place.
func (r *Reader) Next(ctx context.Context) ([][]byte, error) {
	h := r.hub
	for {
		select {
		case <-r.ousted: // also who is never without a message
			return nil, ErrOusted
		default:
		}
		if r.first != nil {
			first := r.first
			r.first = nil
			return raw(first), nil
		}
		h.mu.Lock()
		ended, stream, changed := h.ended, h.stream, h.changed
		var list []frame
		kept := true
		if stream == r.stream {
			list, kept = h.log.from(r.next)
			r.next += int64(len(list))
			list = r.greeted(list)
		}
		h.mu.Unlock()
		switch {
		case ended:
			return nil, ErrClosed
		case stream != r.stream:
			if err := r.snapshot(); err != nil {
				return nil, err
			}
			return r.Next(ctx)
		case !kept:
			return nil, ErrSlow
		case len(list) > 0:
			return raw(list), nil
		}
		select {
		case <-changed:
		case <-r.ousted:
			return nil, ErrOusted
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// greeted are the messages that follow a snapshot that was perhaps signed a while
// ago: without the heartbeats of that while, which are past and would let the
// reader believe too early that this was all, and with one of now, so that it
// knows at once when it was. h.mu is held.
func (r *Reader) greeted(list []frame) []frame {
	if !r.greet {
		return list
	}
	r.greet = false
	var rest []frame
	for _, f := range list {
		if !f.beats() {
			rest = append(rest, f)
		}
	}
	if f, ok := r.hub.greeting(); ok {
		rest = append(rest, f)
	}
	return rest
}

func raw(frames []frame) [][]byte {
	list := make([][]byte, len(frames))
	for i, f := range frames {
		list[i] = f
	}
	return list
}
