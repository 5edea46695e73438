package server

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Loopback is one port on both loopback addresses, so that localhost works
// whichever of them a client tries first (C22).
type Loopback struct {
	Port      int
	Listeners []net.Listener
}

// PortInUse names the port and lets the caller say which flag helps.
type PortInUse struct{ Port int }

func (e *PortInUse) Error() string {
	return fmt.Sprintf("port %d is in use by another program", e.Port)
}

// ErrNotLoopback refuses an address that other machines could reach.
var ErrNotLoopback = errors.New("not a loopback address")

// ParseLoopback reads HOST:PORT and accepts loopback hosts only.
func ParseLoopback(addr string) (port int, err error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, fmt.Errorf("%q is not of the form HOST:PORT, such as localhost:8080", addr)
	}
	port, err = strconv.Atoi(service)
	if err != nil || port < 0 || port > 65535 {
		return 0, fmt.Errorf("%q does not end with a port number from 0 to 65535", addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return 0, fmt.Errorf("%q: %w", addr, ErrNotLoopback)
	}
	return port, nil
}

// ListenLoopback opens the port on 127.0.0.1 and, where the machine has it, on
// [::1]. Port 0 draws one that is free on both.
func ListenLoopback(port int) (Loopback, error) {
	for range 20 {
		l, err := listenBoth(port)
		var inUse *PortInUse
		if port != 0 || !errors.As(err, &inUse) {
			return l, err
		}
	}
	return Loopback{}, errors.New("no port is free on both loopback addresses")
}

func listenBoth(port int) (Loopback, error) {
	v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return Loopback{}, listenError(port, err)
	}
	chosen := v4.Addr().(*net.TCPAddr).Port
	v6, err := net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(chosen)))
	switch {
	case err == nil:
		return Loopback{Port: chosen, Listeners: []net.Listener{v4, v6}}, nil
	case errors.Is(err, syscall.EADDRINUSE):
		v4.Close()
		return Loopback{}, listenError(chosen, err)
	}
	return Loopback{Port: chosen, Listeners: []net.Listener{v4}}, nil // a machine without IPv6
}

func listenError(port int, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &PortInUse{Port: port}
	}
	return fmt.Errorf("listen on port %d: %w", port, err)
}
