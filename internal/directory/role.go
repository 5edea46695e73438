package directory

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// CreateRole makes a role. Its scopes must be defined by their APIs.
func (s *Service) CreateRole(ctx context.Context, actor string, r iam.Role) (iam.Role, error) {
	if err := s.checkRole(ctx, r); err != nil {
		return iam.Role{}, err
	}
	if err := s.roles.CreateRole(ctx, r, event(actor, "role.created", r.Name)); err != nil {
		return iam.Role{}, missing(err, "role", r.Name)
	}
	return s.roles.Role(ctx, r.Name)
}

func (s *Service) checkRole(ctx context.Context, r iam.Role) error {
	if err := r.Check(); err != nil {
		return err
	}
	all, err := s.apis.APIs(ctx)
	if err != nil {
		return err
	}
	for _, scope := range r.Scopes {
		if !slices.ContainsFunc(all, func(a iam.API) bool { return a.Name == scope.API && a.Defines(scope.Scope) }) {
			return iam.Invalidf("No API %q defines the scope %q. See: gatehouse api list", scope.API, scope.Scope)
		}
	}
	return nil
}

// ResolveScope finds the API that defines a bare scope; "api/scope" names both.
func (s *Service) ResolveScope(ctx context.Context, text string) (iam.RoleScope, error) {
	all, err := s.apis.APIs(ctx)
	if err != nil {
		return iam.RoleScope{}, err
	}
	var found []iam.RoleScope
	for _, a := range all {
		for _, scope := range a.Scopes {
			if text == scope.Name || text == a.Name+"/"+scope.Name {
				found = append(found, iam.RoleScope{API: a.Name, Scope: scope.Name})
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return iam.RoleScope{}, iam.Invalidf("No API defines the scope %q. See: gatehouse api list", iam.Printable(text, 64))
	}
	var forms []string
	for _, f := range found {
		forms = append(forms, f.API+"/"+f.Scope)
	}
	return iam.RoleScope{}, iam.Invalidf("More than one API defines the scope %q. Say which one: %s", text, strings.Join(forms, " or "))
}

// EditRole changes a role. Its holders get what it holds now at their next
// refresh, within the life of an access token (C16).
func (s *Service) EditRole(ctx context.Context, actor, name string, edit func(*iam.Role) error) (iam.Role, error) {
	return s.editRole(ctx, event(actor, "role.edited", name), name, edit)
}

// SetRole enables or disables a role: a disabled one holds no scope.
func (s *Service) SetRole(ctx context.Context, actor, name string, to Switch) (iam.Role, error) {
	return s.editRole(ctx, event(actor, to.kind("role"), name), name, func(r *iam.Role) error { r.Disabled = to == Disabled; return nil })
}

func (s *Service) editRole(ctx context.Context, e iam.Event, name string, edit func(*iam.Role) error) (iam.Role, error) {
	err := retry(func() error {
		r, err := s.roles.Role(ctx, name)
		if err != nil {
			return err
		}
		if err := edit(&r); err != nil {
			return err
		}
		if err := s.checkRole(ctx, r); err != nil {
			return err
		}
		return s.roles.UpdateRole(ctx, r, e)
	})
	if err != nil {
		return iam.Role{}, missing(err, "role", name)
	}
	return s.roles.Role(ctx, name)
}

// EndHolders ends the access tokens of everybody who holds a role, so that a
// change of its definition takes effect at once (C16).
func (s *Service) EndHolders(ctx context.Context, actor, name string) error {
	return missing(s.roles.BumpHolders(ctx, name, event(actor, "role.holders_ended", name)), "role", name)
}

// DeleteRole takes a role from everybody and removes it.
func (s *Service) DeleteRole(ctx context.Context, actor, name string) error {
	return missing(s.roles.DeleteRole(ctx, name, event(actor, "role.deleted", name)), "role", name)
}

// checkHeld reports the first of the names that is no role.
func (s *Service) checkHeld(ctx context.Context, names []string) error {
	for _, name := range names {
		_, err := s.roles.Role(ctx, name)
		if errors.Is(err, iam.ErrNotFound) {
			return iam.Invalidf("There is no role %q%s. See: gatehouse role list", iam.Printable(name, 64), s.suggestRole(ctx, name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// suggestRole names a role that differs from name by little.
func (s *Service) suggestRole(ctx context.Context, name string) string {
	all, err := s.roles.Roles(ctx)
	if err != nil {
		return ""
	}
	for _, r := range all {
		if distance(r.Name, name) <= 2 {
			return `. Did you mean "` + r.Name + `"?`
		}
	}
	return ""
}

// distance is the Levenshtein distance, for short names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
