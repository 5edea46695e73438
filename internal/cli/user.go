package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func (a *app) userCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:   "user",
		Short: "Users: people who log in",
		Long:  "A user is a person who logs in. What a user may do follows from roles.",
		Example: `  gatehouse user create ada --email ada@example.com --role editor
  gatehouse user disable ada`,
	})
	c.AddCommand(a.userCreate(), a.userImport(), a.userList(), shower(a, "user", func(ctx context.Context, o office, name string) (withPassword, error) {
		u, err := o.directory.FindUser(ctx, name)
		return withPassword{User: u}, err
	}, a.showUser), a.userEdit(),
		a.switcher("user", directory.Disabled, "End all logins and tokens of a user, and allow no new ones.", a.setUser),
		a.switcher("user", directory.Enabled, "Let a user log in again. What ended stays ended.", a.setUser),
		a.deleter("user", "End everything of a user and delete the account.", func(ctx context.Context, o office, name string) error {
			u, err := o.directory.FindUser(ctx, name)
			if err != nil {
				return err
			}
			return o.directory.DeleteUser(ctx, o.actor, u.ID)
		}))
	return c
}

func (a *app) setUser(ctx context.Context, o office, name string, to directory.Switch) error {
	u, err := o.directory.FindUser(ctx, name)
	if err != nil {
		return err
	}
	return o.directory.SetUser(ctx, o.actor, u.ID, to)
}

// withPassword is a user as printed once, with a password that was generated.
type withPassword struct {
	iam.User
	Password string `json:"password,omitempty"`
}

func (a *app) userCreate() *cobra.Command {
	var p person
	var u iam.User
	var attributes []string
	var file, hashFile string
	c := &cobra.Command{
		Use: "create USERNAME", Short: "Create a user", Args: cobra.ExactArgs(1),
		Long: `Create a user. On a terminal the password is asked for twice and not shown;
Enter accepts a generated passphrase, which is shown once. Elsewhere the
password comes from --password-file, or a passphrase is generated and printed
once. --password-hash-file takes the hash of another system instead; see
"gatehouse user import --help" for many users.`,
		Example: `  gatehouse user create ada --email ada@example.com --role editor
  gatehouse user create bob --password-file - < password.txt
  gatehouse user create eve --attribute tenant=t1 --json
  gatehouse user create fay --password-hash-file bcrypt.txt`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			u.Username = args[0]
			if err := p.apply(c, &u); err != nil {
				return err
			}
			if u.Attributes, err = parseAttributes(attributes); err != nil {
				return err
			}
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				if hashFile != "" {
					return a.createWithHash(ctx, o, u, hashFile)
				}
				password, generated, err := a.choosePassword(o.directory, u, file)
				if err != nil {
					return err
				}
				created, err := o.directory.CreateUser(ctx, o.actor, u, password)
				if err != nil {
					return err
				}
				shown := withPassword{User: created}
				if generated {
					shown.Password = password
				}
				return a.showUser(shown)
			})
		},
	}
	p.flags(c)
	c.Flags().StringVar(&u.Email, "email", "", "e-mail address")
	c.Flags().StringVar(&u.Name, "name", "", "display name")
	c.Flags().StringArrayVar(&u.Roles, "role", nil, "a role that the user holds, beside the default ones (repeatable)")
	c.Flags().StringArrayVar(&attributes, "attribute", nil, "an attribute, as NAME=VALUE (repeatable)")
	c.Flags().StringVar(&file, "password-file", "", "file with the password, - for standard input")
	c.Flags().StringVar(&hashFile, "password-hash-file", "", "file with a password hash of another system, - for standard input")
	c.MarkFlagsMutuallyExclusive("password-file", "password-hash-file")
	return c
}

func (a *app) createWithHash(ctx context.Context, o office, u iam.User, file string) error {
	hash, err := a.readPassword(file)
	if err != nil {
		return err
	}
	created, err := o.directory.CreateUserWithHash(ctx, o.actor, u, hash)
	if err != nil {
		return err
	}
	return a.showUser(withPassword{User: created})
}

func parseAttributes(flags []string) (map[string]string, error) {
	attributes := map[string]string{}
	for _, f := range flags {
		name, value, found := strings.Cut(f, "=")
		if !found {
			return nil, usagef("--attribute %s is not of the form NAME=VALUE", iam.Printable(f, 64))
		}
		attributes[name] = value
	}
	return attributes, nil
}

func (a *app) userList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List users by name, a page at a time", Args: cobra.NoArgs,
		Example: "  gatehouse user list\n  gatehouse user list --after ada --limit 10 --json",
	}
	after, limit := paging(c, "username")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.enter(c.Context(), func(ctx context.Context, o office) error {
			users, err := o.db.Users(ctx, *after, int(*limit))
			if err != nil {
				return err
			}
			rows := [][]string{}
			for _, u := range users {
				rows = append(rows, []string{u.Username, string(u.ID), strings.Join(u.Roles, " "), state(u.Disabled)})
			}
			if len(users) == int(*limit) {
				fmt.Fprintf(a.Err, "There may be more: --after %s\n", users[len(users)-1].Username)
			}
			return a.table(users, []string{"USERNAME", "ID", "ROLES", "STATE"}, rows)
		})
	}
	return c
}

func (a *app) showUser(u withPassword) error {
	var attributes []string
	for name, value := range u.Attributes {
		attributes = append(attributes, name+"="+value)
	}
	password := ""
	if u.Password != "" {
		password = u.Password + "   (shown once; Gatehouse keeps only a hash)"
	}
	fields := append([]field{{"username", u.Username}, {"id", string(u.ID)}}, personFields(u.User)...)
	return a.sheet(u, append(fields, field{"roles", strings.Join(u.Roles, " ")}, field{"attributes", strings.Join(attributes, " ")}, field{"state", state(u.Disabled)}, field{"password", password})...)
}

func (a *app) userEdit() *cobra.Command {
	var p person
	var email, name, file string
	var addRoles, removeRoles, attributes, removeAttributes []string
	var newPassword bool
	c := &cobra.Command{
		Use: "edit USERNAME", Short: "Change a user", Args: cobra.ExactArgs(1),
		Long: `Change a user. Giving or taking a role ends the user's access tokens and keeps
the logins; a new password ends every login.`,
		Example: `  gatehouse user edit ada --add-role editor --remove-role viewer
  gatehouse user edit ada --new-password`,
		RunE: func(c *cobra.Command, args []string) error {
			set, err := parseAttributes(attributes)
			if err != nil {
				return err
			}
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				u, err := o.directory.FindUser(ctx, args[0])
				if err != nil {
					return err
				}
				edited, err := o.directory.EditUser(ctx, o.actor, u.ID, func(u *iam.User) error {
					if c.Flags().Changed("email") {
						u.Email = email
					}
					if c.Flags().Changed("name") {
						u.Name = name
					}
					u.Roles = revise(u.Roles, addRoles, removeRoles)
					for attribute, value := range set {
						if u.Attributes == nil {
							u.Attributes = map[string]string{}
						}
						u.Attributes[attribute] = value
					}
					for _, attribute := range removeAttributes {
						delete(u.Attributes, attribute)
					}
					return p.apply(c, u)
				})
				if err != nil {
					return err
				}
				shown := withPassword{User: edited}
				if newPassword || file != "" {
					if shown.Password, err = a.changePassword(ctx, o, edited, file); err != nil {
						return err
					}
				}
				return a.showUser(shown)
			})
		},
	}
	p.flags(c)
	c.Flags().StringVar(&email, "email", "", "e-mail address")
	c.Flags().StringVar(&name, "name", "", "display name")
	c.Flags().StringArrayVar(&addRoles, "add-role", nil, "give a role (repeatable)")
	c.Flags().StringArrayVar(&removeRoles, "remove-role", nil, "take a role (repeatable)")
	c.Flags().StringArrayVar(&attributes, "attribute", nil, "set an attribute, as NAME=VALUE (repeatable)")
	c.Flags().StringArrayVar(&removeAttributes, "remove-attribute", nil, "remove an attribute (repeatable)")
	c.Flags().BoolVar(&newPassword, "new-password", false, "ask for a new password, or generate one")
	c.Flags().StringVar(&file, "password-file", "", "file with a new password, - for standard input")
	return c
}

// changePassword returns the new password if it was generated.
func (a *app) changePassword(ctx context.Context, o office, u iam.User, file string) (string, error) {
	password, generated, err := a.choosePassword(o.directory, u, file)
	if err != nil {
		return "", err
	}
	if err := o.directory.SetPassword(ctx, o.actor, u.ID, password); err != nil {
		return "", err
	}
	if !generated {
		return "", nil
	}
	return password, nil
}
