package jwks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// fileVersion is the form of the snapshot file.
const fileVersion = 1

// maxFileBytes bounds a snapshot file: a key set and a little around it.
const maxFileBytes = jose.MaxKeySetBytes + 4<<10

// document is a snapshot file. Whoever can write it decides which tokens are
// accepted, so it belongs to this process's user alone (C18).
type document struct {
	Version int             `json:"version"`
	Issuer  string          `json:"issuer"`
	KeysURL string          `json:"keys_url,omitempty"`
	Fetched time.Time       `json:"fetched"`
	TTL     int64           `json:"ttl_seconds"`
	Keys    json.RawMessage `json:"jwks"`
	// Metadata is what discovery said; nil where there was none.
	Metadata *Metadata `json:"metadata,omitempty"`
}

// restore takes the keys from the disk when the network brought none and there
// are none in memory: network before disk snapshot (C18).
func (c *Cache) restore() {
	if c.file == "" || c.Current() != nil {
		return
	}
	generation := c.epoch.Load()
	data, err := PrivateFile{Path: c.file, MaxBytes: maxFileBytes}.Read()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var s *Snapshot
	if err == nil {
		s, err = c.parse(data)
	}
	if err != nil {
		c.logger.Warn("issuer keys not taken from the snapshot file", "issuer", c.issuer, "file", c.file, "cause", err)
		return
	}
	c.logger.Warn("issuer keys taken from the snapshot file", "issuer", c.issuer, "file", c.file, "fetched", s.Fetched.UTC())
	if s.metadata != nil {
		c.told(*s.metadata)
	}
	s.generation = generation
	c.snapshot.Store(s)
}

// parse reads a snapshot file: of this issuer, from the configured address, and
// no older than keys in memory may be.
func (c *Cache) parse(data []byte) (*Snapshot, error) {
	var d document
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return nil, fmt.Errorf("it is not a snapshot: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("it is not a snapshot: something follows it")
	}
	ttl := time.Duration(d.TTL) * time.Second
	// The wall clock, because the file may be of another boot.
	now := c.now()
	age := now.Round(0).Sub(d.Fetched)
	switch {
	case d.Version != fileVersion:
		return nil, fmt.Errorf("it is of version %d, not %d", d.Version, fileVersion)
	case d.Issuer != c.issuer || d.KeysURL != c.keysURL:
		return nil, fmt.Errorf("it is of the issuer %.100q", d.Issuer)
	case d.TTL < int64(minTTL/time.Second) || d.TTL > int64(maxTTL/time.Second):
		return nil, fmt.Errorf("a time to live of %d seconds", d.TTL)
	case age < 0:
		return nil, errors.New("it is from the future")
	case !c.usable(age, ttl):
		return nil, fmt.Errorf("it is too old: fetched %s ago, keys are good for %s", age.Round(time.Second), ttl+c.maxStale())
	}
	set, _, err := jose.ParseKeySet(d.Keys)
	if err != nil {
		return nil, err
	}
	if set.Len() == 0 {
		return nil, errors.New("it holds no usable key")
	}
	// Counted from now on by the clock that never steps back.
	return &Snapshot{Keys: set, Fetched: now.Add(-age), ttl: ttl, metadata: d.Metadata}, nil
}

// save writes the newest keys. When that fails the old file goes: it may hold a
// key that the issuer has taken back.
func (c *Cache) save() {
	if c.file == "" {
		return
	}
	c.saving.Lock()
	defer c.saving.Unlock()
	s := c.snapshot.Load()
	if s.generation != c.epoch.Load() {
		return // taken back meanwhile
	}
	err := c.write(s)
	if err == nil {
		return
	}
	c.logger.Warn("issuer keys not saved; is the folder there, and writable?", "file", c.file, "cause", err)
	PrivateFile{Path: c.file}.Remove()
}

func (c *Cache) write(s *Snapshot) error {
	keys, err := s.Keys.MarshalJSON()
	if err != nil {
		return err
	}
	data, err := json.Marshal(document{Version: fileVersion, Issuer: c.issuer, KeysURL: c.keysURL, Fetched: s.Fetched.Round(0).UTC(), TTL: int64(s.ttl / time.Second), Keys: keys, Metadata: s.metadata})
	if err != nil {
		return err
	}
	return PrivateFile{Path: c.file}.Write(append(data, '\n'))
}

// PrivateFile is a file that belongs to this process's user alone, because what
// stands in it is believed.
type PrivateFile struct {
	Path     string
	MaxBytes int64 // that Read takes
}

// Write replaces the file in one step; the new one is 0600 (CreateTemp).
func (p PrivateFile) Write(data []byte) error {
	path := p.Path
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Remove takes the file away, if it is a file.
func (p PrivateFile) Remove() {
	if info, err := os.Lstat(p.Path); err == nil && info.Mode().IsRegular() {
		os.Remove(p.Path)
	}
}

// Read reads the file, unless anybody but this process's user can have written
// it or replaced it with a link. fs.ErrNotExist when there is none.
func (p PrivateFile) Read() ([]byte, error) {
	path := p.Path
	named, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !named.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(named, opened) {
		return nil, errors.New("it was replaced meanwhile")
	}
	if err := private(opened, os.Geteuid()); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, p.MaxBytes+1))
	if err == nil && int64(len(data)) > p.MaxBytes {
		err = fmt.Errorf("it is larger than %d bytes", p.MaxBytes)
	}
	return data, err
}

// private refuses a file that others may read or write, or that another user
// owns. The owner is read by name, because not every system's file has one;
// where it has none the file is refused.
func private(info fs.FileInfo, user int) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("others may use it (mode %#o): chmod 600, if nobody else has written it", mode)
	}
	owner := reflect.Indirect(reflect.ValueOf(info.Sys()))
	if owner.Kind() != reflect.Struct || !owner.FieldByName("Uid").IsValid() || !owner.FieldByName("Uid").CanUint() {
		return errors.New("its owner cannot be told on this system")
	}
	if uid := owner.FieldByName("Uid").Uint(); uid != uint64(user) {
		return fmt.Errorf("it belongs to user %d, not to %d", uid, user)
	}
	return nil
}
