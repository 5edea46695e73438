package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the engine
)

// fileName is the database inside the data folder.
const fileName = "gatehouse.db"

// NotOwner says that the data folder belongs to another system user, whose
// files this process would otherwise create as the wrong owner (C28).
type NotOwner struct {
	Dir          string
	Owner, Asker int // user ids
}

func (e *NotOwner) Error() string {
	return fmt.Sprintf("the data folder %s belongs to user id %d and this process runs as %d. Run it as the owner: sudo -u '#%d' gatehouse …", e.Dir, e.Owner, e.Asker, e.Owner)
}

// Exists tells whether dir holds a store.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, fileName))
	return err == nil
}

// openSQLite opens the store in a folder, makes it when it is new, and brings
// the schema up to date.
func openSQLite(ctx context.Context, c Config) (*DB, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.prepareFolder(); err != nil {
		return nil, err
	}
	write, err := openFile(c.file(), "immediate", false)
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := migrateSQLite(ctx, write); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	reads, err := openFile(c.file(), "deferred", true)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	reads.SetMaxOpenConns(8)
	reads.SetMaxIdleConns(8)
	return &DB{reads: &fileReader{pool: reads, now: c.Now}, writer: newGroupWriter(write, c.Now)}, nil
}

func (c Config) file() string { return filepath.Join(c.Dir, fileName) }

// prepareFolder makes the data folder and the file when they are not there.
func (c Config) prepareFolder() error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := checkOwner(c.Dir, os.Geteuid()); err != nil {
		return err
	}
	if err := checkMoved(c.Dir); err != nil {
		return err
	}
	return makeFile(c.file())
}

// makeFile creates the database readable by its owner only; SQLite gives the
// same mode to the files beside it. Files that were there, such as of a copy
// that was put back, are closed to others.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("close the database to others: %w", err)
		}
	}
	return nil
}

func checkOwner(dir string, euid int) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("read the data folder: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(owner.Uid) != euid {
		return &NotOwner{Dir: dir, Owner: int(owner.Uid), Asker: euid}
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("every user of this machine can write to the data folder %s and replace what is in it. Run: chmod o-w %s", dir, dir)
	}
	return nil
}

func openFile(path, txlock string, queryOnly bool) (*sql.DB, error) {
	pragmas := []string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)"}
	if queryOnly {
		pragmas = append(pragmas, "query_only(1)")
	}
	query := url.Values{"_pragma": pragmas, "_txlock": {txlock}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return db, nil
}
