package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// office is an open store and the service that changes it. The server
// that may run on the same records sees every change within a second (C28).
type office struct {
	db        *store.DB
	directory *directory.Service
	actor     string
}

// admin adds the flags that every administration command has.
func (a *app) admin(c *cobra.Command) *cobra.Command {
	c.PersistentFlags().StringVar(&a.config, "config", "", "configuration file (or GATEHOUSE_CONFIG)")
	c.PersistentFlags().StringVar(&a.data, "data", "", "data folder, instead of a configuration file")
	c.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON")
	c.SuggestionsMinimumDistance = 2
	c.RunE = verbless
	return c
}

// verbless is a noun without a verb: help, or a suggestion for a typing error.
func verbless(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	meant := ""
	if suggestions := c.SuggestionsFor(args[0]); len(suggestions) > 0 {
		meant = ". Did you mean: " + c.CommandPath() + " " + suggestions[0]
	}
	return usagef("there is no command %q%s", c.CommandPath()+" "+iam.Printable(args[0], 32), meant)
}

// folder is the data folder that the flags name.
func (a *app) folder() (string, error) {
	if a.data != "" && a.config != "" {
		return "", usagef("--data and --config both name a data folder. Use one of them")
	}
	if a.data != "" {
		return filepath.Abs(a.data)
	}
	if a.config == "" && os.Getenv("GATEHOUSE_CONFIG") == "" {
		return "", usagef("no data folder: name it with --data, or a configuration file with --config or GATEHOUSE_CONFIG")
	}
	settings, err := a.settings()
	return settings.Data, err
}

// records says where the records are that the flags name.
func (a *app) records(ctx context.Context) (store.Config, error) {
	dir, err := a.folder()
	if err != nil || a.data != "" {
		return store.Config{Dir: dir}, err
	}
	settings, err := a.settings()
	if err != nil {
		return store.Config{}, err
	}
	return recordsOf(ctx, settings)
}

// recordsOf is where the records of a configuration are.
func recordsOf(ctx context.Context, settings config.Config) (store.Config, error) {
	password, err := settings.Password(ctx)
	return store.Config{Dir: settings.Data, Database: settings.Database, DatabasePassword: password, Connections: settings.DatabaseConnections}, err
}

// place is records for a command that needs some to be there.
func (a *app) place(ctx context.Context) (store.Config, error) {
	place, err := a.records(ctx)
	if err == nil && place.Database == "" && !store.Exists(place.Dir) {
		err = usagef("there is no Gatehouse data in %s. Start `gatehouse dev --data DIR` or `gatehouse serve` on it first", place.Dir)
	}
	return place, err
}

// adminConnections are enough for one command.
const adminConnections = 4

// enter opens the records for one command.
func (a *app) enter(ctx context.Context, work func(context.Context, office) error) error {
	place, err := a.place(ctx)
	if err != nil {
		return err
	}
	place.Connections = adminConnections
	db, err := store.Open(ctx, place)
	if err != nil {
		return err
	}
	passwords := login.NewPasswordsWith(login.PasswordConfig{Blocklist: sync.OnceValues(a.blocklist)})
	service, err := directory.New(directory.Config{APIs: db, Roles: db, Users: db, Clients: db, Logins: db, Passwords: passwords, Now: db.Now})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(work(ctx, office{db: db, directory: service, actor: actor()}), db.Close())
}

// blocklist is the one of the configuration file, if one is named. It is read
// only when a password is chosen: a large one takes seconds.
func (a *app) blocklist() (*login.Blocklist, error) {
	if a.data != "" {
		return nil, nil
	}
	settings, err := a.settings()
	if err != nil {
		return nil, err
	}
	return openBlocklist(settings)
}

// actor names who ran the command, for the journal.
func actor() string {
	if u, err := user.Current(); err == nil {
		return "cli:" + u.Username
	}
	return fmt.Sprintf("cli:uid %d", os.Geteuid())
}

// field is a line of a sheet, or a column of a table.
type field struct{ name, value string }

// sheet prints one thing: its fields, or v as JSON.
func (a *app) sheet(v any, fields ...field) error {
	if a.json {
		return a.printJSON(v)
	}
	w := tabwriter.NewWriter(a.Out, 0, 4, 2, ' ', 0)
	for _, f := range fields {
		if f.value != "" {
			fmt.Fprintf(w, "%s\t%s\n", f.name, f.value)
		}
	}
	return w.Flush()
}

// table prints a list: a line for each row, or v as JSON.
func (a *app) table(v any, head []string, rows [][]string) error {
	if a.json {
		return a.printJSON(v)
	}
	w := tabwriter.NewWriter(a.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.Out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// done prints what was done: a sentence, or a small JSON object.
func (a *app) done(what, name string) error {
	if a.json {
		return a.printJSON(map[string]string{what: name})
	}
	_, err := fmt.Fprintf(a.Out, "%s %s\n", name, what)
	return err
}

// terminal tells whether a person sits at the input.
func (a *app) terminal() (fd int, ok bool) {
	f, isFile := a.In.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// confirm asks for the name of what will be deleted; elsewhere than on a
// terminal, --yes stands for the answer.
func (a *app) confirm(name string, yes bool) error {
	if yes {
		return nil
	}
	if _, ok := a.terminal(); !ok {
		return usagef("deleting cannot be undone. Confirm it with --yes")
	}
	fmt.Fprintf(a.Err, "This cannot be undone. Type %s to delete it: ", name)
	line, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != name {
		return errors.New("not deleted")
	}
	return nil
}

func state(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// revise returns the list with some names added and some removed, each once.
func revise(list, add, remove []string) []string {
	var next []string
	for _, one := range append(append([]string{}, list...), add...) {
		drop := false
		for _, r := range remove {
			drop = drop || r == one
		}
		for _, n := range next {
			drop = drop || n == one
		}
		if !drop {
			next = append(next, one)
		}
	}
	return next
}
