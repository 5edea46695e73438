package follow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
)

// fileVersion is the form of the file: a line of JSON, and a set as feed writes it.
const fileVersion = 1

// MaxFileBytes bounds the file: more than two million revocations.
const MaxFileBytes = 64 << 20

// head is the first line of the file.
type head struct {
	Version int    `json:"version"`
	Issuer  string `json:"issuer"`
	// Complete is when all that was revoked by then was known.
	Complete time.Time `json:"complete"`
}

// load takes what is on disk. It can only make more tokens refused, so it is
// taken at any age, without those that have expired meanwhile; it never makes
// the feed fresh.
func (f *Follower) load() {
	if f.file == nil {
		return
	}
	data, err := f.file.Read()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = f.parse(data)
	}
	if err != nil {
		f.logger.Warn("revocations not taken from the snapshot file", "issuer", f.issuer, "cause", err)
	}
}

func (f *Follower) parse(data []byte) error {
	line, set, found := bytes.Cut(data, []byte("\n"))
	var h head
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&h); err != nil {
		return fmt.Errorf("it is no snapshot of revocations: %w", err)
	}
	switch {
	case !found:
		return errors.New("it is no snapshot of revocations: it is one line")
	case h.Version != fileVersion:
		return fmt.Errorf("it is of version %d, not %d", h.Version, fileVersion)
	case h.Issuer != f.issuer:
		return fmt.Errorf("it is of the issuer %.100q", h.Issuer)
	}
	position, err := f.set.Load(set)
	if err != nil {
		return err
	}
	// The wall clock, because the file may be of another boot.
	here := f.now()
	now := here.Round(0)
	for range 16 {
		f.set.Sweep(now)
	}
	// What is from the future, by a clock that was wrong, still refuses; nothing
	// is known about its age.
	if age := now.Sub(h.Complete); age >= 0 {
		f.beat.Store(int64(here.Sub(f.begun) - age))
		f.heard.Store(true)
		f.saver.complete = h.Complete
	}
	f.reader.Resume(position)
	return nil
}

// Bounds of writing.
const (
	// A change is on disk after about a second; a file that takes long to write is
	// written less often.
	saveEvery = time.Second
	saveShare = 20
	// Without a change the file says once a minute that it is still complete.
	saveIdle = time.Minute
)

// saver writes the file now and then. It belongs to the goroutine that follows.
type saver struct {
	dirty    bool
	complete time.Time
	at       time.Time     // of the last write
	pause    time.Duration // until the next
	written  chan error    // of the write under way, nil: none
	failing  bool
}

// maybe writes the file beside the following, if it is time.
func (s *saver) maybe(f *Follower) {
	if f.file == nil {
		return
	}
	s.complete = f.now().Add(-f.set.Age(f.now()))
	if s.written != nil {
		select {
		case err := <-s.written:
			s.done(f, err)
		default:
			return
		}
	}
	idle := time.Since(s.at)
	if idle < max(saveEvery, s.pause) || !s.dirty && idle < saveIdle {
		return
	}
	data, err := s.content(f)
	if err != nil {
		s.done(f, err)
		return
	}
	s.dirty, s.at = false, time.Now()
	written := make(chan error, 1)
	s.written = written
	f.ended.Go(func() { written <- f.file.Write(data) })
}

func (s *saver) done(f *Follower, err error) {
	s.written, s.pause = nil, saveShare*time.Since(s.at)
	s.pause = min(s.pause, saveIdle)
	if err != nil && !s.failing {
		f.logger.Warn("revocations not saved; is the folder there, and writable?", "issuer", f.issuer, "cause", err)
	}
	s.failing = err != nil
	s.dirty = s.dirty || err != nil
}

// last writes what is not on disk yet when the following ends.
func (s *saver) last(f *Follower) {
	if f.file == nil {
		return
	}
	if s.written != nil {
		s.done(f, <-s.written)
	}
	if !s.dirty {
		return
	}
	data, err := s.content(f)
	if err == nil {
		err = f.file.Write(data)
	}
	if err != nil {
		s.done(f, err)
	}
}

func (s *saver) content(f *Follower) ([]byte, error) {
	if (f.set.Salt() == feed.Salt{}) {
		return nil, errors.New("there is nothing to save")
	}
	line, err := json.Marshal(head{Version: fileVersion, Issuer: f.issuer, Complete: s.complete.UTC().Round(0)})
	if err != nil {
		return nil, err
	}
	position, _ := f.reader.Position()
	data := f.set.AppendBinary(append(line, '\n'), position)
	if len(data) > MaxFileBytes {
		return nil, fmt.Errorf("%d bytes, at most %d", len(data), MaxFileBytes)
	}
	return data, nil
}
