package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func (a *app) apiCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:   "api",
		Short: "APIs: audiences and the scopes they define",
		Long:  "An API is what tokens are for: an audience, and the scopes that it defines.",
		Example: `  gatehouse api create orders --audience https://orders.example.com --scope orders:read --scope orders:write
  gatehouse api list`,
	})
	c.AddCommand(a.apiCreate(), lister(a, "api", func(ctx context.Context, o office) ([]iam.API, error) { return o.db.APIs(ctx) }, []string{"NAME", "AUDIENCE", "SCOPES", "STATE"},
		func(api iam.API) []string {
			return []string{api.Name, api.Audience, scopeNames(api.Scopes), state(api.Disabled)}
		}),
		shower(a, "api", func(ctx context.Context, o office, name string) (iam.API, error) {
			api, err := o.db.API(ctx, name)
			return api, notThere(err, "API", name)
		}, a.showAPI),
		a.apiEdit(),
		a.switcher("api", directory.Disabled, "No new tokens for the API; those that are out live at most ten minutes.", a.setAPI),
		a.switcher("api", directory.Enabled, "Issue tokens for the API again.", a.setAPI),
		a.deleter("api", "Delete an API and what roles hold at it.", func(ctx context.Context, o office, name string) error {
			return o.directory.DeleteAPI(ctx, o.actor, name)
		}))
	return c
}

func (a *app) setAPI(ctx context.Context, o office, name string, to directory.Switch) error {
	_, err := o.directory.SetAPI(ctx, o.actor, name, to)
	return err
}

// parseScopes reads NAME or NAME=DESCRIPTION.
func parseScopes(flags []string) []iam.Scope {
	scopes := []iam.Scope{}
	for _, f := range flags {
		name, description, _ := strings.Cut(f, "=")
		scopes = append(scopes, iam.Scope{Name: name, Description: description})
	}
	return scopes
}

func (a *app) apiCreate() *cobra.Command {
	var api iam.API
	var scopes []string
	c := &cobra.Command{
		Use:   "create NAME --audience URI",
		Short: "Create an API",
		Example: `  gatehouse api create orders --audience https://orders.example.com --scope "orders:read=Read orders"
  gatehouse api create stock --audience https://stock.example.com --scope stock:read --claim tenant --algorithm RS256`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				api.Name, api.Scopes = args[0], parseScopes(scopes)
				created, err := o.directory.CreateAPI(ctx, o.actor, api)
				if err != nil {
					return err
				}
				return a.showAPI(created)
			})
		},
	}
	c.Flags().StringVar(&api.Audience, "audience", "", "the `aud` of its tokens, usually its URL")
	c.Flags().StringArrayVar(&scopes, "scope", nil, "a scope, as NAME or NAME=DESCRIPTION (repeatable)")
	c.Flags().StringArrayVar(&api.Claims, "claim", nil, "a user attribute that becomes a claim of its tokens (repeatable)")
	c.Flags().StringVar(&api.Algorithm, "algorithm", "ES256", "signature of its tokens: ES256, RS256 or EdDSA")
	c.MarkFlagRequired("audience")
	return c
}

func scopeNames(scopes []iam.Scope) string {
	var names []string
	for _, s := range scopes {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

func (a *app) showAPI(api iam.API) error {
	return a.sheet(api, field{"name", api.Name}, field{"audience", api.Audience}, field{"scopes", scopeNames(api.Scopes)},
		field{"claims", strings.Join(api.Claims, " ")}, field{"algorithm", api.Algorithm}, field{"state", state(api.Disabled)})
}

func (a *app) apiEdit() *cobra.Command {
	var audience, algorithm string
	var addScopes, removeScopes, addClaims, removeClaims []string
	c := &cobra.Command{
		Use: "edit NAME", Short: "Change an API", Args: cobra.ExactArgs(1),
		Example: "  gatehouse api edit orders --add-scope \"orders:refund=Refund orders\"\n  gatehouse api edit orders --remove-scope orders:refund",
		RunE: func(c *cobra.Command, args []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				edited, err := o.directory.EditAPI(ctx, o.actor, args[0], func(api *iam.API) error {
					if audience != "" {
						api.Audience = audience
					}
					if algorithm != "" {
						api.Algorithm = algorithm
					}
					api.Scopes = slices.DeleteFunc(append(api.Scopes, parseScopes(addScopes)...), func(s iam.Scope) bool { return slices.Contains(removeScopes, s.Name) })
					api.Claims = revise(api.Claims, addClaims, removeClaims)
					return nil
				})
				if err != nil {
					return err
				}
				return a.showAPI(edited)
			})
		},
	}
	c.Flags().StringVar(&audience, "audience", "", "another audience: its verifiers must follow")
	c.Flags().StringVar(&algorithm, "algorithm", "", "ES256, RS256 or EdDSA")
	c.Flags().StringArrayVar(&addScopes, "add-scope", nil, "add a scope, as NAME or NAME=DESCRIPTION (repeatable)")
	c.Flags().StringArrayVar(&removeScopes, "remove-scope", nil, "remove a scope (repeatable)")
	c.Flags().StringArrayVar(&addClaims, "add-claim", nil, "add an attribute that becomes a claim (repeatable)")
	c.Flags().StringArrayVar(&removeClaims, "remove-claim", nil, "remove one (repeatable)")
	return c
}
