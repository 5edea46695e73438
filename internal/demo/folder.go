package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gatehouse-auth/gatehouse/internal/keys"
)

// Names inside a dev data folder.
const (
	markerFile = "gatehouse-dev.json"
	kekFile    = "dev.kek"
	forgedDir  = "forged"
)

// marker tells that a folder belongs to dev, and what a restart must keep (C28).
type marker struct {
	Issuer      string `json:"issuer"`
	Audience    string `json:"audience"`
	Port        int    `json:"port"`
	APIPort     int    `json:"api_port"`
	ServicePort int    `json:"service_port"`
	// Zero in a folder of a version that had no web apps.
	ShopPort    int `json:"shop_port,omitempty"`
	ParcelsPort int `json:"parcels_port,omitempty"`
	DeskPort    int `json:"desk_port,omitempty"`
}

// folder is the data folder of a dev run.
type folder struct {
	dir       string
	temporary bool
	marker    marker
	known     bool // the marker was there: a restart
}

// openFolder makes or checks the data folder. A folder that holds anything
// but an earlier dev run is refused: dev writes secrets in the clear and sets
// new ones at each start, which nobody wants in a real installation.
func openFolder(dir string) (folder, error) {
	if dir == "" {
		made, err := os.MkdirTemp("", "gatehouse-dev-")
		return folder{dir: made, temporary: true}, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return folder{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return folder{}, fmt.Errorf("make the data folder: %w", err)
	}
	f := folder{dir: dir}
	content, err := os.ReadFile(filepath.Join(dir, markerFile))
	if err == nil {
		if err := json.Unmarshal(content, &f.marker); err != nil {
			return folder{}, fmt.Errorf("%s is damaged: %w. Remove the folder to begin anew", filepath.Join(dir, markerFile), err)
		}
		f.known = true
		return f, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return folder{}, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return folder{}, err
	}
	if len(entries) > 0 {
		return folder{}, fmt.Errorf("the folder %s is not empty and not from an earlier `gatehouse dev`. Name an empty or new folder with --data", dir)
	}
	return f, os.Chmod(dir, 0o700) // it will hold secrets in the clear
}

// IsDevFolder tells whether dir belongs to dev; serve refuses such a folder.
func IsDevFolder(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, markerFile))
	return err == nil
}

// Names are the issuer of a dev folder and the audience of its demo API.
func Names(dir string) (issuer, audience string, err error) {
	content, err := os.ReadFile(filepath.Join(dir, markerFile))
	if err != nil {
		return "", "", fmt.Errorf("read the marker of the dev folder: %w", err)
	}
	var m marker
	if err := json.Unmarshal(content, &m); err != nil {
		return "", "", fmt.Errorf("%s is damaged: %w", filepath.Join(dir, markerFile), err)
	}
	return m.Issuer, m.Audience, nil
}

// ReadKEK reads the key-encryption key of a dev folder, for commands beside a
// running dev. Outside dev the key never lies in the data folder.
func ReadKEK(dir string) (keys.KEK, error) {
	raw, err := os.ReadFile(filepath.Join(dir, kekFile))
	if err != nil {
		return keys.KEK{}, fmt.Errorf("read the key-encryption key of the dev folder: %w", err)
	}
	return keys.NewKEK(raw)
}

// kek reads the folder's key-encryption key or, in a new folder, makes one. An
// existing database without its key is refused, never given a new key.
func (f folder) kek() (keys.KEK, error) {
	if f.known {
		return ReadKEK(f.dir)
	}
	kek, raw := keys.GenerateKEK()
	return kek, os.WriteFile(filepath.Join(f.dir, kekFile), raw, 0o600)
}

func (f folder) writeMarker() error {
	content, err := json.MarshalIndent(f.marker, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(f.dir, markerFile), append(content, '\n'))
}

// writeFile replaces a file at once, so that a reader never sees half of it.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// remove deletes a temporary folder; a folder that the user named stays.
func (f folder) remove() error {
	if !f.temporary {
		return nil
	}
	return os.RemoveAll(f.dir)
}
