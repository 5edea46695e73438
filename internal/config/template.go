package config

import (
	"bytes"
	"fmt"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"
)

// Draft is what `gatehouse init` knows about a new installation.
type Draft struct {
	Issuer string
	Listen string
	Data   string // the data folder, without Database
	// Database is the address of PostgreSQL, and DatabasePassword the file of the
	// password for it.
	Database, DatabasePassword string
	KeyFile                    string
	Cert                       string   // with Key: certificates from files
	Key                        string   //
	ACME                       bool     // certificates from Let's Encrypt
	Email                      string   // of the ACME account
	Proxy                      []string // addresses of the proxy that terminates TLS
}

// Write renders a draft as a configuration file with a comment for each
// setting, and checks it like any other.
func (d Draft) Write(path string) ([]byte, error) {
	for _, value := range append([]string{d.Issuer, d.Listen, d.Data, d.Database, d.DatabasePassword, d.KeyFile, d.Cert, d.Key, d.Email}, d.Proxy...) {
		if strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
			return nil, fmt.Errorf("%q has characters that cannot stand in a configuration file", value)
		}
	}
	var b bytes.Buffer
	if err := draft.Execute(&b, d); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	_, err := Parse(path, b.Bytes(), func(string) string { return "" })
	return b.Bytes(), err
}

var draft = template.Must(template.New("gatehouse.yaml").Funcs(template.FuncMap{"quote": quote, "join": func(all []string) string {
	quoted := make([]string, len(all))
	for i, one := range all {
		quoted[i] = quote(one)
	}
	return strings.Join(quoted, ", ")
}}).Parse(`# Configuration of Gatehouse. Paths are relative to this file.
# Check it by starting: gatehouse serve --config THIS-FILE

# The URL that clients reach this server by. Every token names it, so it can
# never change.
issuer: {{quote .Issuer}}

# The address this server answers on.
listen: {{quote .Listen}}

{{if .Database -}}
# The PostgreSQL database. Any number of servers may share it. The password
# does not stand here; instead of file: env: NAME, credential: NAME (systemd), or
# command: [...]
database: {{quote .Database}}
{{- if .DatabasePassword}}
database_password: { file: {{quote .DatabasePassword}} }
{{- end}}
# database_connections: 24 # at most, of each server
{{else -}}
# The folder for the database. Back it up together with this file.
data: {{quote .Data}}

# Or a PostgreSQL database, for more than one server: "gatehouse store copy" moves
# this one there.
# database: postgres://gatehouse@db.example.com/gatehouse
# database_password: { file: ./database.password }
{{end}}
# What seals the keys in the database: 32 random bytes in base64. Keep it outside
# the data folder, and a copy of it elsewhere: without it the database opens
# nothing. Instead of file: env: NAME, credential: NAME (systemd), or
# command: [vault, kv, get, -field=kek, secret/gatehouse]
key_encryption_key: { file: {{quote .KeyFile}} }
{{if .Cert}}
# The certificate and its key, PEM. Renewed files are taken up by themselves.
tls: { cert: {{quote .Cert}}, key: {{quote .Key}} }
{{else if .ACME}}
# Certificates from Let's Encrypt, renewed by themselves and kept sealed in the
# database. Port 443 of the issuer's host must reach this server.
tls:
  acme:
    accept_terms: true # of the certificate authority
{{- if .Email}}
    email: {{quote .Email}} # told about problems with the account
{{- end}}
    # directory: https://acme.example.com/directory # another authority
{{else if .Proxy}}
# The addresses of the proxy that terminates TLS. Nobody else may connect, and
# what the proxy says in X-Forwarded-For is believed. It must pass the Host
# header on.
proxy: { addresses: [{{join .Proxy}}] }
{{else}}
# Without TLS this server answers on loopback only. For other machines choose one:
# tls: { acme: { accept_terms: true } }          # certificates from Let's Encrypt
# tls: { cert: ./cert.pem, key: ./key.pem }      # certificates from files
# proxy: { addresses: [10.0.0.5] }               # a proxy terminates TLS
{{end}}
# How long a key signs before the next one takes over.
# keys: { rotate_every: 30d }

# Connections that may be open at once.
# limits: { connections: 4096, connections_per_address: 256 }

# Figures for Prometheus, on an address of their own: GET /metrics.
# metrics: { listen: localhost:9464 }

# A file with passwords that nobody may choose, one in each line, beside those
# that are built in. Restart after it has changed.
# passwords: { blocklist: ./blocked-passwords.txt }

# How the pages look: name, logo file, colour, a folder of own templates.
# "gatehouse theme --help" says how to make and check one.
# branding:
#   product: Example
#   logo: ./logo.svg
#   accent: "#1c5fd4"
#   templates: ./theme
`))

// quote leaves paths and addresses alone and puts others in single quotes, which
// YAML reads literally: a folder may be called null.
func quote(s string) string {
	plain := strings.ContainsAny(s, "/.:") && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-:", r)
	}) && !strings.HasPrefix(s, ":") && !strings.HasPrefix(s, "-") && !strings.HasSuffix(s, ":")
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
