package visit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

const (
	vaultFolder  = "sealed"
	purposeVault = "file"
)

// Vault keeps small secrets of a gateway in files, sealed with its key and each
// bound to its name: the account and the certificates of an ACME authority.
type Vault struct {
	dir    string
	sealer sealer
}

// OpenVault makes the folder and the key when they are not there. A key file is
// where the key lies outside of the folder; empty: in it.
func OpenVault(dir, keyFile string) (*Vault, error) {
	sealer, err := openSealer(dir, keyFile)
	if err != nil {
		return nil, fmt.Errorf("open the gateway's secrets: %w", err)
	}
	v := &Vault{dir: filepath.Join(dir, vaultFolder), sealer: sealer}
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the gateway's secrets: %w", err)
	}
	return v, nil
}

func (v *Vault) path(name string) string {
	return filepath.Join(v.dir, strings.ReplaceAll(url.QueryEscape(name), "..", "%2E%2E"))
}

// Get returns what was put under a name, ErrNone for nothing and for what was
// sealed with another key.
func (v *Vault) Get(_ context.Context, name string) ([]byte, error) {
	sealed, err := os.ReadFile(v.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	plain, err := v.sealer.open(sealed, purposeVault, name)
	if err != nil {
		return nil, ErrNone
	}
	return plain, nil
}

// Put replaces what is under a name, as a whole or not at all.
func (v *Vault) Put(_ context.Context, name string, data []byte) error {
	f, err := os.CreateTemp(v.dir, ".new-") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(v.sealer.seal(data, purposeVault, name))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), v.path(name))
}

// Delete removes what is under a name, if anything is.
func (v *Vault) Delete(_ context.Context, name string) error {
	if err := os.Remove(v.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
