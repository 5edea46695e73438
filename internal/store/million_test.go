package store_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// Lists page by key, and how many users there are makes no difference. With
// MILLION=1 there are a million, which takes a minute.
func TestListsAtAMillionUsers(t *testing.T) {
	users := 100_000
	if os.Getenv("MILLION") != "" {
		users = 1_000_000
	}
	onPostgres(t)
	ctx, dir := context.Background(), t.TempDir()
	db := storetest.OpenAt(t, dir, nil)
	raw := raw(t, storetest.Database(t, dir))
	for _, statement := range []string{
		`INSERT INTO roles (name, description, is_default, disabled, version, created_at) VALUES ('clerk', '', false, false, 1, 1)`,
		`INSERT INTO users (id, username, email, name, attributes, password_hash, epoch, disabled, version, created_at) SELECT 'usr_' || i, 'u' || lpad(i::text, 8, '0'), '', '', '{}', '', 1, false, 1, 1 FROM generate_series(1, ` + strconv.Itoa(users) + `) i`,
		`INSERT INTO user_roles SELECT id, 'clerk' FROM users`,
		`ANALYZE`,
	} {
		_, err := raw.ExecContext(ctx, statement)
		must(t, err)
	}
	for name, list := range map[string]func() error{
		"the first users": func() error { _, err := db.Users(ctx, "", 100); return err },
		"users far on":    func() error { _, err := db.Users(ctx, "u00090000", 100); return err },
		"one by name":     func() error { _, err := db.UserByName(ctx, "u00050000"); return err },
		"clients":         func() error { _, err := db.Clients(ctx, "", 100); return err },
	} {
		must(t, list()) // the pages are in memory
		best := time.Hour
		for range 5 {
			began := time.Now()
			must(t, list())
			best = min(best, time.Since(began))
		}
		t.Logf("%-15s %v of %d", name, best, users)
		if best > 100*time.Millisecond {
			t.Errorf("%s takes %v", name, best)
		}
	}
}
