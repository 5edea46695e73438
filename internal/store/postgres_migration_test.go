package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// A migration waits behind a busy table for seconds only, since everybody else
// waits behind it, and says what is in its way. It is whole or not there.
func TestAMigrationBehindABusyTable(t *testing.T) {
	ctx := context.Background()
	address := pgtest.Start(t).Database(t)
	c := store.Config{Database: address, Connections: 4}
	must(t, store.MigrateTo(ctx, c, 6))
	busy, err := raw(t, address).BeginTx(ctx, nil)
	must(t, err)
	defer busy.Rollback()
	_, err = busy.Exec(`LOCK TABLE grants IN ACCESS SHARE MODE`) // a long report
	must(t, err)

	ended := make(chan error, 1)
	go func() { _, err := store.Migrate(ctx, c); ended <- err }()
	reads := raw(t, address)
	for end := time.Now().Add(7 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		began := time.Now()
		var n int
		must(t, reads.QueryRow(`SELECT COUNT(*) FROM grants`).Scan(&n))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("a read waited for %v behind the migration", took)
		}
	}
	select {
	case err := <-ended:
		if !errors.Is(err, iam.ErrUnavailable) || !strings.Contains(err.Error(), "Another transaction holds a lock") {
			t.Errorf("behind a busy table: %v", err)
		}
		ended <- nil
	default: // it tries again
		var fence bool
		must(t, reads.QueryRow(`SELECT EXISTS (SELECT 1 FROM pg_tables WHERE tablename = 'leases')`).Scan(&fence))
		if fence {
			t.Error("half of a migration is there")
		}
	}
	must(t, busy.Rollback())
	must(t, <-ended)
	must(t, second(store.Migrate(ctx, c)))
	all, err := store.Migrations(ctx, c)
	must(t, err)
	for _, m := range all {
		if m.Applied.IsZero() {
			t.Errorf("version %d is missing", m.Version)
		}
	}
}
