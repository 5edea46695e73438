package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// checkDatabase wants postgres://USER@HOST/DATABASE, without a password in it.
func checkDatabase(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || strings.Trim(u.Path, "/") == "" {
		return errors.New("is not of the form postgres://USER@HOST/DATABASE. Leave it out for SQLite in the data folder")
	}
	return nil
}

// holdsPassword tells whether the address of a database has a secret in it.
func holdsPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return strings.Contains(address, "@") || strings.Contains(address, "password")
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password") || u.Query().Has("sslpassword")
}

func (c Config) checkDatabase(fault func(name, format string, args ...any)) {
	switch {
	case c.Database == "" && (c.DatabasePassword.given() > 0 || c.DatabaseConnections != 0):
		fault("database", "is required with database_password and database_connections: postgres://USER@HOST/DATABASE")
	case c.Database == "":
		return
	case c.inFile && holdsPassword(c.Database):
		fault("database", "has a password in it. Write postgres://USER@HOST/DATABASE, and where the password comes from: database_password: { file: /etc/gatehouse/database.password }")
	default:
		if err := checkDatabase(c.Database); err != nil {
			fault("database", "%s", err)
		}
	}
	if c.DatabasePassword.given() > 0 {
		if err := c.DatabasePassword.check(""); err != nil {
			fault("database_password", "%s", err)
		}
	}
	if n := c.DatabaseConnections; n != 0 && (n < minConnections || n > maxConnections) {
		fault("database_connections", "%d is not between %d and %d", n, minConnections, maxConnections)
	}
}

const (
	minConnections = 4
	maxConnections = 1000
)

// Password reads the password of the database; "" when none is named.
func (c Config) Password(ctx context.Context) (string, error) {
	if c.DatabasePassword.given() == 0 {
		return "", nil
	}
	text, err := c.DatabasePassword.text(ctx)
	if err != nil {
		return "", fmt.Errorf("read the password of the database: %w. It is named by database_password", err)
	}
	return string(bytes.TrimRight(text, "\r\n")), nil
}
