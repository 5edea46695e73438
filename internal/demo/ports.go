package demo

import (
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// Usage is a mistake in the command line; the caller prints it and exits with 2.
type Usage struct{ Reason string }

func (e *Usage) Error() string { return e.Reason }

// ports are the three addresses of a dev run.
type ports struct{ issuer, api, service server.Loopback }

// listen opens the ports that the flags ask for. A folder of an earlier run
// keeps its ports, because issuer and audience are part of its data.
func (o Options) listen(f folder) (ports, error) {
	issuer, err := choose("--listen", o.Listen, DefaultListen, f.known, f.marker.Port)
	if err != nil {
		return ports{}, err
	}
	api, err := choose("--api-listen", o.APIListen, DefaultAPIListen, f.known, f.marker.APIPort)
	if err != nil {
		return ports{}, err
	}
	var p ports
	if p.issuer, err = open(issuer, "--listen", f.known); err != nil {
		return ports{}, err
	}
	if p.api, err = open(api, "--api-listen", f.known); err != nil {
		p.close()
		return ports{}, err
	}
	if p.service, err = server.ListenLoopback(f.marker.ServicePort); err != nil {
		// The demo service is nobody's address: any free port will do.
		if p.service, err = server.ListenLoopback(0); err != nil {
			p.close()
			return ports{}, err
		}
	}
	return p, nil
}

// choose decides between the flag, the default and what the folder recorded.
func choose(flag, given, fallback string, known bool, recorded int) (int, error) {
	addr := given
	if addr == "" {
		addr = fallback
	}
	port, err := server.ParseLoopback(addr)
	if errors.Is(err, server.ErrNotLoopback) {
		return 0, &Usage{fmt.Sprintf("%s: `gatehouse dev` prints its passwords and listens on this machine only. Use %s localhost:PORT; for other machines there is `gatehouse serve`", err, flag)}
	}
	if err != nil {
		return 0, &Usage{fmt.Sprintf("%s %s", flag, err)}
	}
	if !known {
		return port, nil
	}
	if given != "" && port != 0 && port != recorded {
		return 0, &Usage{fmt.Sprintf("this data folder belongs to port %d, which its tokens name. Use %s localhost:%d, or another --data folder", recorded, flag, recorded)}
	}
	return recorded, nil
}

func open(port int, flag string, known bool) (server.Loopback, error) {
	l, err := server.ListenLoopback(port)
	var inUse *server.PortInUse
	if errors.As(err, &inUse) && known {
		return l, fmt.Errorf("%w, and this data folder belongs to it. Stop the other program, or use another --data folder", err)
	}
	if errors.As(err, &inUse) {
		return l, fmt.Errorf("%w. Choose another with %s localhost:%d, or a free one with %s localhost:0", err, flag, port+10, flag)
	}
	return l, err
}

func (p ports) close() {
	for _, l := range []server.Loopback{p.issuer, p.api, p.service} {
		for _, one := range l.Listeners {
			one.Close()
		}
	}
}
