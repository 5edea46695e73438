package store

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// movedName is the file that marks a data folder whose records were moved.
const movedName = "MOVED"

// Moved says that a data folder was copied into a PostgreSQL database: two
// installations with the same keys would both give out tokens, and what one
// revokes the other would let pass.
type Moved struct{ Dir, Where string }

func (e *Moved) Error() string {
	return fmt.Sprintf("the records of the data folder %s were moved to %s. Name that database in the configuration, in the place of data. To go back, stop every server on the database and remove the file %s: all that happened since the move is then forgotten, also revocations",
		e.Dir, e.Where, filepath.Join(e.Dir, movedName))
}

func checkMoved(dir string) error {
	where, err := os.ReadFile(filepath.Join(dir, movedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the data folder: %w", err)
	}
	return &Moved{Dir: dir, Where: strings.TrimSpace(string(where))}
}

// markMoved writes the mark through to the disk. The address appears without
// user and parameters.
func markMoved(dir, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("mark the data folder as moved: the address cannot be read")
	}
	file, err := os.OpenFile(filepath.Join(dir, movedName), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("mark the data folder as moved: %w", err)
	}
	_, err = fmt.Fprintf(file, "the PostgreSQL database %s%s on %s\n", u.Host, u.Path, time.Now().UTC().Format(time.DateTime+" UTC"))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("mark the data folder as moved: %w", err)
	}
	return syncFolder(dir)
}

func unmarkMoved(dir string) error {
	return errors.Join(os.Remove(filepath.Join(dir, movedName)), syncFolder(dir))
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
