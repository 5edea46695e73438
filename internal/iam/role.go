package iam

import (
	"slices"
	"time"
)

// Role is a named set of scopes, held by users and service accounts.
type Role struct {
	Name        string      `json:"name"`
	Description string      `json:"description,omitempty"`
	Scopes      []RoleScope `json:"scopes"`
	// Default gives the role to every new user.
	Default   bool      `json:"default"`
	Disabled  bool      `json:"disabled"` // a disabled role holds no scope
	Version   int64     `json:"-"`
	CreatedAt time.Time `json:"created_at"`
}

// RoleScope is a scope of one API: two APIs may define scopes of one name.
type RoleScope struct {
	API   string `json:"api"`
	Scope string `json:"scope"`
}

// Check reports the first reason why r cannot be stored.
func (r Role) Check() error {
	if err := CheckName("role", r.Name); err != nil {
		return err
	}
	for _, s := range r.Scopes {
		if err := CheckScope(s.Scope); err != nil {
			return err
		}
	}
	return nil
}

// Holds tells whether the role grants scope at the API of that name.
func (r Role) Holds(api, scope string) bool {
	return !r.Disabled && slices.Contains(r.Scopes, RoleScope{API: api, Scope: scope})
}

// Touches tells whether the role grants any scope at the API of that name (C6).
func (r Role) Touches(api string) bool {
	return !r.Disabled && slices.ContainsFunc(r.Scopes, func(s RoleScope) bool { return s.API == api })
}
