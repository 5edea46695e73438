package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// After a clean end everything lies in one file: who copies it has it all.
func TestACleanEndLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(context.Background(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Bind(context.Background(), "https://auth.example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Events(context.Background(), 0, 1); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v %v, want the database alone", entries, err)
	}
}

// A connection that is given up must be gone: one that stays open keeps its
// locks and its files.
func TestC27AnAbandonedConnectionIsClosed(t *testing.T) {
	db := fresh(t)
	open := func() (n int) {
		links, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if target, err := os.Readlink(filepath.Join("/proc/self/fd", l.Name())); err == nil && strings.Contains(target, t.Name()) {
				n++
			}
		}
		return n
	}
	before := 0
	for i := range 20 {
		if err := db.writer.do(context.Background(), then(put("x"), func(context.Context, *txn) error { return errors.New("lost") })); err == nil {
			t.Fatal("no failure")
		}
		if i == 0 {
			before = open()
		}
	}
	if after := open(); after > before {
		t.Errorf("%d files are open after 20 failures, %d after the first", after, before)
	}
}

// A full disk still reads. Ping says that nothing can be written, once a write
// has failed and when nobody else has tried; and that it works again.
func TestPingWrites(t *testing.T) {
	db := fresh(t)
	ctx := context.Background()
	full := func(on string) {
		t.Helper()
		if err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error { return tx.run(ctx, `PRAGMA query_only = `+on) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.Bind(ctx, "https://auth.example.com"), db.Ping(ctx)); err != nil {
		t.Fatal(err)
	}
	full("1")
	if err := db.Ping(ctx); err != nil {
		t.Errorf("a probe within %v of the last: %v", probeEvery, err)
	}
	db.probe.at = db.probe.at.Add(-2 * probeEvery)
	if err := db.Ping(ctx); !errors.Is(err, iam.ErrUnavailable) {
		t.Errorf("nothing can be written, and Ping says %v", err)
	}
	if err := db.Ping(ctx); err != nil { // the connection was replaced
		t.Errorf("it works again, and Ping says %v", err)
	}
	full("1")
	if err := db.writer.do(ctx, put("y")); !errors.Is(err, iam.ErrUnavailable) {
		t.Errorf("a write: %v", err)
	}
	if !db.writer.failing() {
		t.Error("a write failed, and the next Ping would not try")
	}
	if err := db.Ping(ctx); err != nil || db.writer.failing() {
		t.Errorf("after a Ping that wrote: %v, broken %v", err, db.writer.failing())
	}
}
