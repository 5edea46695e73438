package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func (a *app) sessionCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:   "session",
		Short: "Sessions: who is signed in, and where",
		Long: `A session is a login of a person in one browser or app. While it lasts, the
person is not asked for the password again.`,
		Example: `  gatehouse session list --user ada
  gatehouse session revoke --user ada`,
	})
	c.AddCommand(a.sessionList(), a.sessionRevoke())
	return c
}

func (a *app) grantCommand() *cobra.Command {
	c := a.admin(&cobra.Command{
		Use:   "grant",
		Short: "Grants: which app may act for whom",
		Long: `A grant lets a client act for a user until it ends: its refresh token brings new
access tokens. A grant either belongs to a session and ends with it, or outlives
it (offline_access).`,
		Example: `  gatehouse grant list --user ada
  gatehouse grant revoke --user ada --client shop`,
	})
	c.AddCommand(a.grantList(), a.grantRevoke())
	return c
}

// loginFlags are the flags that name sessions or grants.
func loginFlags(c *cobra.Command, l *directory.Logins, user, client string) {
	c.Flags().StringVar(&l.User, "user", "", user)
	c.Flags().StringVar(&l.Client, "client", "", client)
}

// pagePatience is how long a command looks for the rows of one page among those
// that are over.
const pagePatience = time.Second

// fullPage reads on until the page is full, or the end, or its patience is.
func fullPage[T any](after string, limit int, read func(after string, limit int) ([]T, string, error)) (page []T, next string, err error) {
	page, next = []T{}, after
	for began := time.Now(); time.Since(began) < pagePatience; {
		var more []T
		if more, next, err = read(next, limit-len(page)); err != nil {
			return nil, "", err
		}
		if page = append(page, more...); next == "" || len(page) == limit {
			break
		}
	}
	return page, next, nil
}

// goOn says where a list goes on.
func (a *app) goOn(next string) {
	if next != "" {
		fmt.Fprintf(a.Err, "There may be more: --after %s\n", next)
	}
}

func (a *app) sessionList() *cobra.Command {
	var l directory.Logins
	c := &cobra.Command{
		Use: "list", Short: "List live sessions by id, a page at a time", Args: cobra.NoArgs,
		Example: `  gatehouse session list --user ada
  gatehouse session list --client shop --limit 1000 --json
  gatehouse session list --after ses_0Xo…`,
	}
	loginFlags(c, &l, "of this user only: name or id", "only those in which this client was reached")
	after, limit := paging(c, "id")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.enter(c.Context(), func(ctx context.Context, o office) error {
			sessions, next, err := fullPage(*after, int(*limit), func(after string, limit int) ([]iam.ListedSession, string, error) {
				return o.directory.ListSessions(ctx, l, after, limit)
			})
			if err != nil {
				return err
			}
			rows := [][]string{}
			for _, s := range sessions {
				rows = append(rows, []string{string(s.ID), who(s.Username, string(s.UserID)), when(s.AuthTime), when(s.SeenAt), when(s.Expires), s.ACR, iam.Printable(s.Agent, 40)})
			}
			a.goOn(next)
			return a.table(sessions, []string{"ID", "USER", "LOGIN", "SEEN", "ENDS", "ACR", "BROWSER"}, rows)
		})
	}
	return c
}

func (a *app) grantList() *cobra.Command {
	var l directory.Logins
	c := &cobra.Command{
		Use: "list", Short: "List live grants by id, a page at a time", Args: cobra.NoArgs,
		Example: `  gatehouse grant list --user ada
  gatehouse grant list --client shop --limit 1000 --json
  gatehouse grant list --user ada --client shop`,
	}
	loginFlags(c, &l, "of this user only: name or id", "of this client only")
	after, limit := paging(c, "id")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.enter(c.Context(), func(ctx context.Context, o office) error {
			grants, next, err := fullPage(*after, int(*limit), func(after string, limit int) ([]iam.ListedGrant, string, error) {
				return o.directory.ListGrants(ctx, l, after, limit)
			})
			if err != nil {
				return err
			}
			rows := [][]string{}
			for _, g := range grants {
				rows = append(rows, []string{string(g.ID), who(g.Username, string(g.UserID)), string(g.ClientID), dash(string(g.SessionID)), strings.Join(g.Scopes, " "), when(g.CreatedAt), when(g.RotatedAt), when(g.Expires)})
			}
			a.goOn(next)
			return a.table(grants, []string{"ID", "USER", "CLIENT", "SESSION", "SCOPES", "MADE", "REFRESHED", "ENDS"}, rows)
		})
	}
	return c
}

// who is a name for people: of a user, or of nobody.
func who(username, id string) string {
	if username != "" {
		return username
	}
	return dash(id)
}

// onlyOne tells whether a command names one thing by id, and refuses one that
// names both an id and a selection, or neither.
func onlyOne(args []string, l directory.Logins, need string) (bool, error) {
	selected := l.User != "" || l.Client != ""
	switch {
	case len(args) == 1 && selected:
		return false, usagef("either an id or a selection by flags, not both")
	case len(args) == 0 && !selected:
		return false, usagef("%s", need)
	}
	return len(args) == 1, nil
}

func (a *app) sessionRevoke() *cobra.Command {
	var l directory.Logins
	c := &cobra.Command{
		Use: "revoke [ID]", Short: "End one session, or all of a user", Args: cobra.MaximumNArgs(1),
		Long: `End one session, all of a user, or those of a user in which a client was
reached. The grants that belong to a session end with it; apps that want to know
are told (back-channel logout). Verifiers refuse its access tokens within a
second. With --user all access tokens of the user end; apps with a grant that
outlives the session fetch new ones. Those end with: gatehouse grant revoke`,
		Example: `  gatehouse session revoke ses_0XoPq…
  gatehouse session revoke --user ada
  gatehouse session revoke --user ada --client shop --json`,
	}
	loginFlags(c, &l, "all sessions of this user: name or id", "with --user: only those in which this client was reached")
	c.RunE = func(c *cobra.Command, args []string) error {
		one, err := onlyOne(args, l, "which sessions? Name the ID of one, or --user. See: gatehouse session list")
		if err != nil {
			return err
		}
		if !one && l.User == "" {
			return usagef("--client alone would end the sessions of many people, which other apps use too. Name --user too; or end what the client may do: gatehouse grant revoke --client %s", iam.Printable(l.Client, 64))
		}
		return a.enter(c.Context(), func(ctx context.Context, o office) error {
			if one {
				ended, err := o.directory.RevokeSession(ctx, o.actor, iam.SessionID(args[0]))
				if err != nil {
					return err
				}
				return a.ended("session", args[0], ended)
			}
			n, err := o.directory.RevokeSessions(ctx, o.actor, l)
			if err != nil {
				return err
			}
			return a.endedMany("session", l, n)
		})
	}
	return c
}

func (a *app) grantRevoke() *cobra.Command {
	var l directory.Logins
	c := &cobra.Command{
		Use: "revoke [ID]", Short: "End one grant, or all of a user or a client", Args: cobra.MaximumNArgs(1),
		Long: `End one grant, all of a user, all of a client, or all that a user gave a client.
Its refresh token is worth nothing from now on, and verifiers refuse its access
tokens within a second. All of a client end at once, however many there are. The
session stays: an app may get a new grant from a browser that is still signed in.
To prevent that: gatehouse session revoke, or gatehouse client disable`,
		Example: `  gatehouse grant revoke gr_0XoPq…
  gatehouse grant revoke --user ada
  gatehouse grant revoke --user ada --client shop
  gatehouse grant revoke --client shop --json`,
	}
	loginFlags(c, &l, "all grants of this user: name or id", "all grants of this client")
	c.RunE = func(c *cobra.Command, args []string) error {
		one, err := onlyOne(args, l, "which grants? Name the ID of one, --user, --client, or both. See: gatehouse grant list")
		if err != nil {
			return err
		}
		return a.enter(c.Context(), func(ctx context.Context, o office) error {
			if one {
				ended, err := o.directory.RevokeGrant(ctx, o.actor, iam.GrantID(args[0]))
				if err != nil {
					return err
				}
				return a.ended("grant", args[0], ended)
			}
			n, err := o.directory.RevokeGrants(ctx, o.actor, l)
			if err != nil {
				return err
			}
			return a.endedMany("grant", l, n)
		})
	}
	return c
}

// ended says what became of one. Ending what is over is no mistake.
func (a *app) ended(noun, id string, now bool) error {
	if a.json {
		return a.printJSON(map[string]any{noun: id, "ended": now})
	}
	text := noun + " " + iam.Printable(id, 64) + " ended"
	if !now {
		text = noun + " " + iam.Printable(id, 64) + " was over already"
	}
	_, err := fmt.Fprintln(a.Out, text)
	return err
}

// endedMany says how many ended; -1: all that there were.
func (a *app) endedMany(noun string, l directory.Logins, n int64) error {
	if a.json {
		out := map[string]any{"noun": noun, "user": l.User, "client": l.Client, "ended": n}
		if n < 0 {
			out["ended"] = "all"
		}
		return a.printJSON(out)
	}
	of := []string{}
	if l.User != "" {
		of = append(of, "of "+iam.Printable(l.User, 64))
	}
	if l.Client != "" {
		of = append(of, "at "+iam.Printable(l.Client, 64))
	}
	count := "all " + noun + "s"
	switch {
	case n == 1:
		count = "1 " + noun
	case n >= 0:
		count = fmt.Sprintf("%d %ss", n, noun)
	}
	_, err := fmt.Fprintf(a.Out, "%s %s ended\n", count, strings.Join(of, " "))
	return err
}
