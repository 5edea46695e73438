package pgtest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Mode of a stand-by server.
type Mode int

const (
	// Async: a commit does not wait for the stand-by.
	Async Mode = iota
	// Sync: a commit is answered when the stand-by has it on its disk.
	Sync
)

// Standby copies the server and starts the copy as its streaming stand-by, for
// one test. With Sync the server waits for it from now on. The stream goes
// through the link when there is one.
func (s *Server) Standby(tb testing.TB, mode Mode, through *Link) *Server {
	tb.Helper()
	standby, err := s.standby(mode, through)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { standby.Close() })
	return standby
}

func (s *Server) standby(mode Mode, through *Link) (*Server, error) {
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	name := "standby_" + strings.ToLower(filepath.Base(dir))
	copied := &Server{config: s.config, bin: s.bin, dir: dir, host: s.host, password: s.password}
	from := fmt.Sprintf("host=%s port=%d user=postgres application_name=%s", s.dir, s.port, name)
	if through != nil {
		host, port, _ := net.SplitHostPort(through.Address())
		from = fmt.Sprintf("host=%s port=%s user=postgres password=%s application_name=%s", host, port, s.password, name)
	}
	_, err = run(dir, "", filepath.Join(s.bin, "pg_basebackup"), "-D", copied.data(), "-R", "-X", "stream", "-c", "fast", "-N", "-d", from)
	if err == nil {
		err = copied.append("postgresql.conf", fmt.Sprintf("unix_socket_directories = '%s'\nlisten_addresses = '%s'\nprimary_slot_name = ''\n", dir, copied.host))
	}
	if err == nil {
		err = copied.startAnywhere()
	}
	if err == nil {
		err = s.streams(name)
	}
	if err == nil && mode == Sync {
		_, err = s.Query("postgres", fmt.Sprintf("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (%s)'", name))
		if err == nil {
			_, err = s.Query("postgres", "SELECT pg_reload_conf()")
		}
		if err == nil {
			err = s.wait("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum' AND application_name = '"+name+"'", "1")
		}
	}
	if err != nil {
		copied.Close()
		return nil, err
	}
	return copied, nil
}

func (s *Server) streams(name string) error {
	return s.wait("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '"+name+"'", "1")
}

// wait until a query answers as wanted.
func (s *Server) wait(query, want string) error {
	var got string
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got, err = s.Query("postgres", query); err == nil && got == want {
			return nil
		}
	}
	return fmt.Errorf("%s: %q, want %q: %v", query, got, want, err)
}

// Promote makes a stand-by the server that takes writes. It no longer waits for
// a stand-by of its own.
func (s *Server) Promote() error {
	if _, err := s.Query("postgres", "SELECT pg_promote(true, 60)"); err != nil {
		return err
	}
	return s.wait("SELECT pg_is_in_recovery()", "f")
}

// PauseReceiver stops the process of a stand-by that receives the stream, by
// SIGSTOP; what the kernel has taken meanwhile it still reads afterwards.
func (s *Server) PauseReceiver() error { return s.receiver(syscall.SIGSTOP) }

// ResumeReceiver lets it go on.
func (s *Server) ResumeReceiver() error { return s.receiver(syscall.SIGCONT) }

func (s *Server) receiver(signal syscall.Signal) error {
	for _, pid := range s.process.children() {
		title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(title), "walreceiver") {
			return syscall.Kill(pid, signal)
		}
	}
	return fmt.Errorf("no walreceiver: is this a stand-by?")
}
