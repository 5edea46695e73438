package login

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// ChangePassword replaces the password of whoever knows the current one. It is
// throttled, counted and refused like a login: *Throttled, ErrBusy, ErrDenied.
// An *iam.Invalid says why the new password cannot be chosen. It ends every
// session and grant of the user and moves the epoch (C14). iam.ErrConflict:
// somebody else changed the password in the same moment.
func (s *Service) ChangePassword(ctx context.Context, a Attempt, next string) error {
	// What is wrong with the new password alone is said without any work.
	if err := s.passwords.Check(next, a.Username); err != nil {
		return err
	}
	t, err := s.verify(ctx, a)
	if err != nil {
		return err
	}
	t.counted.Succeed()
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventPasswordChanged, Actor: string(t.user.ID), UserID: t.user.ID, ClientID: a.Client,
		Subject: t.user.Username, Detail: map[string]string{"network": t.network}}
	if err := s.checkNext(t, next); err != nil {
		// The current password was confirmed: that does not go unrecorded.
		event.Kind = iam.EventPasswordKept
		if err := s.users.Record(ctx, event); err != nil {
			return fmt.Errorf("record login: %w", err)
		}
		return err
	}
	hash, err := s.passwords.Hash(ctx, next)
	if err != nil {
		return fmt.Errorf("hash the new password: %w", err)
	}
	err = s.changes.ChangePassword(ctx, t.user, hash, t.network, event)
	if err != nil && !errors.Is(err, iam.ErrConflict) {
		return fmt.Errorf("change the password: %w", err)
	}
	return err
}

func (s *Service) checkNext(t *trial, next string) error {
	if normalize(next) == normalize(t.Password) {
		return iam.Invalidf("The new password is the current one. Choose another one.")
	}
	return s.passwords.Check(next, t.user.Username, t.user.Email, t.user.Name)
}
