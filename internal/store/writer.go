package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// writer runs all writes of a process, one after the other, on one connection.
// SQLite has one writer anyway; a queue in front of it is faster and fairer
// than many connections that wait for its lock (C27).
type writer struct {
	db    *sql.DB
	queue chan job
	done  chan struct{}
	stop  sync.Once
	quit  chan struct{}
}

// closure does SQL only. What it returns as an error rolls its transaction
// back; values leave through the variables it closes over, after the COMMIT.
type closure func(ctx context.Context, tx *sql.Tx) error

type job struct {
	caller context.Context
	run    closure
	answer chan error
}

var errClosed = errors.New("the store is closed")

func newWriter(db *sql.DB) *writer {
	w := &writer{db: db, queue: make(chan job, 256), done: make(chan struct{}), quit: make(chan struct{})}
	go w.loop()
	return w
}

func (w *writer) loop() {
	defer close(w.done)
	for {
		select {
		case j := <-w.queue:
			j.answer <- w.transact(j)
		case <-w.quit:
			return
		}
	}
}

// do queues a closure and waits for its COMMIT. A caller that gives up before
// its turn is skipped; once its transaction runs, it runs to its end and the
// caller learns how it ended: a commit is never torn by a deadline.
func (w *writer) do(ctx context.Context, run closure) error {
	j := job{caller: ctx, run: run, answer: make(chan error, 1)}
	select {
	case w.queue <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed
	}
	select {
	case err := <-j.answer:
		return err
	case <-w.done:
		return errClosed
	}
}

func (w *writer) transact(j job) (err error) {
	if err := j.caller.Err(); err != nil {
		return err
	}
	// The writer's own context: a caller that leaves must not interrupt SQL
	// that others are queued behind.
	ctx := context.WithoutCancel(j.caller)
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(fmt.Errorf("panic in a transaction: %v", p), tx.Rollback())
		}
	}()
	if err := j.run(ctx, tx); err != nil {
		return errors.Join(translate(err), rolledBack(tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return errors.Join(fmt.Errorf("commit: %w", err), rolledBack(tx.Rollback()))
	}
	return nil
}

func rolledBack(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

func (w *writer) close() error {
	w.stop.Do(func() { close(w.quit) })
	<-w.done
	return w.db.Close()
}
