package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// records is where keys are kept; *store.DB satisfies it.
type records interface {
	// Clock asks the store what time it is: its clock is the one that all nodes
	// share (C26).
	Clock(ctx context.Context) (time.Time, error)
	Keys(ctx context.Context) ([]iam.Key, error)
	AddKeys(ctx context.Context, keys []iam.Key, events ...iam.Event) error
	RotateKey(ctx context.Context, rotation iam.KeyRotation, events ...iam.Event) error
	EraseKey(ctx context.Context, id iam.KeyID, events ...iam.Event) error
}

// Config of a Service. Records and KEKs are required.
type Config struct {
	Records records
	// KEKs open sealed keys; the first one seals new ones.
	KEKs []KEK
	// PublishAhead is how long a key is published before a planned rotation
	// lets it sign; 0 activates at once (`gatehouse dev`).
	PublishAhead time.Duration
	// Now is the clock of this node, nil the real one. It only measures how much
	// time has passed since the store said what time it is.
	Now    func() time.Time
	Logger *slog.Logger
}

// Service holds the opened keys in memory and is safe for concurrent use.
type Service struct {
	records      records
	kek          keyring
	publishAhead time.Duration
	local        func() time.Time
	logger       *slog.Logger
	create       sync.Mutex // one goroutine creates a line; readers never wait
	snapshot     atomic.Pointer[snapshot]
	anchor       atomic.Pointer[anchor]
	confirmed    atomic.Int64 // when the snapshot was last known to be current, Unix nanoseconds of the local clock
	failed       atomic.Pointer[failure]
}

// anchor is what the store's clock said, and the local one at the same moment.
type anchor struct{ store, local time.Time }

// now is the time by the store's clock. What has passed since the store said it
// is measured by the monotonic clock: a wall clock that is wrong on one node, or
// jumps, brings no key forward there.
func (s *Service) now() time.Time {
	a := s.anchor.Load()
	return a.store.Add(s.local().Sub(a.local))
}

// snapshot is immutable. It is replaced whole, so that a reader never sees half
// a rotation.
type snapshot struct {
	keys    []iam.Key
	signers map[iam.KeyID]jose.Signer
	secrets map[iam.KeyID][]byte
}

// Algorithms of the symmetric lines.
const (
	sealAlgorithm = "A256GCM"
	macAlgorithm  = "HS256"
)

// overlap is how long a superseded key of a purpose is still needed: the
// longest life of what it made, and the largest leeway of a verifier.
var overlap = map[iam.Purpose]time.Duration{
	iam.TokenKeys:   iam.AccessTokenLife + iam.RevocationLeeway,
	iam.CodeKeys:    iam.CodeLife + iam.RevocationLeeway,
	iam.FormKeys:    24 * time.Hour, // a login page that stood open over night loses nothing
	iam.RefreshKeys: iam.GrantAbsolute,
	iam.FeedKeys:    time.Hour, // a reader checks a message when it comes; the hour is for clocks that differ
}

// Open loads and opens every live key and creates the lines that a new
// installation lacks. A key that cannot be opened is an error and is never
// replaced: whoever starts with the wrong key-encryption key must not end with
// new keys and every token invalid.
func Open(ctx context.Context, config Config) (*Service, error) {
	if config.Records == nil || len(config.KEKs) == 0 {
		return nil, errors.New("keys: Records and at least one key-encryption key are required")
	}
	s := &Service{
		records: config.Records, kek: config.KEKs, publishAhead: config.PublishAhead,
		local: config.Now, logger: config.Logger,
	}
	if s.local == nil {
		s.local = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if err := s.Reload(ctx); err != nil {
		return nil, err
	}
	for _, line := range []struct {
		purpose   iam.Purpose
		algorithm string
	}{{iam.TokenKeys, string(jose.ES256)}, {iam.CodeKeys, sealAlgorithm}, {iam.FormKeys, sealAlgorithm}, {iam.RefreshKeys, macAlgorithm}, {iam.FeedKeys, string(jose.ES256)}} {
		if err := s.ensure(ctx, line.purpose, line.algorithm); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Reload reads the keys again, after another process changed them (C28).
func (s *Service) Reload(ctx context.Context) error {
	began := s.local()
	now, err := s.records.Clock(ctx)
	if err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	stored, err := s.records.Keys(ctx)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	next := &snapshot{keys: stored, signers: map[iam.KeyID]jose.Signer{}, secrets: map[iam.KeyID][]byte{}}
	old := s.snapshot.Load()
	for _, k := range stored {
		if k.RemovedAt.IsZero() {
			if err := s.open(next, old, k); err != nil {
				return err
			}
		}
	}
	s.anchor.Store(&anchor{store: now, local: began})
	s.snapshot.Store(next)
	s.confirmed.Store(began.UnixNano())
	return nil
}

func (s *Service) open(next, old *snapshot, k iam.Key) error {
	if old != nil && old.has(k.ID) {
		next.signers[k.ID], next.secrets[k.ID] = old.signers[k.ID], old.secrets[k.ID]
		return nil
	}
	secret, err := s.kek.open(k)
	if err != nil {
		return fmt.Errorf("open keys: %w", err)
	}
	if !k.Purpose.Signs() {
		next.secrets[k.ID] = secret
		return nil
	}
	signer, err := jose.ParseSigner(jose.Algorithm(k.Algorithm), secret)
	if err != nil {
		return fmt.Errorf("open key %s: %w", k.ID, err)
	}
	if signer.Key().ID() != string(k.ID) {
		return fmt.Errorf("open key %s: the sealed key has another thumbprint: the row was changed", k.ID)
	}
	next.signers[k.ID] = signer
	return nil
}

func (n *snapshot) has(id iam.KeyID) bool {
	return n.secrets[id] != nil || !n.signers[id].IsZero()
}

// ensure creates the first active and pending key of a line.
func (s *Service) ensure(ctx context.Context, purpose iam.Purpose, algorithm string) error {
	if _, ok := s.line(purpose, algorithm).Active(s.now()); ok {
		return nil
	}
	s.create.Lock()
	defer s.create.Unlock()
	if _, ok := s.line(purpose, algorithm).Active(s.now()); ok {
		return nil
	}
	active, err := s.generate(purpose, algorithm)
	if err != nil {
		return err
	}
	pending, err := s.generate(purpose, algorithm)
	if err != nil {
		return err
	}
	active.ActivateAt = active.CreatedAt
	err = s.records.AddKeys(ctx, []iam.Key{active, pending},
		s.event(iam.EventKeyAdded, "system", active), s.event(iam.EventKeyAdded, "system", pending))
	reloaded := s.Reload(ctx)
	if _, ok := s.line(purpose, algorithm).Active(s.now()); ok {
		return reloaded // also when another process was first
	}
	return errors.Join(fmt.Errorf("create %s key: %w", purpose, err), reloaded)
}

func (s *Service) generate(purpose iam.Purpose, algorithm string) (iam.Key, error) {
	k := iam.Key{Purpose: purpose, Algorithm: algorithm, CreatedAt: s.now()}
	if !purpose.Signs() {
		secret := make([]byte, 32)
		rand.Read(secret)
		k.ID = iam.NewSecretKeyID()
		k.Sealed = s.kek[0].seal(purpose, k.ID, secret)
		return k, nil
	}
	signer, err := generateSigner(jose.Algorithm(algorithm))
	if err != nil {
		return iam.Key{}, fmt.Errorf("generate %s key: %w", algorithm, err)
	}
	private, err := signer.PKCS8()
	if err != nil {
		return iam.Key{}, err
	}
	if k.Public, err = signer.Key().MarshalJSON(); err != nil {
		return iam.Key{}, err
	}
	k.ID = iam.KeyID(signer.Key().ID())
	k.Sealed = s.kek[0].seal(purpose, k.ID, private)
	return k, nil
}

// generateSigner draws again when the thumbprint begins with a dash: a person
// who types the id in an emergency must not meet it as an unknown flag.
func generateSigner(algorithm jose.Algorithm) (jose.Signer, error) {
	for {
		signer, err := jose.GenerateSigner(algorithm)
		if err != nil || !strings.HasPrefix(signer.Key().ID(), "-") {
			return signer, err
		}
	}
}

func (s *Service) line(purpose iam.Purpose, algorithm string) iam.Line {
	return iam.LineOf(s.snapshot.Load().keys, purpose, algorithm)
}

func (s *Service) event(kind, actor string, k iam.Key) iam.Event {
	return iam.Event{ID: iam.NewEventID(), Kind: kind, Actor: actor, Subject: string(k.ID),
		Detail: map[string]string{"purpose": string(k.Purpose), "algorithm": k.Algorithm}}
}
