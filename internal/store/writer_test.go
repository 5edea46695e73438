package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func TestC27APanicRollsBackAndTheWriterGoesOn(t *testing.T) {
	db, err := Open(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.writer.do(context.Background(), func(ctx context.Context, tx *txn) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('x', 'y')`); err != nil {
			return err
		}
		panic("out of cheese")
	})
	if err == nil || !strings.Contains(err.Error(), "out of cheese") {
		t.Fatalf("got %v", err)
	}
	var n int
	if err := db.reads.(*fileReader).pool.QueryRow(`SELECT COUNT(*) FROM meta WHERE name = 'x'`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows %v: half a transaction was committed", n, err)
	}
	if err := db.Bind(context.Background(), "https://auth.example.com"); err != nil {
		t.Errorf("the next write: %v", err)
	}
}

func TestC27ACallerGoneBeforeItsTurnIsSkipped(t *testing.T) {
	db, err := Open(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	began, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- db.writer.do(context.Background(), func(context.Context, *txn) error { close(began); <-release; return nil })
	}()
	<-began
	ctx, cancel := context.WithCancel(context.Background())
	ran := false
	second := make(chan error, 1)
	go func() { second <- db.writer.do(ctx, func(context.Context, *txn) error { ran = true; return nil }) }()
	for len(group(db).queue) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	close(release)
	if err := <-second; !errors.Is(err, context.Canceled) || ran {
		t.Errorf("got %v, ran %v", err, ran)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestReadsCannotWrite(t *testing.T) {
	db, err := Open(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.reads.(*fileReader).pool.Exec(`INSERT INTO meta (name, value) VALUES ('x', 'y')`); err == nil {
		t.Error("a write went past the writer")
	}
}

func TestAClosedStoreSaysSo(t *testing.T) {
	db, err := Open(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Bind(context.Background(), "https://auth.example.com"); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}

func TestC28AnotherOwnerIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := checkOwner(dir, os.Geteuid()); err != nil {
		t.Errorf("the owner: %v", err)
	}
	var stranger *NotOwner
	if err := checkOwner(dir, os.Geteuid()+1); !errors.As(err, &stranger) || !strings.Contains(err.Error(), "sudo -u") {
		t.Errorf("another user: %v", err)
	}
}

// batch runs closures in one transaction: the first holds the writer until the
// others are queued behind it, and all of them then share the next COMMIT.
func batch(t *testing.T, db *DB, closures ...closure) []error {
	t.Helper()
	return batchOf(t, db, nil, closures...)
}

// batchOf is batch with a context for each caller.
func batchOf(t *testing.T, db *DB, callers []context.Context, closures ...closure) []error {
	t.Helper()
	began, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := db.writer.do(context.Background(), func(context.Context, *txn) error { close(began); <-release; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-began
	results := make([]error, len(closures))
	for i, run := range closures {
		caller := context.Background()
		if callers != nil {
			caller = callers[i]
		}
		all.Go(func() { results[i] = db.writer.do(caller, run) })
		for len(group(db).queue) != i+1 {
			time.Sleep(time.Millisecond)
		}
	}
	close(release)
	all.Wait()
	return results
}

func put(name string) closure {
	return func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ($1, 'x')`, name)
		return err
	}
}

func then(first closure, next func(ctx context.Context, tx *txn) error) closure {
	return func(ctx context.Context, tx *txn) error {
		if err := first(ctx, tx); err != nil {
			return err
		}
		return next(ctx, tx)
	}
}

func stored(t *testing.T, db *DB) map[string]bool {
	t.Helper()
	rows, err := db.reads.QueryContext(context.Background(), `SELECT name FROM meta`)
	names, err := collect(rows, err, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) })
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]bool{}
	for _, n := range names {
		set[n] = true
	}
	return set
}

func fresh(t *testing.T) *DB {
	t.Helper()
	db, err := Open(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestC27ARefusalInABatchUndoesOnlyItself(t *testing.T) {
	db := fresh(t)
	results := batch(t, db,
		put("a"),
		then(put("b"), put("a")), // a broken constraint, after a write
		then(put("c"), func(context.Context, *txn) error { return iam.ErrConflict }),
		then(put("d"), func(ctx context.Context, tx *txn) error {
			var none string
			return tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'none'`).Scan(&none)
		}),
		put("e"))
	for i, want := range []error{nil, iam.ErrExists, iam.ErrConflict, iam.ErrNotFound, nil} {
		if !errors.Is(results[i], want) || want == nil && results[i] != nil {
			t.Errorf("write %d: got %v, want %v", i, results[i], want)
		}
	}
	if got := stored(t, db); !got["a"] || got["b"] || got["c"] || got["d"] || !got["e"] {
		t.Errorf("stored %v, want a and e", got)
	}
}

// Each failure happens in the middle of a batch, after a write of its own and
// one of somebody else's.
func TestC27AFailureAbandonsTheWholeBatch(t *testing.T) {
	for name, fail := range map[string]struct {
		run  closure
		want string
	}{
		"FULL": {func(ctx context.Context, tx *txn) error {
			var pages int
			if err := tx.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&pages); err != nil {
				return err
			}
			// The connection cannot grow the file any more: what a full disk says.
			if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('big', $1)`, strings.Repeat("x", 1<<20))
			return err
		}, "full"},
		"INTERRUPT": {func(ctx context.Context, tx *txn) error {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			_, err := tx.ExecContext(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO meta SELECT 'n' || i, 'x' FROM n`)
			return err
		}, ""},
		"a panic":      {func(context.Context, *txn) error { panic("out of cheese") }, "out of cheese"},
		"a broken row": {func(context.Context, *txn) error { return errors.New("not JSON") }, "not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			db := fresh(t)
			results := batch(t, db, put("before"), then(put("own"), fail.run), put("after"))
			for i, err := range results {
				if err == nil || !strings.Contains(err.Error(), fail.want) {
					t.Errorf("write %d: got %v, want the failure", i, err)
				}
				if errors.Is(err, iam.ErrExists) || errors.Is(err, iam.ErrNotFound) {
					t.Errorf("write %d: %v reads like an ordinary refusal", i, err)
				}
			}
			if got := stored(t, db); len(got) != 0 {
				t.Errorf("stored %d rows of an abandoned batch", len(got))
			}
			for i, err := range batch(t, db, put("before"), put("own"), put("after"), then(put("big"), func(ctx context.Context, tx *txn) error {
				_, err := tx.ExecContext(ctx, `UPDATE meta SET value = $1 WHERE name = 'big'`, strings.Repeat("x", 1<<20))
				return err
			})) {
				if err != nil {
					t.Errorf("the next batch, write %d: %v", i, err)
				}
			}
		})
	}
}

// A caller who hangs up while its transaction runs interrupts nobody: not even
// itself, because how it ended would then be unknown.
func TestC27ACallerWhoLeavesInterruptsNobody(t *testing.T) {
	db := fresh(t)
	ctx, leave := context.WithCancel(context.Background())
	results := batchOf(t, db, []context.Context{context.Background(), ctx, context.Background()}, put("before"),
		then(func(context.Context, *txn) error { leave(); return nil }, put("own")), put("after"))
	for i, err := range results {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if got := stored(t, db); !got["before"] || !got["own"] || !got["after"] {
		t.Errorf("stored %v", got)
	}
}

func TestC27NoAnswerLeavesBeforeTheCommit(t *testing.T) {
	db := fresh(t)
	seen := make([]bool, 20)
	var all sync.WaitGroup
	for i := range seen {
		name := fmt.Sprint("n", i)
		all.Go(func() {
			if err := db.writer.do(context.Background(), put(name)); err != nil {
				t.Error(err)
			}
			seen[i] = stored(t, db)[name]
		})
	}
	all.Wait()
	for i, ok := range seen {
		if !ok {
			t.Errorf("write %d was answered before another connection could read it", i)
		}
	}
}

func TestC27WritesThatWaitShareACommit(t *testing.T) {
	db := fresh(t)
	var ids []int64
	closures := make([]closure, 50)
	for i := range closures {
		closures[i] = then(put(fmt.Sprint("n", i)), func(ctx context.Context, tx *txn) error {
			var n int64 // rows of this transaction that are not committed yet
			err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM meta`).Scan(&n)
			ids = append(ids, n-int64(len(stored(t, db))))
			return err
		})
	}
	for _, err := range batch(t, db, closures...) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if ids[len(ids)-1] != 50 {
		t.Errorf("the last of 50 writes saw %d uncommitted rows, want 50: they did not share a transaction", ids[len(ids)-1])
	}
}
