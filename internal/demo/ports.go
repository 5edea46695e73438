package demo

import (
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// Usage is a mistake in the command line; the caller prints it and exits with 2.
type Usage struct{ Reason string }

func (e *Usage) Error() string { return e.Reason }

// ports are the addresses of a dev run.
type ports struct{ issuer, api, service, shop, parcels, gateway, echo, desk, deskApp server.Loopback }

// wanted is one port that a flag asks for.
type wanted struct {
	flag, given, fallback string
	recorded              int  // by the folder's earlier run, 0: none
	anyPort               bool // without a flag, a free port will do where the default is taken
	into                  *server.Loopback
}

// listen opens the ports that the flags ask for. A folder of an earlier run
// keeps its ports, because issuer, audience and the apps' addresses are part
// of its data.
func (o Options) listen(f folder) (ports, error) {
	var p ports
	list := []wanted{
		{"--listen", o.Listen, DefaultListen, f.marker.Port, false, &p.issuer},
		{"--api-listen", o.APIListen, DefaultAPIListen, f.marker.APIPort, false, &p.api},
		{"--shop-listen", o.ShopListen, DefaultShopListen, f.marker.ShopPort, true, &p.shop},
		{"--parcels-listen", o.ParcelsListen, DefaultParcelsListen, f.marker.ParcelsPort, true, &p.parcels},
		{"--desk-listen", o.DeskListen, DefaultDeskListen, f.marker.DeskPort, true, &p.desk},
	}
	numbers := make([]int, len(list))
	for i, w := range list {
		var err error
		if numbers[i], err = choose(w.flag, w.given, w.fallback, w.recorded); err != nil {
			return ports{}, err
		}
	}
	for i, w := range list {
		if err := w.open(numbers[i]); err != nil {
			p.close()
			return ports{}, err
		}
	}
	var err error
	if p.service, err = server.ListenLoopback(f.marker.ServicePort); err != nil {
		// The demo service is nobody's address: any free port will do.
		if p.service, err = server.ListenLoopback(0); err != nil {
			p.close()
			return ports{}, err
		}
	}
	for _, into := range []*server.Loopback{&p.gateway, &p.echo, &p.deskApp} {
		if *into, err = server.ListenLoopback(0); err != nil {
			p.close()
			return ports{}, err
		}
	}
	return p, nil
}

// choose decides between the flag, the default and what the folder recorded.
func choose(flag, given, fallback string, recorded int) (int, error) {
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
	if recorded == 0 {
		return port, nil
	}
	if given != "" && port != 0 && port != recorded {
		return 0, &Usage{fmt.Sprintf("this data folder belongs to port %d, which its tokens name. Use %s localhost:%d, or another --data folder", recorded, flag, recorded)}
	}
	return recorded, nil
}

func (w wanted) open(port int) (err error) {
	*w.into, err = server.ListenLoopback(port)
	var inUse *server.PortInUse
	switch {
	case !errors.As(err, &inUse):
		return err
	case w.recorded != 0:
		return fmt.Errorf("%w, and this data folder belongs to it. Stop the other program, or use another --data folder", err)
	case w.anyPort && w.given == "":
		*w.into, err = server.ListenLoopback(0)
		return err
	}
	return fmt.Errorf("%w. Choose another with %s localhost:%d, or a free one with %s localhost:0", err, w.flag, port+10, w.flag)
}

func (p ports) close() {
	for _, l := range []server.Loopback{p.issuer, p.api, p.service, p.shop, p.parcels, p.gateway, p.echo, p.desk, p.deskApp} {
		for _, one := range l.Listeners {
			one.Close()
		}
	}
}
