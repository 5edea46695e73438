package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
)

// rules says why a user cannot have a password.
type rules interface {
	CheckPassword(u iam.User, password string) error
}

// maxPasswordBytes bounds what is read as a password.
const maxPasswordBytes = 4096

// choosePassword reads a password from a file, asks for it on a terminal, or
// generates one. generated tells that it must be shown once.
func (a *app) choosePassword(r rules, u iam.User, file string) (password string, generated bool, err error) {
	if file != "" {
		password, err = a.readPassword(file)
		if err == nil {
			err = r.CheckPassword(u, password)
		}
		return password, false, err
	}
	if fd, ok := a.terminal(); ok {
		return a.askPassword(fd, r, u)
	}
	return login.GeneratePassphrase(), true, nil
}

func (a *app) readPassword(file string) (string, error) {
	source := a.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		defer f.Close()
		source = f
	}
	content, err := io.ReadAll(io.LimitReader(source, maxPasswordBytes))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	// The line break at the end is the editor's, not the user's.
	password := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if password == "" {
		return "", usagef("the password is empty")
	}
	return password, nil
}

// asks is how often a person may try before the command gives up.
const asks = 5

// askPassword asks twice without echo, and again after a refusal that says how
// to satisfy the rule.
func (a *app) askPassword(fd int, r rules, u iam.User) (string, bool, error) {
	for range asks {
		fmt.Fprintf(a.Err, "Password for %s (Enter for a generated passphrase): ", u.Username)
		first, err := term.ReadPassword(fd)
		fmt.Fprintln(a.Err)
		if err != nil {
			return "", false, fmt.Errorf("read the password: %w", err)
		}
		if len(first) == 0 {
			return login.GeneratePassphrase(), true, nil
		}
		if err := r.CheckPassword(u, string(first)); err != nil {
			fmt.Fprintln(a.Err, err)
			continue
		}
		fmt.Fprint(a.Err, "The same again: ")
		second, err := term.ReadPassword(fd)
		fmt.Fprintln(a.Err)
		if err != nil {
			return "", false, fmt.Errorf("read the password: %w", err)
		}
		if string(first) == string(second) {
			return string(first), false, nil
		}
		fmt.Fprintln(a.Err, "The two differ. Once more.")
	}
	return "", false, errors.New("no password was chosen; nothing was changed")
}
