package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const (
	maxImportLine = 64 << 10
	// maxFaults is how many faults are shown; beyond it they are counted.
	maxFaults = 100
)

// newcomer is a line of an import. Its names are a promise to whoever writes
// such files.
type newcomer struct {
	Username     string            `json:"username"`
	Email        string            `json:"email"`
	Name         string            `json:"name"`
	Roles        []string          `json:"roles"`
	Attributes   map[string]string `json:"attributes"`
	PasswordHash string            `json:"password_hash"`
	Disabled     bool              `json:"disabled"`
}

var newcomerNames = []string{"username", "email", "name", "roles", "attributes", "password_hash", "disabled"}

func (a *app) userImport() *cobra.Command {
	check, skip := false, false
	c := &cobra.Command{
		Use: "import FILE", Short: "Take users over from another system", Args: cobra.ExactArgs(1),
		Long: `Take users over from another system. FILE, or - for standard input, has one JSON
object in each line:

  {"username":"ada","email":"ada@example.com","name":"Ada","roles":["editor"],
   "attributes":{"tenant":"t1"},"password_hash":"$2b$12$…","disabled":false}

(here in two lines). Only username is required. password_hash is a hash of
bcrypt, scrypt, PBKDF2 or Argon2 in the forms that docs/guides/logins.md lists;
it is replaced by one of Gatehouse's own at the next login. Without it the user
cannot log in until a password is set.

Every line is looked at before the first user is made. If anything is wrong,
all faults are listed and nothing is imported.`,
		Example: `  gatehouse user import users.ndjson --check
  gatehouse user import users.ndjson
  gatehouse user import users.ndjson --skip-existing   # go on after an interruption
  zcat users.ndjson.gz | gatehouse user import -`,
		RunE: func(c *cobra.Command, args []string) error {
			existing := directory.RefuseExisting
			if skip {
				existing = directory.SkipExisting
			}
			source, err := a.openImport(args[0])
			if err != nil {
				return err
			}
			defer source.Close()
			return a.enter(c.Context(), func(ctx context.Context, o office) error {
				i, err := o.directory.NewImport(ctx, o.actor, existing)
				if err != nil {
					return err
				}
				if err := a.addAll(ctx, i, args[0], source); err != nil {
					return err
				}
				return a.runImport(ctx, i, check)
			})
		},
	}
	c.Flags().BoolVar(&check, "check", false, "look at every line and import nothing")
	c.Flags().BoolVar(&skip, "skip-existing", false, "leave users who exist already as they are")
	return c
}

func (a *app) openImport(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(a.In), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the users: %w", err)
	}
	return f, nil
}

// addAll looks at every line. The faults go to standard error, each with its line.
func (a *app) addAll(ctx context.Context, i *directory.Import, path string, source io.Reader) error {
	lines := bufio.NewScanner(source)
	lines.Buffer(make([]byte, maxImportLine), maxImportLine)
	read, faults := 0, 0
	for lines.Scan() {
		read++
		text := bytes.TrimSpace(bytes.TrimPrefix(lines.Bytes(), []byte("\ufeff")))
		if len(text) == 0 {
			continue
		}
		err := addLine(ctx, i, read, text)
		var invalid *iam.Invalid
		if err != nil && !errors.As(err, &invalid) {
			return err
		}
		if err == nil {
			continue
		}
		if faults++; faults <= maxFaults {
			fmt.Fprintf(a.Err, "%s:%d: %s\n", path, read, err)
		}
	}
	if err := lines.Err(); err != nil {
		return usagef("%s:%d: %s. Nothing was imported", path, read+1, lineError(err))
	}
	if faults > maxFaults {
		fmt.Fprintf(a.Err, "and %d more\n", faults-maxFaults)
	}
	if faults > 0 {
		return usagef("%d of %d lines cannot be imported. Nothing was imported", faults, read)
	}
	if users, skipped := i.Ready(); users+skipped == 0 {
		return usagef("%s holds no user", path)
	}
	return nil
}

func lineError(err error) string {
	if errors.Is(err, bufio.ErrTooLong) {
		return "the line is longer than 64 KiB; each user is one line"
	}
	return err.Error()
}

func addLine(ctx context.Context, i *directory.Import, line int, text []byte) error {
	n, err := parseNewcomer(text)
	if err != nil {
		return err
	}
	u := iam.User{Username: n.Username, Email: n.Email, Name: n.Name, Roles: n.Roles, Attributes: n.Attributes, Disabled: n.Disabled}
	return i.Add(ctx, line, u, n.PasswordHash)
}

// parseNewcomer reads one line strictly: a name that is misspelt, or given
// twice, would silently make another user than was meant. Its errors show no
// value, because one of them is a hash.
func parseNewcomer(text []byte) (newcomer, error) {
	if !utf8.Valid(text) {
		return newcomer{}, iam.Invalidf("The line is not UTF-8.")
	}
	if err := checkNames(text); err != nil {
		return newcomer{}, err
	}
	var n newcomer
	err := json.Unmarshal(text, &n)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return newcomer{}, iam.Invalidf("The value of %q has the wrong type. See: gatehouse user import --help", wrong.Field)
	case err != nil:
		return newcomer{}, errNotJSON
	case n.Username == "":
		return newcomer{}, iam.Invalidf("The line has no username.")
	}
	return n, nil
}

var errNotJSON = iam.Invalidf("The line is not one JSON object. See: gatehouse user import --help")

func checkNames(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return errNotJSON
	}
	seen := map[string]bool{}
	for decoder.More() {
		t, err := decoder.Token()
		name, isName := t.(string)
		if err != nil || !isName {
			return errNotJSON
		}
		if !slices.Contains(newcomerNames, name) {
			return iam.Invalidf("There is no field %q. There are: username, email, name, roles, attributes, password_hash, disabled.", iam.Printable(name, 32))
		}
		if seen[name] {
			return iam.Invalidf("The field %q is given twice.", name)
		}
		seen[name] = true
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return errNotJSON
		}
	}
	return nil
}

// imported is what an import did, or would do.
type imported struct {
	Imported int  `json:"imported"`
	Skipped  int  `json:"skipped"`
	Check    bool `json:"check"`
}

func (a *app) runImport(ctx context.Context, i *directory.Import, check bool) error {
	users, skipped := i.Ready()
	if check {
		return a.showImport(imported{users, skipped, true}, "%d users can be imported")
	}
	done, err := i.Run(ctx)
	if err != nil {
		return fmt.Errorf("%w. %d of %d users were imported; import the same file again with --skip-existing for the others", err, done, users)
	}
	return a.showImport(imported{done, skipped, false}, "%d users imported")
}

func (a *app) showImport(r imported, format string) error {
	if a.json {
		return a.printJSON(r)
	}
	text := fmt.Sprintf(format, r.Imported)
	if r.Skipped > 0 {
		text += fmt.Sprintf(", %d exist already and are left as they are", r.Skipped)
	}
	_, err := fmt.Fprintln(a.Out, text)
	return err
}
