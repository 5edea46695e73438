package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Bounds of one fetch.
const (
	DefaultTimeout = 5 * time.Second
	MaxBytes       = 1 << 20 // of a body
	maxHeaderBytes = 64 << 10
	httpsPort      = 443
)

// Config of a guarded client. The zero Config reaches the public internet by
// https on port 443 and nothing else.
type Config struct {
	// Ports are allowed beside 443.
	Ports []int
	// Networks are reached although they are not public: an operator's own, by
	// prefix. A prefix without bits is everything, and is the operator's choice.
	Networks []netip.Prefix
	// InsecureLoopback reaches this machine too, on any port and by plain http:
	// for `gatehouse dev` and tests.
	InsecureLoopback bool
	// Resolver finds addresses; nil: the system's.
	Resolver *net.Resolver
	// RootCAs are trusted instead of the system's.
	RootCAs *x509.CertPool
	// Timeout of a whole fetch; 0: DefaultTimeout.
	Timeout time.Duration
}

// ErrTooLarge: the body is larger than MaxBytes.
var ErrTooLarge = errors.New("the answer is too large")

// New makes a client whose every connection is checked at the moment it is
// made. It follows no redirect, takes no proxy from the environment, keeps no
// cookies and no connections.
func New(c Config) *http.Client {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	dialer := &net.Dialer{Timeout: c.Timeout, Resolver: c.Resolver, Control: c.control}
	transport := &http.Transport{
		Proxy:                  nil, // a proxy would resolve the name once more, out of our sight
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
		TLSHandshakeTimeout:    c.Timeout,
		ResponseHeaderTimeout:  c.Timeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableKeepAlives:      true,
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{
		Transport:     guarded{config: c, next: transport},
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// control sees the address that the name resolved to, right before connect(2).
func (c Config) control(network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return &Refused{Target: network + " " + address, Reason: "it is no TCP address"}
	}
	if c.InsecureLoopback && at.Addr().IsLoopback() {
		return nil
	}
	if slices.ContainsFunc(c.Networks, func(p netip.Prefix) bool { return p.Contains(at.Addr()) }) {
		return nil
	}
	return CheckAddress(at.Addr())
}

func (c Config) allowsPort(port int) bool { return port == httpsPort || slices.Contains(c.Ports, port) }

// checkURL is control for what a URL alone says. It runs for every request of
// the client, also for one that a caller's redirect policy makes.
func (c Config) checkURL(u *url.URL) error {
	port := httpsPort
	if p := u.Port(); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil {
			return &Refused{Target: u.Redacted(), Reason: "the port is no number"}
		}
		port = n
	}
	switch {
	case u.Hostname() == "" || u.Opaque != "":
		return &Refused{Target: u.Redacted(), Reason: "it names no host"}
	case u.User != nil:
		return &Refused{Target: u.Redacted(), Reason: "it names a user"}
	case c.InsecureLoopback && u.Scheme == "http" && loopbackName(u.Hostname()):
		return nil
	case u.Scheme != "https":
		return &Refused{Target: u.Redacted(), Reason: "only https is fetched"}
	case !c.allowsPort(port) && !(c.InsecureLoopback && loopbackName(u.Hostname())):
		return &Refused{Target: u.Redacted(), Reason: "the port is not allowed"}
	}
	return nil
}

func loopbackName(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// guarded checks the URL of each request and bounds its answer.
type guarded struct {
	config Config
	next   http.RoundTripper
}

func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.config.checkURL(r.URL); err != nil {
		return nil, err
	}
	response, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.ContentLength > MaxBytes {
		response.Body.Close()
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, response.ContentLength, MaxBytes)
	}
	response.Body = &bounded{ReadCloser: response.Body, left: MaxBytes}
	return response, nil
}

// bounded ends a body with an error instead of cutting it off: half a document
// must not pass for a whole one.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}
