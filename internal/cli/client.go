package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// kind is what `client` and `service-account` differ in.
type kind struct{ noun, title string }

var (
	apps     = kind{"client", "client"}
	services = kind{"service-account", "service account"}
)

// has tells whether a client is of this kind: each command sees its own only.
func (k kind) has(c iam.Client) bool { return (c.Type == iam.Service) == (k == services) }

func (k kind) find(ctx context.Context, o office, id string) (iam.Client, error) {
	c, err := o.db.Client(ctx, iam.ClientID(id))
	if err == nil && !k.has(c) {
		err = iam.ErrNotFound
	}
	return c, notThere(err, k.title, id)
}

func (a *app) clientCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:   "client",
		Short: "Clients: applications that act for users",
		Long: `A client is an application that acts for users: public (a browser or mobile app,
which cannot keep a secret) or confidential (a server).`,
		Example: `  gatehouse client create shop --public --first-party --challenge --scope orders:read
  gatehouse client create portal --confidential --redirect-uri https://portal.example.com/callback --scope orders:read`,
	})
	c.AddCommand(a.clientCreate(), a.clientEdit())
	a.clientVerbs(c, apps)
	return c
}

func (a *app) serviceAccountCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:   "service-account",
		Short: "Service accounts: programs that act for themselves",
		Long: `A service account is a program that acts for itself, with client_credentials.
What it may do follows from its roles.`,
		Example: `  gatehouse service-account create robot --role viewer
  gatehouse service-account secret robot`,
	})
	c.AddCommand(a.serviceAccountCreate(), a.serviceAccountEdit())
	a.clientVerbs(c, services)
	return c
}

func (a *app) clientVerbs(c *cobra.Command, k kind) {
	set := func(ctx context.Context, o office, id string, to directory.Switch) error {
		if _, err := k.find(ctx, o, id); err != nil {
			return err
		}
		return o.directory.SetClient(ctx, o.actor, iam.ClientID(id), to)
	}
	c.AddCommand(a.clientList(k), shower(a, k.noun, func(ctx context.Context, o office, id string) (withSecret, error) {
		found, err := k.find(ctx, o, id)
		return withSecret{Client: found}, err
	}, a.showClient), a.clientSecret(k), a.clientKeys(k),
		a.switcher(k.noun, directory.Disabled, "End all grants and tokens of a "+k.title+", and allow no new ones.", set),
		a.switcher(k.noun, directory.Enabled, "Let a "+k.title+" obtain tokens again. What ended stays ended.", set),
		a.deleter(k.noun, "End everything of a "+k.title+" and delete it.", func(ctx context.Context, o office, id string) error {
			if _, err := k.find(ctx, o, id); err != nil {
				return err
			}
			return o.directory.DeleteClient(ctx, o.actor, iam.ClientID(id))
		}))
}

// withSecret is a client as printed once, with its secret.
type withSecret struct {
	iam.Client
	Secret string `json:"client_secret,omitempty"`
}

func (a *app) showClient(c withSecret) error {
	secret := ""
	if c.Secret != "" {
		secret = c.Secret + "   (shown once; Gatehouse keeps only a hash)"
	}
	fields := []field{{"client_id", string(c.ID)}, {"name", c.Name}, {"type", string(c.Type)}, {"first party", yes(c.FirstParty)},
		{"grant types", strings.Join(c.GrantTypes, " ")}, {"redirect URIs", strings.Join(c.RedirectURIs, " ")}, {"scopes", strings.Join(c.Scopes, " ")},
		{"default scopes", strings.Join(c.DefaultScopes, " ")}, {"roles", strings.Join(c.Roles, " ")}, {"challenge", yes(c.Challenge)},
		{"reader of", strings.Join(c.ReaderOf, " ")}, {"state", state(c.Disabled)}}
	fields = append(append(fields, signOnFields(c.Client)...), authFields(c.Client)...)
	return a.sheet(c, append(fields, field{"client_secret", secret})...)
}

func (a *app) create(ctx context.Context, client iam.Client) error {
	return a.enter(ctx, func(ctx context.Context, o office) error {
		created, secret, err := o.directory.CreateClient(ctx, o.actor, client)
		if err != nil {
			return err
		}
		return a.showClient(withSecret{created, secret})
	})
}

func (a *app) clientCreate() *cobra.Command {
	var client iam.Client
	var p proof
	var login signOn
	var public, confidential, noRefresh bool
	c := &cobra.Command{
		Use: "create ID --public|--confidential", Short: "Create a client", Args: cobra.ExactArgs(1),
		Example: `  gatehouse client create shop --public --first-party --challenge --scope orders:read
  gatehouse client create portal --confidential --redirect-uri https://portal.example.com/callback --scope orders:read
  gatehouse client create bank --confidential --auth private_key_jwt --jwks public.pem --redirect-uri https://bank.example.com/cb
  gatehouse client create wiki --confidential --redirect-uri https://wiki.example.com/cb --scope openid --scope profile --scope email
  gatehouse client create spa --public --redirect-uri https://spa.example.com/cb --origin https://spa.example.com
  gatehouse client create intranet --confidential --first-party --handoff-url https://intranet.example.com/handoff`,
		RunE: func(c *cobra.Command, args []string) error {
			if public == confidential {
				return usagef("say whether the client can keep a secret: --public or --confidential")
			}
			client.ID, client.Type = iam.ClientID(args[0]), iam.Confidential
			if public {
				client.Type = iam.Public
			}
			client.GrantTypes = []string{iam.AuthorizationCode, iam.RefreshToken}
			if noRefresh {
				client.GrantTypes = []string{iam.AuthorizationCode}
			}
			login.apply(c, &client)
			if err := p.apply(a, &client); err != nil {
				return err
			}
			return a.create(c.Context(), client)
		},
	}
	c.Flags().BoolVar(&public, "public", false, "a browser or mobile app: holds no secret")
	c.Flags().BoolVar(&confidential, "confidential", false, "a server: holds a secret, which is printed once, or keys")
	p.flags(c)
	login.createFlags(c)
	c.Flags().StringArrayVar(&client.Origins, "origin", nil, "an origin whose pages may read its answers, exactly as browsers send it (repeatable)")
	c.Flags().BoolVar(&client.FirstParty, "first-party", false, "your own: no consent is asked, roles are shown")
	c.Flags().BoolVar(&client.Challenge, "challenge", false, "may send usernames and passwords itself (first-party apps only)")
	c.Flags().BoolVar(&noRefresh, "no-refresh", false, "no refresh tokens")
	c.Flags().StringVar(&client.Name, "name", "", "display name")
	c.Flags().StringArrayVar(&client.RedirectURIs, "redirect-uri", nil, "where codes may be sent, matched exactly (repeatable)")
	c.Flags().StringArrayVar(&client.Scopes, "scope", nil, "a scope it may be granted (repeatable)")
	c.Flags().StringArrayVar(&client.DefaultScopes, "default-scope", nil, "a scope it gets when it asks for none (repeatable)")
	c.Flags().StringArrayVar(&client.ReaderOf, "reader-of", nil, "an API whose tokens it may introspect (repeatable)")
	return c
}

func (a *app) serviceAccountCreate() *cobra.Command {
	client := iam.Client{Type: iam.Service}
	var p proof
	c := &cobra.Command{
		Use: "create ID", Short: "Create a service account", Args: cobra.ExactArgs(1),
		Long: "Create a service account. Its secret is printed once, unless it proves itself with\nkeys. Without --scope it may be granted everything that its roles hold.",
		Example: `  gatehouse service-account create robot --role viewer
  gatehouse service-account create robot --role viewer --auth private_key_jwt --jwks public.pem
  gatehouse service-account create gate --reader-of orders --json`,
		RunE: func(c *cobra.Command, args []string) error {
			client.ID = iam.ClientID(args[0])
			if err := p.apply(a, &client); err != nil {
				return err
			}
			return a.create(c.Context(), client)
		},
	}
	c.Flags().StringVar(&client.Name, "name", "", "display name")
	p.flags(c)
	c.Flags().StringArrayVar(&client.Roles, "role", nil, "a role it holds (repeatable)")
	c.Flags().StringArrayVar(&client.Scopes, "scope", nil, "bound what it may be granted (repeatable)")
	c.Flags().StringArrayVar(&client.ReaderOf, "reader-of", nil, "an API whose tokens it may introspect (repeatable)")
	return c
}

func (a *app) clientList(k kind) *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List by id, a page at a time", Args: cobra.NoArgs,
		Example: fmt.Sprintf("  gatehouse %s list\n  gatehouse %s list --json", k.noun, k.noun),
	}
	after, limit := paging(c, "id")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.enter(c.Context(), func(ctx context.Context, o office) error {
			found, more, err := k.page(ctx, o, iam.ClientID(*after), int(*limit))
			if err != nil {
				return err
			}
			rows := [][]string{}
			for _, c := range found {
				rows = append(rows, []string{string(c.ID), string(c.Type), strings.Join(append(c.Roles, c.Scopes...), " "), authCell(c), state(c.Disabled)})
			}
			if more {
				fmt.Fprintf(a.Err, "There may be more: --after %s\n", found[len(found)-1].ID)
			}
			return a.table(found, []string{"ID", "TYPE", "ROLES AND SCOPES", "AUTH", "STATE"}, rows)
		})
	}
	return c
}

// page reads clients of one kind until the limit is full.
func (k kind) page(ctx context.Context, o office, after iam.ClientID, limit int) (found []iam.Client, more bool, err error) {
	found = []iam.Client{}
	for {
		batch, err := o.db.Clients(ctx, after, 100)
		if err != nil || len(batch) == 0 {
			return found, false, err
		}
		for _, c := range batch {
			if k.has(c) {
				found = append(found, c)
			}
			if len(found) == limit {
				return found, true, nil
			}
		}
		after = batch[len(batch)-1].ID
	}
}

// edits are the flags that both kinds share.
type edits struct {
	name                                            string
	addScopes, removeScopes, addReader, noReader    []string
	addRoles, removeRoles, addRedirects, noRedirect []string
	addOrigins, noOrigin                            []string
}

func (e edits) apply(c *cobra.Command, client *iam.Client) {
	if c.Flags().Changed("name") {
		client.Name = e.name
	}
	client.Scopes = revise(client.Scopes, e.addScopes, e.removeScopes)
	client.DefaultScopes = revise(client.DefaultScopes, nil, e.removeScopes)
	client.ReaderOf = revise(client.ReaderOf, e.addReader, e.noReader)
	client.Roles = revise(client.Roles, e.addRoles, e.removeRoles)
	client.RedirectURIs = revise(client.RedirectURIs, e.addRedirects, e.noRedirect)
	client.Origins = revise(client.Origins, e.addOrigins, e.noOrigin)
}

func (e *edits) flags(c *cobra.Command) {
	c.Flags().StringVar(&e.name, "name", "", "display name")
	c.Flags().StringArrayVar(&e.addScopes, "add-scope", nil, "add a scope (repeatable)")
	c.Flags().StringArrayVar(&e.removeScopes, "remove-scope", nil, "remove a scope (repeatable)")
	c.Flags().StringArrayVar(&e.addReader, "add-reader-of", nil, "let it introspect the tokens of an API (repeatable)")
	c.Flags().StringArrayVar(&e.noReader, "remove-reader-of", nil, "and no longer (repeatable)")
}

func (a *app) edit(ctx context.Context, k kind, id string, change func(*iam.Client)) error {
	return a.enter(ctx, func(ctx context.Context, o office) error {
		if _, err := k.find(ctx, o, id); err != nil {
			return err
		}
		edited, err := o.directory.EditClient(ctx, o.actor, iam.ClientID(id), func(c *iam.Client) error { change(c); return nil })
		if err != nil {
			return err
		}
		return a.showClient(withSecret{Client: edited})
	})
}

func (a *app) clientEdit() *cobra.Command {
	var e edits
	var login signOn
	var firstParty, challenge bool
	c := &cobra.Command{
		Use: "edit ID", Short: "Change a client", Args: cobra.ExactArgs(1),
		Example: "  gatehouse client edit shop --add-scope orders:write\n  gatehouse client edit portal --add-redirect-uri https://portal.example.com/cb2",
		RunE: func(c *cobra.Command, args []string) error {
			return a.edit(c.Context(), apps, args[0], func(client *iam.Client) {
				e.apply(c, client)
				login.apply(c, client)
				if c.Flags().Changed("first-party") {
					client.FirstParty = firstParty
				}
				if c.Flags().Changed("challenge") {
					client.Challenge = challenge
				}
			})
		},
	}
	e.flags(c)
	login.editFlags(c)
	c.Flags().StringArrayVar(&e.addRedirects, "add-redirect-uri", nil, "allow a redirect URI (repeatable)")
	c.Flags().StringArrayVar(&e.noRedirect, "remove-redirect-uri", nil, "and no longer (repeatable)")
	c.Flags().StringArrayVar(&e.addOrigins, "add-origin", nil, "let pages of an origin read its answers (repeatable)")
	c.Flags().StringArrayVar(&e.noOrigin, "remove-origin", nil, "and no longer (repeatable)")
	c.Flags().BoolVar(&firstParty, "first-party", false, "your own, or not (--first-party=false)")
	c.Flags().BoolVar(&challenge, "challenge", false, "may send usernames and passwords itself, or not")
	return c
}

func (a *app) serviceAccountEdit() *cobra.Command {
	var e edits
	c := &cobra.Command{
		Use: "edit ID", Short: "Change a service account", Args: cobra.ExactArgs(1),
		Example: "  gatehouse service-account edit robot --add-role editor\n  gatehouse service-account edit robot --remove-role editor",
		RunE: func(c *cobra.Command, args []string) error {
			return a.edit(c.Context(), services, args[0], func(client *iam.Client) { e.apply(c, client) })
		},
	}
	e.flags(c)
	c.Flags().StringArrayVar(&e.addRoles, "add-role", nil, "give a role (repeatable)")
	c.Flags().StringArrayVar(&e.removeRoles, "remove-role", nil, "take a role (repeatable)")
	return c
}
