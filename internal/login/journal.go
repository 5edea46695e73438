package login

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
)

// Budgets of journal rows about failures: those in the first moment, and one
// more every so often. An attack fills the journal no faster; what is left out
// is counted, and the next row says how many.
const (
	journalBurst = 100
	journalEvery = time.Second
)

// recorder writes rows that come without another deed.
type recorder interface {
	Record(ctx context.Context, events ...iam.Event) error
}

// journal writes rows about failed logins within a budget for each kind, so
// that many failures cannot crowd out the news that a counter refuses.
type journal struct {
	records recorder
	now     func() time.Time

	mu      sync.Mutex
	budgets map[string]*budget
}

type budget struct {
	full    time.Time // when all rows of the first moment are there again
	omitted int64
}

func newJournal(records recorder, now func() time.Time) *journal {
	return &journal{records: records, now: now, budgets: map[string]*budget{iam.EventLoginFailed: {}, iam.EventLoginThrottled: {}}}
}

func (j *journal) write(ctx context.Context, e iam.Event) error {
	omitted, ok := j.spend(e.Kind)
	if !ok {
		return nil
	}
	if omitted > 0 {
		e.Detail["omitted"] = strconv.FormatInt(omitted, 10)
	}
	// Whoever hangs up early does not keep the failure out of the journal.
	if err := j.records.Record(context.WithoutCancel(ctx), e); err != nil {
		return fmt.Errorf("record login: %w", err)
	}
	return nil
}

// spend takes one row from the budget of a kind. omitted are those that were
// not written since the last one.
func (j *journal) spend(kind string) (omitted int64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b, now := j.budgets[kind], j.now()
	if b.full.Before(now) || b.full.Sub(now) > journalBurst*journalEvery {
		b.full = now // also when the clock was set back
	}
	if b.full.Sub(now) > (journalBurst-1)*journalEvery {
		b.omitted++
		return 0, false
	}
	b.full = b.full.Add(journalEvery)
	omitted, b.omitted = b.omitted, 0
	return omitted, true
}

// deny records a failure and returns ErrDenied.
func (s *Service) deny(ctx context.Context, t *trial, reason string) error {
	event := s.failure(t, t.user, iam.EventLoginFailed, "reason", reason)
	if err := s.journal.write(ctx, event); err != nil {
		return err
	}
	return ErrDenied
}

// reportThrottled records that a counter refuses, once an hour for each.
func (s *Service) reportThrottled(ctx context.Context, t *trial, canonical string, r *throttle.Refusal) error {
	if !r.First {
		return nil
	}
	user, _, err := s.find(ctx, canonical)
	if err != nil {
		return err
	}
	return s.journal.write(ctx, s.failure(t, user, iam.EventLoginThrottled, "counted_by", string(r.Scope)))
}

func (s *Service) failure(t *trial, user iam.User, kind, name, value string) iam.Event {
	event := iam.Event{ID: iam.NewEventID(), Kind: kind, Actor: "anonymous", UserID: user.ID, ClientID: t.Client,
		Detail: map[string]string{name: value, "network": t.network}}
	if user.ID == "" {
		// People type passwords into the username field: the journal keeps its length only.
		event.Detail["username_length"] = strconv.Itoa(utf8.RuneCountInString(t.Username))
	}
	return event
}
