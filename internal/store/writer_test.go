package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
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

func TestC27ACallerGoneBeforeItsTurnIsSkipped(t *testing.T) {
	db, err := Open(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	began, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- db.writer.do(context.Background(), func(context.Context, *sql.Tx) error { close(began); <-release; return nil })
	}()
	<-began
	ctx, cancel := context.WithCancel(context.Background())
	ran := false
	second := make(chan error, 1)
	go func() { second <- db.writer.do(ctx, func(context.Context, *sql.Tx) error { ran = true; return nil }) }()
	for len(db.writer.queue) == 0 {
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
