package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

func open(t *testing.T, dir string, now func() time.Time) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Dir: dir, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestSQLite(t *testing.T) {
	var statements sync.Map
	storetest.Run(t, func(t *testing.T, dir string, now func() time.Time) *store.DB {
		db := open(t, dir, now)
		t.Cleanup(func() {
			for _, s := range db.Statements() {
				statements.Store(s, true)
			}
		})
		return db
	})
	t.Run("no statement reads a whole table that grows", func(t *testing.T) { noScans(t, &statements) })
}

// noScans asks the engine how it runs every statement of the suite. A list or
// a clean-up that reads a million users is found here, without a million users.
func noScans(t *testing.T, statements *sync.Map) {
	db := open(t, t.TempDir(), time.Now)
	defer db.Close()
	growing := regexp.MustCompile(`SCAN (users|u|user_roles|grants|g|sessions|s|spent|revocation|events|change|clients|c|client_roles)\b`)
	checked := 0
	for query := range statements.Range {
		query := query.(string)
		if !regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE)`).MatchString(query) {
			continue
		}
		if strings.Contains(query, "WHERE mac_key_id = ") {
			continue // an emergency reads all grants once; an index would cost every refresh
		}
		checked++
		plan, err := db.Plan(query)
		if err != nil {
			t.Errorf("%v\n%s", err, query)
		}
		if growing.MatchString(plan) {
			t.Errorf("reads a whole table:\n%s\n%s", query, plan)
		}
	}
	if checked < 40 {
		t.Errorf("only %d statements were seen", checked)
	}
}

func TestTheFilesAreReadableByTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	db := open(t, dir, time.Now)
	defer db.Close()
	if err := db.Record(context.Background(), iam.Event{Kind: "x"}); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{".": 0o700, "gatehouse.db": 0o600, "gatehouse.db-wal": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
}

func TestProcessesThatStartAtOnce(t *testing.T) {
	for range 2 {
		dir := t.TempDir()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				db, err := store.Open(context.Background(), store.Config{Dir: dir})
				if err != nil {
					t.Error(err)
					return
				}
				defer db.Close()
				if err := db.Bind(context.Background(), "https://auth.example.com"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func BenchmarkTurnRefresh(b *testing.B) {
	db, err := store.Open(context.Background(), store.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	ctx, now := context.Background(), time.Now()
	u := iam.User{ID: iam.NewUserID(), Username: "ada"}
	if err := db.CreateUser(ctx, u); err != nil {
		b.Fatal(err)
	}
	if err := db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public}); err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		g := iam.Grant{ID: iam.NewGrantID(), UserID: u.ID, ClientID: "app", Gen: 1, CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
		r := iam.Redemption{Code: iam.NewCodeID(), CodeExpires: now.Add(time.Minute), Grant: g, UserEpoch: 1, ClientEpoch: 1}
		if outcome, err := db.RedeemCode(ctx, r); err != nil || outcome != iam.Redeemed {
			b.Errorf("%v %v", outcome, err)
			return
		}
		for gen := int64(1); pb.Next(); gen++ {
			_, outcome, err := db.TurnRefresh(ctx, iam.Turn{Grant: g.ID, Client: "app", Gen: gen, UserEpoch: 1, ClientEpoch: 1})
			if err != nil || outcome != iam.Rotated {
				b.Errorf("%v %v", outcome, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rotations/s")
}

// A folder that was restored or copied with other modes is closed again, and
// one that everybody can write to is not used at all: whoever replaces the
// database is every user.
func TestModesOfAFolderThatWasThere(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, time.Now)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "gatehouse.db")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"-wal", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, time.Now)
	defer db.Close()
	if err := db.Record(context.Background(), iam.Event{Kind: "x"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600: %v", name, info.Mode().Perm(), err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if again, err := store.Open(context.Background(), store.Config{Dir: dir}); err == nil {
		again.Close()
		t.Error("a folder that everybody can write to was opened")
	} else if !strings.Contains(err.Error(), "chmod") {
		t.Errorf("%v does not say what to do", err)
	}
}

func TestAnyNameOfAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a b?mode=memory&_pragma=query_only(1)#c%41;'ü`)
	db := open(t, dir, time.Now)
	if err := db.Bind(context.Background(), "https://auth.example.com"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if !store.Exists(dir) {
		t.Error("the data lie elsewhere")
	}
	again := open(t, dir, time.Now)
	defer again.Close()
	var mismatch *store.IssuerMismatch
	if err := again.Bind(context.Background(), "https://other.example.com"); !errors.As(err, &mismatch) {
		t.Errorf("the data did not stay: %v", err)
	}
}
