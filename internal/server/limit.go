package server

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of connections that are open at once. Zero stands for the default.
type Limits struct {
	Connections int // in total
	PerAddress  int // of one client address
	Exempt      func(netip.Addr) bool
}

const (
	defaultConnections = 4096
	defaultPerAddress  = 256
	// complainEvery is how often trouble that goes on is mentioned in the log.
	complainEvery = 10 * time.Second
)

// Limit refuses connections beyond the limits by closing them at once, so that
// one client, or many that send nothing, cannot use up all file descriptors.
func Limit(l net.Listener, limits Limits, logger *slog.Logger) net.Listener {
	if limits.Connections == 0 {
		limits.Connections = defaultConnections
	}
	if limits.PerAddress == 0 {
		limits.PerAddress = defaultPerAddress
	}
	return &limiter{Listener: l, limits: limits, logger: logger, open: map[netip.Addr]int{}}
}

type limiter struct {
	net.Listener
	limits  Limits
	logger  *slog.Logger
	refused atomic.Int64

	mu         sync.Mutex
	total      int
	open       map[netip.Addr]int
	complained time.Time
}

// Accept waits for a connection within the limits.
func (l *limiter) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := peer(conn.RemoteAddr().String())
		if l.enter(address) {
			return &limited{Conn: conn, leave: sync.OnceFunc(func() { l.leave(address) })}, nil
		}
		conn.Close()
	}
}

func (l *limiter) enter(address netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	exempt := l.limits.Exempt != nil && l.limits.Exempt(address)
	if l.total >= l.limits.Connections || l.open[address] >= l.limits.PerAddress && !exempt {
		l.complain(address)
		return false
	}
	l.total++
	l.open[address]++
	return true
}

func (l *limiter) complain(address netip.Addr) {
	n := l.refused.Add(1)
	if time.Since(l.complained) > complainEvery {
		l.complained = time.Now()
		l.logger.Warn("connections refused: too many are open", "address", address.String(), "open", l.total, "refused", n)
	}
}

func (l *limiter) leave(address netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.open[address]--; l.open[address] == 0 {
		delete(l.open, address)
	}
}

type limited struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room for another.
func (c *limited) Close() error {
	c.leave()
	return c.Conn.Close()
}

// peer is the address of HOST:PORT, without a zone and with IPv4 as IPv4.
func peer(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}
