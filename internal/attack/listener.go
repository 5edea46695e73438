package attack

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// listener is where tokens lead to: it publishes the auditor's own key and
// remembers who fetched what. Each path begins with the row that leads there.
type listener struct {
	url    string
	server *http.Server

	mu          sync.Mutex
	hits        map[string]int
	key         jose.Key
	certificate []byte
}

// listen starts a listener. public is the address under which the target
// reaches it, "" for the address itself.
func listen(address, public string) (*listener, error) {
	inner, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for callbacks: %w. Name another address with --callback-listen", err)
	}
	l := &listener{url: strings.TrimSuffix(public, "/"), hits: map[string]int{}}
	if l.url == "" {
		l.url = "http://" + inner.Addr().String()
	}
	l.server = &http.Server{Handler: http.HandlerFunc(l.serve), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	go l.server.Serve(inner)
	return l, nil
}

// publish sets the key that the listener shows.
func (l *listener) publish(s forge.Source) error {
	certificate, err := forge.Certificate(s)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.key, l.certificate = s.Own.Key(), certificate
	return nil
}

func (l *listener) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(r.URL.Path, "/")
	// RFC 8414 §3.1 puts the well-known part before the issuer's path.
	if strings.HasPrefix(path, ".well-known/") {
		path = "T30/" + path
	}
	row, rest, _ := strings.Cut(path, "/")
	l.mu.Lock()
	if len(l.hits) < 100 {
		l.hits[row]++
	}
	key, certificate := l.key, l.certificate
	l.mu.Unlock()
	switch {
	case strings.HasSuffix(rest, "jwks.json"):
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(jose.NewKeySet(key))
	case rest == "cert.pem" || rest == "key.pem":
		w.Header().Set("Content-Type", "application/x-pem-file")
		w.Write(certificate)
	case strings.Contains(rest, ".well-known/"):
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"issuer": l.url + "/T30", "jwks_uri": l.url + "/T30/jwks.json"})
	default:
		http.NotFound(w, r)
	}
}

// fetched tells whether something was fetched for a row.
func (l *listener) fetched(row string) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hits[row] > 0
}

func (l *listener) close() {
	if l != nil {
		l.server.Close()
	}
}
