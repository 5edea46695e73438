package keys

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Listed is a key as an administrator sees it: never its secret.
type Listed struct {
	iam.Key
	State iam.KeyState `json:"state"`
}

// States says what each stored key may do at now, newest first within its line.
func States(stored []iam.Key, now time.Time) []Listed {
	listed := make([]Listed, len(stored))
	for i, k := range stored {
		listed[i] = Listed{Key: k, State: stateOf(stored, k, now)}
	}
	return listed
}

// DefaultPublishAhead is how long a key of an installation is published before
// a planned rotation lets it sign (C24).
const DefaultPublishAhead = 24 * time.Hour

// When says how soon a rotation takes over.
type When int

const (
	Planned When = iota // after the key has been published for PublishAhead
	AtOnce              // now: verifiers that cached the key set may refetch
)

// Rotate lets the pending key of a line take over and publishes the next
// pending one (C24). It returns the key that takes over and when.
func (s *Service) Rotate(ctx context.Context, actor string, purpose iam.Purpose, algorithm string, when When) (iam.Key, error) {
	if err := s.Reload(ctx); err != nil {
		return iam.Key{}, err
	}
	if err := s.ensure(ctx, purpose, algorithm); err != nil {
		return iam.Key{}, err
	}
	if coming, ok := s.line(purpose, algorithm).Coming(s.now()); ok && when == AtOnce {
		return s.hasten(ctx, actor, coming, "")
	}
	pending, ok := s.line(purpose, algorithm).Pending()
	if !ok {
		return iam.Key{}, fmt.Errorf("rotate %s %s: a rotation is already planned", purpose, algorithm)
	}
	pending.ActivateAt = s.now()
	if when == Planned {
		pending.ActivateAt = s.readyAt(pending, s.now())
	}
	pending.ActivateAt = s.afterActive(pending)
	return s.replace(ctx, actor, pending, "")
}

// afterActive is when a key takes over, at least a moment after the one before:
// two rotations in one instant are still two, and the later one wins.
func (s *Service) afterActive(k iam.Key) time.Time {
	if active, _ := s.line(k.Purpose, k.Algorithm).Active(s.now()); !k.ActivateAt.After(active.ActivateAt) {
		return active.ActivateAt.Add(time.Microsecond)
	}
	return k.ActivateAt
}

// Retire removes a key at once: it neither signs nor verifies any more, and
// every verifier that follows the feed drops it. If it was the active or the
// pending one, the pending key takes over now.
func (s *Service) Retire(ctx context.Context, actor string, id iam.KeyID) (iam.Key, error) {
	if err := s.Reload(ctx); err != nil {
		return iam.Key{}, err
	}
	for _, k := range s.snapshot.Load().keys {
		if k.ID == id && k.RemovedAt.IsZero() {
			return s.retire(ctx, actor, k)
		}
	}
	return iam.Key{}, iam.Invalidf("There is no live key %s. See: gatehouse key list", iam.Printable(string(id), 64))
}

func (s *Service) retire(ctx context.Context, actor string, k iam.Key) (iam.Key, error) {
	line := s.line(k.Purpose, k.Algorithm)
	active, _ := line.Active(s.now())
	pending, _ := line.Pending()
	coming, planned := line.Coming(s.now())
	switch {
	case k.ID == active.ID && planned:
		return s.hasten(ctx, actor, coming, k.ID)
	case k.ID == pending.ID:
		return s.replace(ctx, actor, iam.Key{Purpose: k.Purpose, Algorithm: k.Algorithm}, k.ID)
	case k.ID == active.ID && pending.ID != "":
		pending.ActivateAt = s.now()
		return s.replace(ctx, actor, pending, k.ID)
	case k.ID == active.ID:
		return s.retireLast(ctx, actor, k)
	}
	err := s.records.RotateKey(ctx, iam.KeyRotation{Remove: k.ID}, s.event(iam.EventKeyRetired, actor, k))
	if err != nil {
		return iam.Key{}, fmt.Errorf("retire key: %w", err)
	}
	return active, s.Reload(ctx)
}

// hasten lets a planned key, which has been published since it was pending, take
// over now, and removes a key if one is named. The next pending one is there.
func (s *Service) hasten(ctx context.Context, actor string, coming iam.Key, remove iam.KeyID) (iam.Key, error) {
	rotation := iam.KeyRotation{Activate: coming.ID, PlannedAt: coming.ActivateAt, Remove: remove}
	coming.ActivateAt = s.now()
	coming.ActivateAt = s.afterActive(coming)
	rotation.ActivateAt = coming.ActivateAt
	e := s.event(iam.EventKeyRotated, actor, coming)
	e.Detail["active_at"] = coming.ActivateAt.UTC().Format(time.RFC3339)
	events := []iam.Event{e}
	if remove != "" {
		events = append(events, s.event(iam.EventKeyRetired, actor, iam.Key{ID: remove, Purpose: coming.Purpose, Algorithm: coming.Algorithm}))
	}
	if err := s.records.RotateKey(ctx, rotation, events...); err != nil {
		return iam.Key{}, fmt.Errorf("rotate key: %w", err)
	}
	return coming, s.Reload(ctx)
}

// retireLast retires an active key that has no successor: a fresh key takes over
// now, the only time that one signs which was not published before.
func (s *Service) retireLast(ctx context.Context, actor string, k iam.Key) (iam.Key, error) {
	fresh, err := s.generate(k.Purpose, k.Algorithm)
	if err != nil {
		return iam.Key{}, err
	}
	fresh.ActivateAt = s.now()
	rotation := iam.KeyRotation{Remove: k.ID, Add: &fresh}
	if err := s.records.RotateKey(ctx, rotation, s.event(iam.EventKeyRetired, actor, k), s.event(iam.EventKeyAdded, actor, fresh)); err != nil {
		return iam.Key{}, fmt.Errorf("retire key: %w", err)
	}
	return fresh, s.Reload(ctx)
}

// replace activates next (if it is a stored key), removes a key (if named) and
// publishes a new pending one, in one transaction.
func (s *Service) replace(ctx context.Context, actor string, next iam.Key, remove iam.KeyID) (iam.Key, error) {
	add, err := s.generate(next.Purpose, next.Algorithm)
	if err != nil {
		return iam.Key{}, err
	}
	rotation := iam.KeyRotation{Activate: next.ID, ActivateAt: next.ActivateAt, Remove: remove, Add: &add}
	events := []iam.Event{s.event(iam.EventKeyAdded, actor, add)}
	if next.ID != "" {
		e := s.event(iam.EventKeyRotated, actor, next)
		e.Detail["active_at"] = next.ActivateAt.UTC().Format(time.RFC3339)
		events = append(events, e)
	}
	if remove != "" {
		events = append(events, s.event(iam.EventKeyRetired, actor, iam.Key{ID: remove, Purpose: next.Purpose, Algorithm: next.Algorithm}))
	}
	if err := s.records.RotateKey(ctx, rotation, events...); err != nil {
		return iam.Key{}, fmt.Errorf("rotate key: %w", err)
	}
	if next.ID == "" {
		next = add
	}
	return next, s.Reload(ctx)
}

// ParsePurpose reads the name of a line that can be rotated.
func ParsePurpose(name string) (iam.Purpose, error) {
	rotated := []iam.Purpose{iam.TokenKeys, iam.CodeKeys, iam.RefreshKeys, iam.FeedKeys}
	names := make([]string, len(rotated))
	for i, p := range rotated {
		if names[i] = string(p); names[i] == name {
			return p, nil
		}
	}
	return "", iam.Invalidf("There are no keys for %q. The purposes are: %s.", iam.Printable(name, 32),
		strings.Join(names, ", "))
}

// AlgorithmFor is the algorithm of a purpose when none is named.
func AlgorithmFor(purpose iam.Purpose) string {
	return map[iam.Purpose]string{iam.TokenKeys: "ES256", iam.CodeKeys: sealAlgorithm, iam.RefreshKeys: macAlgorithm, iam.FeedKeys: "ES256"}[purpose]
}
