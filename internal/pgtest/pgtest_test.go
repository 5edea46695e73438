package pgtest_test

import (
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
)

func query(t *testing.T, s *pgtest.Server, database, sql string) string {
	t.Helper()
	got, err := s.Query(database, sql)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func name(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// psql runs a statement as the product would connect: over TCP, by password.
func psql(t *testing.T, dsn, sql string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("psql")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "-X", "-q", "-A", "-t", "-c", sql, dsn).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestDatabases(t *testing.T) {
	s := pgtest.Start(t)
	if again := pgtest.Start(t); again != s {
		t.Error("a second server was started")
	}
	setups := 0
	setup := func(dsn string) error {
		setups++
		_, err := s.Query(name(dsn), "CREATE TABLE things (id BIGINT); INSERT INTO things VALUES (7)")
		return err
	}
	var made []string
	t.Run("each test has its own", func(t *testing.T) {
		empty, first, second := s.Database(t), s.DatabaseFrom(t, "migrated", setup), s.DatabaseFrom(t, "migrated", setup)
		made = append(made, name(empty), name(first), name(second))
		query(t, s, name(first), "DELETE FROM things")
		if got := query(t, s, name(second), "SELECT id FROM things"); got != "7" || setups != 1 {
			t.Errorf("the second has %q after %d setups", got, setups)
		}
		if got, err := psql(t, empty, "CREATE TABLE mine (id BIGINT); SELECT current_user"); err != nil || got != "gatehouse" {
			t.Errorf("%q %v", got, err)
		}
		if got := query(t, s, "postgres", "SELECT rolsuper FROM pg_roles WHERE rolname = 'gatehouse'"); got != "f" {
			t.Error("the product's role is a superuser")
		}
	})
	for _, name := range made {
		if got := query(t, s, "postgres", "SELECT count(*) FROM pg_database WHERE datname = '"+name+"'"); got != "0" {
			t.Errorf("%s is left", name)
		}
	}
}

func TestKillPauseStop(t *testing.T) {
	s := pgtest.StartOwn(t, pgtest.Config{Durable: true})
	dsn := s.Database(t)
	query(t, s, name(dsn), "CREATE TABLE things (id BIGINT); INSERT INTO things VALUES (1)")
	if got := query(t, s, name(dsn), "SHOW fsync"); got != "on" {
		t.Errorf("fsync %s", got)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if out, err := psql(t, dsn, "SELECT 1"); err == nil {
		t.Errorf("a killed server answers: %s", out)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s, name(dsn), "SELECT count(*) FROM things"); got != "1" {
		t.Errorf("%s rows after the kill", got)
	}
	if !strings.Contains(s.Log(), "automatic recovery in progress") {
		t.Error("the kill was none")
	}

	s.Pause()
	answered := make(chan error, 1)
	go func() { _, err := s.Query(name(dsn), "SELECT 1"); answered <- err }()
	select {
	case err := <-answered:
		t.Errorf("a paused server answers: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.Resume()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}

func TestStandby(t *testing.T) {
	s := pgtest.StartOwn(t, pgtest.Config{})
	database := name(s.Database(t))
	query(t, s, database, "CREATE TABLE things (id BIGINT); GRANT ALL ON things TO gatehouse")
	link := pgtest.NewLink(t, s.Address())
	standby := s.Standby(t, pgtest.Sync, link)
	query(t, s, database, "INSERT INTO things VALUES (1)")
	both := pgtest.DSN(database, standby, s)
	if got, err := psql(t, both, "SELECT count(*) FROM things"); err != nil || got != "1" {
		t.Errorf("%s %v", got, err)
	}

	link.Still(true) // a commit waits for the stand-by, which does not hear of it
	committed := make(chan error, 1)
	go func() { _, err := s.Query(database, "INSERT INTO things VALUES (2)"); committed <- err }()
	select {
	case err := <-committed:
		t.Errorf("a commit did not wait for the stand-by: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-committed; err == nil {
		t.Error("a commit was answered that the stand-by has not")
	}
	link.Cut()
	link.Still(false)
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	if got, err := psql(t, both, "INSERT INTO things VALUES (3); SELECT string_agg(id::text, ',' ORDER BY id) FROM things"); err != nil || got != "1,3" {
		t.Errorf("%s %v", got, err)
	}
}

func TestPgBouncer(t *testing.T) {
	s := pgtest.Start(t)
	dsn := s.Database(t)
	b := s.PgBouncer(t, "transaction")
	if got, err := psql(t, b.DSN(dsn), "SELECT current_user"); err != nil || got != "gatehouse" {
		t.Errorf("%s %v\n%s", got, err, b.Log())
	}
}

func TestLinkDelay(t *testing.T) {
	s := pgtest.Start(t)
	dsn := s.Database(t)
	link := pgtest.NewLink(t, s.Address())
	slow := strings.Replace(dsn, s.Address(), link.Address(), 1)
	link.Delay(150 * time.Millisecond)
	began := time.Now()
	if got, err := psql(t, slow, "SELECT 1"); err != nil || got != "1" {
		t.Errorf("%s %v", got, err)
	}
	if took := time.Since(began); took < 600*time.Millisecond { // each way twice at least
		t.Errorf("it took %v", took)
	}
}

// A process that dies without a word leaves no server and no folder behind.
func TestNothingIsLeft(t *testing.T) {
	if os.Getenv("PGTEST_DIE") != "" {
		s := pgtest.Start(t)
		s.Pause()
		os.Stdout.WriteString("folder " + s.Folder() + "\n")
		p, _ := os.FindProcess(os.Getpid())
		p.Kill()
		select {}
	}
	if err := pgtest.Missing(); err != nil {
		pgtest.Start(t) // says so
	}
	child := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeft$")
	child.Env = append(os.Environ(), "PGTEST_DIE=1")
	out, err := child.Output()
	_, dir, found := strings.Cut(string(out), "folder ")
	dir = strings.TrimSpace(dir)
	if err == nil || !found {
		t.Fatalf("%v %s", err, out)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(dir); os.IsNotExist(err) && !runs(t, dir) {
			return
		}
	}
	t.Errorf("%s is left, or a server in it", dir)
}

// runs reports whether a process has the folder in its command line.
func runs(t *testing.T, dir string) bool {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if line, err := os.ReadFile("/proc/" + entry.Name() + "/cmdline"); err == nil && strings.Contains(string(line), dir) {
			return true
		}
	}
	return false
}
