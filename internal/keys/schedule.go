package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// DefaultRotateEvery is how long a key signs before the pending one takes over.
const DefaultRotateEvery = 30 * 24 * time.Hour

const (
	// staleAfter is how long a process may go without hearing that nothing
	// changed before it reads the keys again, and uses none until it has: a
	// machine that slept must not sign with a key that everybody else has
	// forgotten. It hears ten times a second, so this is ten polls missed. A key
	// that is retired signs nowhere a second later.
	staleAfter = time.Second
	// readPatience is how long a request waits for keys that must be read again,
	// where it has no deadline of its own.
	readPatience = 3 * time.Second
	// rereadAfter bounds how far the measured time can drift from the store's,
	// and how long a change that nobody heard of stays unknown.
	rereadAfter = 10 * time.Second
	// askAgain is the pause after keys could not be read, and between two
	// readings for the sake of a key that nobody here knows.
	askAgain = 500 * time.Millisecond
	// keepSecrets is how long the secret of a key stays after its last use, for
	// clocks that were wrong.
	keepSecrets = 7 * 24 * time.Hour
)

// Tend does what is due in every line: it rotates an active key that is older
// than every, publishes a pending key where none is, and erases the secrets of
// keys that nobody can need. Any number of processes may do it at once: each
// step is conditional, and who comes second finds it done.
func (s *Service) Tend(ctx context.Context, every time.Duration) error {
	if err := s.Reload(ctx); err != nil {
		return err
	}
	var faults []error
	for _, line := range s.lines() {
		if err := s.tendLine(ctx, line.purpose, line.algorithm, every); err != nil && !errors.Is(err, iam.ErrConflict) {
			faults = append(faults, fmt.Errorf("rotate %s %s: %w", line.purpose, line.algorithm, err))
		}
	}
	return errors.Join(append(faults, s.erase(ctx))...)
}

type lineName struct {
	purpose   iam.Purpose
	algorithm string
}

// lines are all lines that have a key in use.
func (s *Service) lines() []lineName {
	var names []lineName
	for _, k := range s.snapshot.Load().keys {
		if name := (lineName{k.Purpose, k.Algorithm}); k.RemovedAt.IsZero() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (s *Service) tendLine(ctx context.Context, purpose iam.Purpose, algorithm string, every time.Duration) error {
	line, now := s.line(purpose, algorithm), s.now()
	active, ok := line.Active(now)
	if !ok {
		return nil // a line ends when its last key is retired; asking for it makes a new one
	}
	pending, ok := line.Pending()
	if !ok {
		return s.publish(ctx, purpose, algorithm)
	}
	if now.Sub(active.ActivateAt) < every || line.Planned(now, now.Add(every)) {
		return nil
	}
	pending.ActivateAt = s.readyAt(pending, now)
	_, err := s.replace(ctx, "schedule", pending, "")
	return err
}

// readyAt is when a pending key has been published for long enough to sign. One
// that says it was made in the future was made by a clock that was wrong; it
// counts as new.
func (s *Service) readyAt(pending iam.Key, now time.Time) time.Time {
	published := pending.CreatedAt
	if published.After(now) {
		published = now
	}
	if ready := published.Add(s.publishAhead); ready.After(now) {
		return ready
	}
	return now
}

// publish adds a pending key to a line that has none.
func (s *Service) publish(ctx context.Context, purpose iam.Purpose, algorithm string) error {
	add, err := s.generate(purpose, algorithm)
	if err != nil {
		return err
	}
	if err := s.records.RotateKey(ctx, iam.KeyRotation{Add: &add}, s.event(iam.EventKeyAdded, "schedule", add)); err != nil {
		return err
	}
	return s.Reload(ctx)
}

// erase removes the secrets of keys that were superseded or retired long ago.
// The public halves stay.
func (s *Service) erase(ctx context.Context) error {
	snap, now := s.snapshot.Load(), s.now()
	for _, k := range snap.keys {
		if !k.RemovedAt.IsZero() || stateOf(snap.keys, k, now.Add(-keepSecrets)) != iam.Removed {
			continue
		}
		if err := s.records.EraseKey(ctx, k.ID, s.event(iam.EventKeyErased, "schedule", k)); err != nil {
			return fmt.Errorf("erase key %s: %w", k.ID, err)
		}
	}
	return nil
}

// Confirm says that the keys in memory are those in the store now: the watcher
// looked, and nothing had changed. After a pause, in which the monotonic clock may
// have stood still, and every rereadAfter in any case, it reads them again.
func (s *Service) Confirm(ctx context.Context) error {
	if since := s.local().Sub(s.anchor.Load().local); !s.fresh() || since < 0 || since > rereadAfter {
		return s.Reload(ctx)
	}
	s.confirmed.Store(s.local().UnixNano())
	return nil
}

// failure is that the keys could not be read.
type failure struct {
	at  time.Time // on the wall
	err error
}

// refresh reads the keys again when nobody confirmed them for too long, or the
// clock moved. A key that cannot be confirmed is not used: iam.ErrUnavailable.
func (s *Service) refresh(ctx context.Context) error {
	if s.fresh() {
		return nil
	}
	s.create.Lock()
	defer s.create.Unlock()
	if s.fresh() {
		return nil
	}
	// While the database is away, one caller at a time waits for it, not all.
	if f := s.failed.Load(); f != nil && time.Since(f.at) < askAgain {
		return f.err
	}
	err := s.Reload(ctx)
	if err == nil {
		s.failed.Store(nil)
		return nil
	}
	err = fmt.Errorf("%w: the keys were not confirmed for %s, and are not used until they are: %w", iam.ErrUnavailable, staleAfter, err)
	if ctx.Err() == nil {
		s.failed.Store(&failure{time.Now(), err})
	}
	return err
}

// current is refresh where no request lends its context.
func (s *Service) current() error {
	if s.fresh() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), readPatience)
	defer cancel()
	return s.refresh(ctx)
}

// fresh goes by the wall clock, which runs on while a machine is suspended.
func (s *Service) fresh() bool {
	age := s.local().UnixNano() - s.confirmed.Load()
	return age < int64(staleAfter) && age > -int64(staleAfter)
}

// Age is since when the keys were confirmed to be those of the store.
func (s *Service) Age() time.Duration {
	return time.Duration(s.local().UnixNano() - s.confirmed.Load())
}

// reread reads the keys for the sake of one that an artefact names and nobody
// here knows: another node may have made it a moment ago. Strangers can name any
// key, so this happens once in askAgain.
func (s *Service) reread() bool {
	s.create.Lock()
	defer s.create.Unlock()
	if since := s.local().Sub(s.anchor.Load().local); since >= 0 && since < askAgain {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), readPatience)
	defer cancel()
	return s.Reload(ctx) == nil
}
