package pgtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Environment is the variable that makes tests of the product use PostgreSQL:
// GATEHOUSE_TEST_DATABASE=postgres.
const Environment = "GATEHOUSE_TEST_DATABASE"

// Asked reports whether the environment asks for PostgreSQL.
func Asked() bool { return os.Getenv(Environment) == "postgres" }

// Config of a server. The zero value is a server on loopback that loses its data
// in a power cut, which is faster.
type Config struct {
	// Durable writes through to the disk, as a real server does.
	Durable bool
	// Address to listen on beside the socket, an address of this machine;
	// 127.0.0.1 when empty.
	Address string
	// Settings of postgresql.conf, such as "max_connections": "50".
	Settings map[string]string
	// Files to write into the data folder, such as "server.crt" and "server.key",
	// which "ssl": "on" takes.
	Files map[string][]byte
}

// Server is a PostgreSQL server of this process alone. Its methods are for one
// goroutine at a time; Query and the databases may be used by many.
type Server struct {
	config   Config
	bin      string // folder of the programs
	dir      string // data, socket and log
	host     string
	port     int
	password string // of the role gatehouse and of the superuser

	process *process
	shared  bool
	names   names
}

// names are the databases that were made.
type names struct {
	sync.Mutex
	count     int
	templates map[string]error
}

var shared = sync.OnceValues(func() (*Server, error) {
	s, err := Run(Config{})
	if err == nil {
		s.shared = true
	}
	return s, err
})

// Start returns the server that the tests of this process share; it is started
// for the first and ends with the process. Without PostgreSQL on the machine the
// test is skipped and says so, and fails when the environment asks for it.
func Start(tb testing.TB) *Server {
	tb.Helper()
	need(tb)
	s, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// StartOwn returns a server for one test, which may do with it what it likes.
func StartOwn(tb testing.TB, config Config) *Server {
	tb.Helper()
	need(tb)
	s, err := Run(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func need(tb testing.TB) {
	tb.Helper()
	err := Missing()
	switch {
	case err == nil:
	case Asked():
		tb.Fatalf("%s=postgres: %v", Environment, err)
	default:
		fmt.Printf("NOT RUN: %s: %v\n", tb.Name(), err)
		tb.SkipNow()
	}
}

// Run makes a cluster and starts it. Whoever has no test closes it.
func Run(config Config) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	if config.Address == "" {
		config.Address = "127.0.0.1"
	}
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, bin: bin, dir: dir, host: config.Address, password: rand.Text()}
	if err := s.create(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) create() error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := give(secret); err != nil {
		return err
	}
	_, err := run(s.dir, "", filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "postgres", "-E", "UTF8", "--locale=C", "-N",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile="+secret)
	if err != nil {
		return err
	}
	if s.host != "127.0.0.1" {
		if err := s.append("pg_hba.conf", "host all all samenet scram-sha-256\nhost replication all samenet scram-sha-256\n"); err != nil {
			return err
		}
	}
	if err := s.configure(); err != nil {
		return err
	}
	if err := s.startAnywhere(); err != nil {
		return err
	}
	// Not a superuser: the product must do with what an operator gives it.
	_, err = s.Query("postgres", fmt.Sprintf("CREATE ROLE gatehouse LOGIN PASSWORD '%s'", s.password))
	return err
}

func (s *Server) configure() error {
	settings := map[string]string{
		"listen_addresses": s.host, "unix_socket_directories": s.dir, "max_connections": "200", "shared_buffers": "64MB",
		"max_wal_senders": "10", "wal_keep_size": "256MB", "log_line_prefix": "%m [%p] %d ", "log_lock_waits": "on",
		"fsync": "on", "full_page_writes": "on",
	}
	if !s.config.Durable {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	for name, value := range s.config.Settings {
		settings[name] = value
	}
	var text strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	for name, content := range s.config.Files {
		path := filepath.Join(s.data(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
		if err := give(path); err != nil {
			return err
		}
	}
	return s.append("postgresql.conf", text.String())
}

func (s *Server) append(name, text string) error {
	file, err := os.OpenFile(filepath.Join(s.data(), name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// startAnywhere looks for a port: another process may take the free one first.
func (s *Server) startAnywhere() error {
	var err error
	for range 5 {
		if s.port, err = freePort(s.host); err != nil {
			return err
		}
		if err = s.Start(); err == nil || !strings.Contains(s.Log(), "could not create any TCP/IP sockets") {
			return err
		}
	}
	return err
}

func (s *Server) data() string    { return filepath.Join(s.dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// Address is where the server listens, as host:port.
func (s *Server) Address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// Log is what the server has logged.
func (s *Server) Log() string {
	text, _ := os.ReadFile(s.logFile())
	return string(text)
}

// Start starts a server that was stopped or killed, on the port and with the
// data that it had, and returns when it takes connections.
func (s *Server) Start() error {
	if s.process != nil && s.process.alive() {
		return nil
	}
	var err error
	s.process, err = start(s.dir, s.logFile(), filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.port))
	if err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if !s.process.alive() {
			return fmt.Errorf("PostgreSQL ended:\n%s", tail(s.Log()))
		}
		if s.ready() {
			return nil
		}
	}
	return fmt.Errorf("PostgreSQL is not ready in a minute:\n%s", tail(s.Log()))
}

// ready reads what the server says of itself in its pid file, as pg_ctl does.
func (s *Server) ready() bool {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 8 || lines[0] != strconv.Itoa(s.process.pid) {
		return false
	}
	status := strings.TrimSpace(lines[7])
	return status == "ready" || status == "standby"
}

func tail(text string) string {
	return text[max(0, len(text)-2000):]
}

// Stop stops the server as an operator does: open connections are ended,
// everything is written.
func (s *Server) Stop() error {
	if s.process == nil || !s.process.alive() {
		return nil
	}
	s.Resume()
	syscall.Kill(s.process.pid, syscall.SIGINT)
	if !s.process.wait(30 * time.Second) {
		return errors.Join(errors.New("PostgreSQL does not stop"), s.Kill())
	}
	return nil
}

// Kill ends the server and all its children by SIGKILL.
func (s *Server) Kill() error {
	if s.process == nil {
		return nil
	}
	if err := s.process.kill(); err != nil {
		return err
	}
	os.Remove(filepath.Join(s.data(), "postmaster.pid")) // its number may be another's by now
	return nil
}

// Pause stops all processes of the server by SIGSTOP: connections are accepted
// by the kernel, and nothing answers.
func (s *Server) Pause() {
	s.process.signal(syscall.SIGSTOP)
	s.process.signal(syscall.SIGSTOP) // also what was forked meanwhile
}

// Resume lets a paused server go on.
func (s *Server) Resume() { s.process.signal(syscall.SIGCONT) }

// Close kills the server and removes its data.
func (s *Server) Close() error {
	return errors.Join(s.Kill(), os.RemoveAll(s.dir))
}

// Query runs SQL as superuser through the socket and returns the values, one
// row a line, with | between columns.
func (s *Server) Query(database, sql string) (string, error) {
	return run(s.dir, sql, filepath.Join(s.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
		"-h", s.dir, "-p", strconv.Itoa(s.port), "-U", "postgres", "-d", database, "-f", "-")
}

// DSN is the address of a database for the role gatehouse.
func (s *Server) DSN(database string) string { return dsn(s.password, database, s.Address()) }

// DSN is the address of a database on whichever of the servers takes writes,
// which have the same roles because one is the stand-by of another.
func DSN(database string, servers ...*Server) string {
	var hosts []string
	for _, s := range servers {
		hosts = append(hosts, s.Address())
	}
	return dsn(servers[0].password, database, strings.Join(hosts, ",")) + "&target_session_attrs=read-write"
}

func dsn(password, database, hosts string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("gatehouse", password), Host: hosts, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}
