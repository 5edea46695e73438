package pgtest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Bouncer is a PgBouncer before a server.
type Bouncer struct {
	server  *Server
	dir     string
	port    int
	process *process
}

// PgBouncer starts a PgBouncer for one test, in pool mode "transaction" or
// "session", with 20 connections to the server a database. Without PgBouncer on
// the machine the test is skipped and says so.
func (s *Server) PgBouncer(tb testing.TB, mode string) *Bouncer {
	tb.Helper()
	if err := MissingPgBouncer(); err != nil {
		fmt.Printf("NOT RUN: %s: %v\n", tb.Name(), err)
		tb.SkipNow()
	}
	b, err := s.bouncer(mode)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	return b
}

func (s *Server) bouncer(mode string) (*Bouncer, error) {
	program, err := bouncer()
	if err != nil {
		return nil, err
	}
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	b := &Bouncer{server: s, dir: dir}
	if b.port, err = freePort("127.0.0.1"); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"users": fmt.Sprintf("\"gatehouse\" \"%s\"\n", s.password),
		"ini": fmt.Sprintf(`[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s/users
pool_mode = %s
default_pool_size = 20
max_client_conn = 1000
`, s.host, s.port, b.port, dir, mode),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
		if err := give(path); err != nil {
			return nil, err
		}
	}
	if b.process, err = start(dir, filepath.Join(dir, "log"), program, filepath.Join(dir, "ini")); err != nil {
		return nil, err
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && b.process.alive(); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", b.Address()); err == nil {
			c.Close()
			return b, nil
		}
	}
	defer b.Close()
	return nil, fmt.Errorf("PgBouncer does not start:\n%s", b.Log())
}

// Address is where it listens, as host:port.
func (b *Bouncer) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)) }

// DSN is the address through PgBouncer of what the server calls by this address.
func (b *Bouncer) DSN(direct string) string {
	return strings.Replace(direct, b.server.Address(), b.Address(), 1)
}

// Log is what PgBouncer has logged.
func (b *Bouncer) Log() string {
	text, _ := os.ReadFile(filepath.Join(b.dir, "log"))
	return string(text)
}

// Close kills PgBouncer.
func (b *Bouncer) Close() error {
	if b.process != nil {
		b.process.kill()
	}
	return os.RemoveAll(b.dir)
}
