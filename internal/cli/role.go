package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func (a *app) roleCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:   "role",
		Short: "Roles: named sets of scopes",
		Long:  "A role is a named set of scopes. Users and service accounts hold roles.",
		Example: `  gatehouse role create editor --scope orders:read --scope orders:write
  gatehouse user edit ada --add-role editor`,
	})
	c.AddCommand(a.roleCreate(), lister(a, "role", func(ctx context.Context, o office) ([]iam.Role, error) { return o.db.Roles(ctx) }, []string{"NAME", "SCOPES", "DEFAULT", "STATE"},
		func(r iam.Role) []string {
			return []string{r.Name, heldNames(r.Scopes), yes(r.Default), state(r.Disabled)}
		}),
		shower(a, "role", func(ctx context.Context, o office, name string) (iam.Role, error) {
			r, err := o.db.Role(ctx, name)
			return r, notThere(err, "role", name)
		}, a.showRole),
		a.roleEdit(),
		a.switcher("role", directory.Disabled, "The role holds no scope any more, from the next refresh of each holder on.", a.setRole),
		a.switcher("role", directory.Enabled, "The role holds its scopes again.", a.setRole),
		a.deleter("role", "Take a role from everybody, which ends their access tokens, and delete it.", func(ctx context.Context, o office, name string) error {
			return o.directory.DeleteRole(ctx, o.actor, name)
		}))
	return c
}

func (a *app) setRole(ctx context.Context, o office, name string, to directory.Switch) error {
	_, err := o.directory.SetRole(ctx, o.actor, name, to)
	return err
}

func resolve(ctx context.Context, o office, texts []string) ([]iam.RoleScope, error) {
	scopes := []iam.RoleScope{}
	for _, text := range texts {
		s, err := o.directory.ResolveScope(ctx, text)
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, s)
	}
	return scopes, nil
}

func (a *app) roleCreate() *cobra.Command {
	var r iam.Role
	var scopes []string
	c := &cobra.Command{
		Use: "create NAME", Short: "Create a role", Args: cobra.ExactArgs(1),
		Example: `  gatehouse role create viewer --scope orders:read --default
  gatehouse role create editor --scope orders/orders:read --scope orders/orders:write --description "May place orders"`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) (err error) {
				r.Name = args[0]
				if r.Scopes, err = resolve(ctx, o, scopes); err != nil {
					return err
				}
				created, err := o.directory.CreateRole(ctx, o.actor, r)
				if err != nil {
					return err
				}
				return a.showRole(created)
			})
		},
	}
	c.Flags().StringArrayVar(&scopes, "scope", nil, "a scope that the role holds, as SCOPE or API/SCOPE (repeatable)")
	c.Flags().BoolVar(&r.Default, "default", false, "give the role to every new user")
	c.Flags().StringVar(&r.Description, "description", "", "what it is for")
	return c
}

func heldNames(scopes []iam.RoleScope) string {
	var names []string
	for _, s := range scopes {
		names = append(names, s.API+"/"+s.Scope)
	}
	return strings.Join(names, " ")
}

func (a *app) showRole(r iam.Role) error {
	return a.sheet(r, field{"name", r.Name}, field{"description", r.Description}, field{"scopes", heldNames(r.Scopes)},
		field{"default", yes(r.Default)}, field{"state", state(r.Disabled)})
}

func (a *app) roleEdit() *cobra.Command {
	var add, remove []string
	var byDefault, now bool
	var description string
	c := &cobra.Command{
		Use: "edit NAME", Short: "Change a role", Args: cobra.ExactArgs(1),
		Long: `Change a role. Its holders get what it holds now at their next refresh, within
ten minutes; --now ends their access tokens at once.`,
		Example: "  gatehouse role edit viewer --add-scope stock:read\n  gatehouse role edit editor --remove-scope orders:write --now",
		RunE: func(c *cobra.Command, args []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				plus, err := resolve(ctx, o, add)
				if err != nil {
					return err
				}
				edited, err := o.directory.EditRole(ctx, o.actor, args[0], func(r *iam.Role) error {
					if c.Flags().Changed("default") {
						r.Default = byDefault
					}
					if c.Flags().Changed("description") {
						r.Description = description
					}
					r.Scopes = slices.DeleteFunc(append(r.Scopes, plus...), func(s iam.RoleScope) bool {
						return slices.Contains(remove, s.Scope) || slices.Contains(remove, s.API+"/"+s.Scope)
					})
					return nil
				})
				if err == nil && now {
					err = o.directory.EndHolders(ctx, o.actor, args[0])
				}
				if err != nil {
					return err
				}
				return a.showRole(edited)
			})
		},
	}
	c.Flags().StringArrayVar(&add, "add-scope", nil, "add a scope, as SCOPE or API/SCOPE (repeatable)")
	c.Flags().StringArrayVar(&remove, "remove-scope", nil, "remove a scope (repeatable)")
	c.Flags().BoolVar(&byDefault, "default", false, "give the role to every new user, or not (--default=false)")
	c.Flags().BoolVar(&now, "now", false, "end the access tokens of all holders at once")
	c.Flags().StringVar(&description, "description", "", "what it is for")
	return c
}
