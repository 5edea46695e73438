package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// switcher makes `NOUN disable` or `NOUN enable`.
func (a *app) switcher(noun string, to directory.Switch, long string, set func(context.Context, office, string, directory.Switch) error) *cobra.Command {
	verb, past := "disable", "disabled"
	if to == directory.Enabled {
		verb, past = "enable", "enabled"
	}
	return &cobra.Command{
		Use: verb + " NAME", Short: long, Long: long, Args: cobra.ExactArgs(1),
		Example: fmt.Sprintf("  gatehouse %s %s %s\n  gatehouse %s %s %s --json", noun, verb, sample(noun), noun, verb, sample(noun)),
		RunE: func(c *cobra.Command, args []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				if err := set(ctx, o, args[0], to); err != nil {
					return err
				}
				return a.done(past, args[0])
			})
		},
	}
}

// deleter makes `NOUN delete`.
func (a *app) deleter(noun, long string, remove func(context.Context, office, string) error) *cobra.Command {
	sure := false
	c := &cobra.Command{
		Use: "delete NAME", Short: long, Long: long, Args: cobra.ExactArgs(1),
		Example: fmt.Sprintf("  gatehouse %s delete %s\n  gatehouse %s delete %s --yes", noun, sample(noun), noun, sample(noun)),
		RunE: func(c *cobra.Command, args []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				if err := a.confirm(args[0], sure); err != nil {
					return err
				}
				if err := remove(ctx, o, args[0]); err != nil {
					return err
				}
				return a.done("deleted", args[0])
			})
		},
	}
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}

// sample is a name for examples.
func sample(noun string) string {
	return map[string]string{"api": "orders", "role": "editor", "user": "ada", "client": "shop", "service-account": "robot"}[noun]
}

// notThere names what was looked for, and where to look.
func notThere(err error, noun, name string) error {
	if errors.Is(err, iam.ErrNotFound) {
		return &directory.NotFound{Noun: noun, Name: name}
	}
	return err
}

// lister makes `NOUN list` for nouns that there are few of.
func lister[T any](a *app, noun string, read func(context.Context, office) ([]T, error), head []string, row func(T) []string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all", Args: cobra.NoArgs,
		Example: fmt.Sprintf("  gatehouse %s list\n  gatehouse %s list --json", noun, noun),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				all, err := read(ctx, o)
				if err != nil {
					return err
				}
				rows := [][]string{}
				for _, one := range all {
					rows = append(rows, row(one))
				}
				return a.table(all, head, rows)
			})
		},
	}
}

// shower makes `NOUN show`.
func shower[T any](a *app, noun string, read func(context.Context, office, string) (T, error), show func(T) error) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show one", Args: cobra.ExactArgs(1),
		Example: fmt.Sprintf("  gatehouse %s show %s\n  gatehouse %s show %s --json", noun, sample(noun), noun, sample(noun)),
		RunE: func(c *cobra.Command, args []string) error {
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				one, err := read(ctx, o, args[0])
				if err != nil {
					return err
				}
				return show(one)
			})
		},
	}
}

// maxPage bounds one page of a list.
const maxPage = 1000

// pageLimit is how many rows a page of a list may have.
type pageLimit int

func (l *pageLimit) String() string { return strconv.Itoa(int(*l)) }
func (l *pageLimit) Type() string   { return "int" }

// Set refuses what would be no page at all, or everything at once.
func (l *pageLimit) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return fmt.Errorf("it must be a number from 1 to %d", maxPage)
	}
	*l = pageLimit(n)
	return nil
}

// paging adds the flags of a list that is read by key.
func paging(c *cobra.Command, key string) (after *string, limit *pageLimit) {
	after, limit = new(string), new(pageLimit)
	*limit = 100
	c.Flags().StringVar(after, "after", "", "begin after this "+key)
	c.Flags().Var(limit, "limit", fmt.Sprintf("how many at most, up to %d", maxPage))
	return after, limit
}
