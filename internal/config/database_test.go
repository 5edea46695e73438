package config_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/config"
)

func parseDatabase(lines, environment string) (config.Config, error) {
	text := "issuer: https://auth.example.com\nkey_encryption_key: { env: KEK }\n" + lines
	return config.Parse("/etc/gatehouse/gatehouse.yaml", []byte(text), func(name string) string {
		if name == "GATEHOUSE_DATABASE" {
			return environment
		}
		return ""
	})
}

func TestDatabase(t *testing.T) {
	for _, tc := range []struct{ name, lines, environment, want string }{
		{"an address", "database: postgres://gatehouse@db.example.com/gatehouse", "", ""},
		{"several hosts", "database: postgres://g@a.example.com,b.example.com/g?target_session_attrs=read-write", "", ""},
		{"a socket", "database: postgres:///gatehouse?host=/run/postgresql", "", ""},
		{"a password in the file", "database: postgres://gatehouse:s3cret@db.example.com/gatehouse", "", "database_password: { file:"},
		{"a password in the query", "database: postgres://db.example.com/gatehouse?password=s3cret", "", "database_password: { file:"},
		{"a password in the environment", "", "postgres://gatehouse:s3cret@db.example.com/gatehouse", ""},
		{"another database", "database: mysql://db.example.com/gatehouse", "", "postgres://USER@HOST/DATABASE"},
		{"no database", "database: postgres://gatehouse@db.example.com", "", "postgres://USER@HOST/DATABASE"},
		{"nothing", "", "", "data: is required"},
		{"a password for nothing", "data: ./data\ndatabase_password: { env: X }", "", "database: is required"},
		{"two passwords", "database: postgres://g@db.example.com/g\ndatabase_password: { env: X, file: y }", "", "exactly one"},
		{"too few connections", "database: postgres://g@db.example.com/g\ndatabase_connections: 3", "", "between 4 and 1000"},
	} {
		_, err := parseDatabase("listen: localhost:1\n"+tc.lines, tc.environment)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the password is shown: %v", tc.name, err)
		}
	}
}

func TestDatabasePassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Config{DatabasePassword: config.KeySource{File: file}}
	if password, err := c.Password(context.Background()); err != nil || password != "s3cret" {
		t.Errorf("got %q %v", password, err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Password(context.Background()); err == nil || !strings.Contains(err.Error(), "chmod 600") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a file that others can read: %v", err)
	}
}
