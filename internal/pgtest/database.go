package pgtest

import (
	"fmt"
	"testing"
)

// Database makes an empty database for one test and returns its address
// (postgres://…). It is dropped after the
// test, or goes with the server when that is the test's own.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	return s.database(tb, "template0")
}

// DatabaseFrom makes a database that is a copy of a template, which setup makes
// when it is first asked for by this name. setup leaves no connection open.
func (s *Server) DatabaseFrom(tb testing.TB, template string, setup func(dsn string) error) string {
	tb.Helper()
	if err := s.template(template, setup); err != nil {
		tb.Fatalf("template %s: %v", template, err)
	}
	return s.database(tb, template)
}

func (s *Server) template(name string, setup func(dsn string) error) error {
	s.names.Lock()
	defer s.names.Unlock()
	if err, made := s.names.templates[name]; made {
		return err
	}
	if s.names.templates == nil {
		s.names.templates = map[string]error{}
	}
	err := s.CreateDatabase(name)
	if err == nil {
		err = setup(s.DSN(name))
	}
	s.names.templates[name] = err
	return err
}

// CreateDatabase makes an empty database that belongs to the role gatehouse.
func (s *Server) CreateDatabase(name string) error { return s.copyDatabase(name, "template0") }

func (s *Server) copyDatabase(name, template string) error {
	_, err := s.Query("postgres", fmt.Sprintf(`CREATE DATABASE %q OWNER gatehouse TEMPLATE %q`, name, template))
	return err
}

func (s *Server) database(tb testing.TB, template string) string {
	tb.Helper()
	s.names.Lock()
	s.names.count++
	name := fmt.Sprintf("test%d", s.names.count)
	s.names.Unlock()
	if err := s.copyDatabase(name, template); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if !s.shared {
			return // it goes with its server, which may be dead or hang
		}
		if _, err := s.Query("postgres", fmt.Sprintf(`DROP DATABASE IF EXISTS %q WITH (FORCE)`, name)); err != nil {
			tb.Logf("drop %s: %v", name, err)
		}
	})
	return s.DSN(name)
}
