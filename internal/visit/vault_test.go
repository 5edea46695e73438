package visit_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/visit"
)

// Names come from certificates' domains and are no paths; files show nothing, and
// open under their own name and key only.
func TestVault(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	v, err := visit.OpenVault(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("-----BEGIN EC PRIVATE KEY-----")
	names := []string{"app.example.com", "app.example.com+rsa", "acme_account+key", "../../outside", "a/b", ".."}
	for _, name := range names {
		if err := v.Put(ctx, name, append([]byte(name), secret...)); err != nil {
			t.Fatal(err)
		}
	}
	again, err := visit.OpenVault(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if got, err := again.Get(ctx, name); err != nil || string(got) != name+string(secret) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	var files []string
	err = filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if info.Mode().Perm() != 0o600 || bytes.Contains(text, []byte("PRIVATE KEY")) {
			t.Errorf("%s: mode %04o, or readable", path, info.Mode().Perm())
		}
		if filepath.Base(filepath.Dir(path)) == "sealed" {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) != len(names) {
		t.Errorf("%d files in the folder, want %d: %v", len(files), len(names), err)
	}
	// One file in the place of another does not open.
	moved, _ := os.ReadFile(filepath.Join(dir, "sealed", "app.example.com"))
	if err := os.WriteFile(filepath.Join(dir, "sealed", "other.example.com"), moved, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get(ctx, "other.example.com"); !errors.Is(err, visit.ErrNone) {
		t.Errorf("moved: %v", err)
	}
	if err := v.Delete(ctx, "a/b"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get(ctx, "a/b"); !errors.Is(err, visit.ErrNone) {
		t.Errorf("deleted: %v", err)
	}
	if err := v.Delete(ctx, "a/b"); err != nil {
		t.Errorf("deleted twice: %v", err)
	}
}
