package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// lookEvery is how often certificate files are looked at.
const lookEvery = 10 * time.Second

// ListenTLS wraps a listener with a certificate from files. A certificate that
// is renewed there is taken up without a restart; until both files can be read
// and fit together, the last one stays.
func ListenTLS(l net.Listener, certFile, keyFile string, logger *slog.Logger) (net.Listener, error) {
	f := &certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	stamp, err := f.read()
	if err != nil {
		return nil, fmt.Errorf("read the TLS certificate: %w. Check tls.cert and tls.key of the configuration", err)
	}
	f.stamp, f.looked = stamp, time.Now()
	return tls.NewListener(l, &tls.Config{GetCertificate: f.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}), nil
}

type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	stamp  [2]time.Time // when the files were written
	looked time.Time
}

func (f *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookEvery {
		return f.pair, nil
	}
	f.looked = time.Now()
	if f.written() == f.stamp {
		return f.pair, nil
	}
	stamp, err := f.read()
	if err != nil {
		f.logger.Error("the renewed TLS certificate cannot be used; the old one stays", "cause", err)
		return f.pair, nil
	}
	f.stamp = stamp
	f.logger.Info("TLS certificate renewed", "not_after", f.pair.Leaf.NotAfter)
	return f.pair, nil
}

// read takes up the files. The stamp is from before the reading: what is
// written meanwhile is read the next time.
func (f *certificate) read() ([2]time.Time, error) {
	stamp := f.written()
	pair, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
	if err != nil {
		return stamp, err
	}
	f.pair = &pair
	return stamp, nil
}

func (f *certificate) written() (stamp [2]time.Time) {
	for i, path := range []string{f.certFile, f.keyFile} {
		if info, err := os.Stat(path); err == nil {
			stamp[i] = info.ModTime()
		}
	}
	return stamp
}
