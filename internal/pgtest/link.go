package pgtest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Link is a TCP connection's way to a server, which can be slow, still or cut.
type Link struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	change *sync.Cond
	delay  time.Duration
	still  bool
	closed bool
	open   map[net.Conn]bool
}

// NewLink listens on loopback and passes what it gets to the target (host:port)
// until the test ends.
func NewLink(tb testing.TB, target string) *Link {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	l := &Link{listener: listener, target: target, open: map[net.Conn]bool{}}
	l.change = sync.NewCond(&l.mu)
	go l.accept()
	tb.Cleanup(l.close)
	return l
}

// Address is where it listens, as host:port.
func (l *Link) Address() string { return l.listener.Addr().String() }

// Delay makes each piece of data, in each direction, arrive later.
func (l *Link) Delay(d time.Duration) { l.set(func() { l.delay = d }) }

// Still holds everything back, new connections too: the other side is there and
// does not answer. What was held back arrives when it is no longer still.
func (l *Link) Still(still bool) { l.set(func() { l.still = still }) }

// Cut ends the open connections; what was held back is lost. New ones are made.
func (l *Link) Cut() {
	l.set(func() {
		for c := range l.open {
			reset(c)
			delete(l.open, c)
		}
	})
}

// Open is the number of connections that are open through the link.
func (l *Link) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open) / 2
}

func (l *Link) close() {
	l.listener.Close()
	l.set(func() { l.closed = true })
	l.Cut()
}

func (l *Link) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	l.change.Broadcast()
}

// reset closes a connection so that the other side notices at once.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

func (l *Link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.DialTimeout("tcp", l.target, 5*time.Second)
		if err != nil {
			reset(near)
			continue
		}
		l.set(func() { l.open[near], l.open[far] = true, true })
		go l.pass(near, far)
		go l.pass(far, near)
	}
}

// pass copies one direction; each piece waits for its time and for the link to
// move, and none overtakes another.
func (l *Link) pass(from, to net.Conn) {
	type piece struct {
		data []byte
		at   time.Time
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				pieces <- piece{append([]byte(nil), buffer[:n]...), time.Now()}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		if !l.due(p.at, to) {
			break
		}
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	l.set(func() { delete(l.open, from); delete(l.open, to) })
	from.Close()
	to.Close()
	for range pieces { // the reader must not wait for room
	}
}

// due waits until a piece that came at a time may go on, and reports whether its
// connection is still wanted.
func (l *Link) due(at time.Time, to net.Conn) bool {
	l.mu.Lock()
	delay := l.delay
	l.mu.Unlock()
	time.Sleep(time.Until(at.Add(delay)))
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.still && !l.closed && l.open[to] {
		l.change.Wait()
	}
	return !l.closed && l.open[to]
}
