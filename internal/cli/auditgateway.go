package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/gateway"
)

// guarded is a gateway of ours before an API that checks nothing, on loopback.
type guarded struct {
	url     string
	gateway *gateway.Gateway
	servers []*http.Server
}

// guardNothing starts both. What the API answers says nothing about the caller,
// so that whatever gets through the gateway shows by the status.
func guardNothing(issuer, audience string) (*guarded, error) {
	g := &guarded{}
	api, err := g.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "orders") }))
	if err != nil {
		return nil, err
	}
	g.gateway, err = gateway.New(gateway.Config{Upstream: api, Logger: slog.New(slog.DiscardHandler), Policy: fmt.Appendf(nil, `version: 1
tokens:
  - issuer: %s
    audience: %s
routes:
  - GET,HEAD /orders: { scope: orders:read }
`, issuer, audience)})
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	if g.url, err = g.serve(g.gateway); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

func (g *guarded) serve(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("start what is to be attacked: %w", err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	g.servers = append(g.servers, s)
	go s.Serve(l) // ends with close
	return "http://" + l.Addr().String(), nil
}

func (g *guarded) close() error {
	var err error
	if g.gateway != nil {
		err = g.gateway.Close()
	}
	for _, s := range g.servers {
		err = errors.Join(err, s.Close())
	}
	return err
}
