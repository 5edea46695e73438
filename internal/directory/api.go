package directory

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// CreateAPI makes an API; its tokens are signed with ES256 unless it says otherwise.
func (s *Service) CreateAPI(ctx context.Context, actor string, a iam.API) (iam.API, error) {
	if a.Algorithm == "" {
		a.Algorithm = "ES256"
	}
	if err := a.Check(); err != nil {
		return iam.API{}, err
	}
	if err := s.apis.CreateAPI(ctx, a, event(actor, "api.created", a.Name)); err != nil {
		return iam.API{}, missing(err, "API", a.Name)
	}
	return s.apis.API(ctx, a.Name)
}

// EditAPI changes an API. A scope that it stops to define is gone from the
// roles, and so from the next token of everybody.
func (s *Service) EditAPI(ctx context.Context, actor, name string, edit func(*iam.API) error) (iam.API, error) {
	return s.editAPI(ctx, event(actor, "api.edited", name), name, edit)
}

// SetAPI enables or disables an API: a disabled one gets no new tokens.
func (s *Service) SetAPI(ctx context.Context, actor, name string, to Switch) (iam.API, error) {
	return s.editAPI(ctx, event(actor, to.kind("api"), name), name, func(a *iam.API) error { a.Disabled = to == Disabled; return nil })
}

func (s *Service) editAPI(ctx context.Context, e iam.Event, name string, edit func(*iam.API) error) (iam.API, error) {
	err := retry(func() error {
		a, err := s.apis.API(ctx, name)
		if err != nil {
			return err
		}
		if err := edit(&a); err != nil {
			return err
		}
		if err := a.Check(); err != nil {
			return err
		}
		return s.apis.UpdateAPI(ctx, a, e)
	})
	if err != nil {
		return iam.API{}, missing(err, "API", name)
	}
	return s.apis.API(ctx, name)
}

// DeleteAPI removes an API and what roles held at it.
func (s *Service) DeleteAPI(ctx context.Context, actor, name string) error {
	return missing(s.apis.DeleteAPI(ctx, name, event(actor, "api.deleted", name)), "API", name)
}
