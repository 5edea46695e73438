package store_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Clients of a folder that an earlier version made prove themselves as before.
func TestClientsOfTheFirstSchema(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, raw, os.DirFS("migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for id, kind := range map[string]iam.ClientType{"app": iam.Public, "portal": iam.Confidential, "robot": iam.Service} {
		secret := "010203"
		if kind == iam.Public {
			secret = ""
		}
		_, err := raw.ExecContext(ctx, `INSERT INTO clients (id, name, type, first_party, grant_types, redirect_uris, scopes, default_scopes, challenge, reader_of, secret_hash, epoch, disabled, version, created_at)
			VALUES ($1, '', $2, 0, '[]', '[]', '[]', '[]', 0, '[]', $3, 1, 0, 1, 1)`, id, kind, secret)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir, time.Now)
	defer db.Close()
	for id, want := range map[iam.ClientID]iam.AuthMethod{"app": iam.AuthNone, "portal": iam.AuthSecret, "robot": iam.AuthSecret} {
		c, err := db.Client(ctx, id)
		if err != nil || c.Auth != want || c.Keys.Len() != 0 || c.OldSecretHash != nil || !c.OldSecretEnds.IsZero() {
			t.Errorf("%s: %+v %v", id, c, err)
		}
	}
	if err := db.RotateSecret(ctx, "robot", []byte{4}, time.Hour); err != nil {
		t.Errorf("a secret of before cannot be rotated: %v", err)
	}
}
