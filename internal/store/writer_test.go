package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestC27APanicRollsBackAndTheWriterGoesOn(t *testing.T) {
	db, err := Open(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.writer.do(context.Background(), func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('x', 'y')`); err != nil {
			return err
		}
		panic("out of cheese")
	})
	if err == nil || !strings.Contains(err.Error(), "out of cheese") {
		t.Fatalf("got %v", err)
	}
	var n int
	if err := db.reads.QueryRow(`SELECT COUNT(*) FROM meta WHERE name = 'x'`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows %v: half a transaction was committed", n, err)
	}
	if err := db.Bind(context.Background(), "https://auth.example.com"); err != nil {
		t.Errorf("the next write: %v", err)
	}
}

func TestReadsCannotWrite(t *testing.T) {
	db, err := Open(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.reads.Exec(`INSERT INTO meta (name, value) VALUES ('x', 'y')`); err == nil {
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
