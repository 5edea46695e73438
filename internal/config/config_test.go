package config_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/config"
)

const good = "issuer: https://auth.example.com\nlisten: localhost:8080\ndata: /var/lib/gatehouse\nkey_encryption_key: { env: KEK }\n"

func none(string) string { return "" }

func TestFaultsAreReportedAtOnceWithTheirLines(t *testing.T) {
	if _, err := config.Parse("g.yaml", []byte(good), none); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, text, want string }{
		{"issuer missing", strings.Replace(good, "issuer: https://auth.example.com", "", 1), "issuer: is required"},
		{"issuer with a path", strings.Replace(good, "example.com", "example.com/a", 1), "g.yaml:1: issuer:"},
		{"issuer with a slash", strings.Replace(good, "example.com", "example.com/", 1), "g.yaml:1: issuer:"},
		{"issuer with a query", strings.Replace(good, "example.com", "example.com?x", 1), "g.yaml:1: issuer:"},
		{"issuer with a fragment", strings.Replace(good, "example.com", "'#'", 1), "g.yaml:1: issuer:"},
		{"issuer with a user", strings.Replace(good, "auth.", "u@auth.", 1), "g.yaml:1: issuer:"},
		{"issuer in other letters", strings.Replace(good, "auth.", "ａuth.", 1), "g.yaml:1: issuer:"},
		{"issuer with an empty port", strings.Replace(good, "auth.example.com", "'auth.example.com:'", 1), "issuer:"},
		{"issuer with no port", strings.Replace(good, "auth.example.com", "auth.example.com:0", 1), "g.yaml:1: issuer:"},
		{"issuer with a large scheme", strings.Replace(good, "https", "HTTPS", 1), "g.yaml:1: issuer:"},
		{"issuer of plain http", strings.Replace(good, "https", "http", 1), "must be https"},
		{"listen abroad without TLS", strings.Replace(good, "localhost:8080", "':8080'", 1), "g.yaml:2: listen:"},
		{"listen without port", strings.Replace(good, "localhost:8080", "localhost", 1), "g.yaml:2: listen:"},
		{"listen on no port", strings.Replace(good, "localhost:8080", "localhost:http", 1), "g.yaml:2: listen:"},
		{"listen on a port too large", strings.Replace(good, "localhost:8080", "localhost:65536", 1), "g.yaml:2: listen:"},
		{"half of TLS", good + "tls: { cert: x }\n", "cert and key come together"},
		{"no data", strings.Replace(good, "data: /var/lib/gatehouse", "", 1), "data: is required"},
		{"no key", strings.Replace(good, "{ env: KEK }", "{}", 1), "g.yaml:4: key_encryption_key: name exactly one"},
		{"two keys", strings.Replace(good, "env: KEK", "env: KEK, file: /x", 1), "exactly one"},
		{"key in the data folder", strings.Replace(good, "env: KEK", "file: /var/lib/gatehouse/kek", 1), "inside the data folder"},
		{"an old key in the data folder", good + "old_key_encryption_keys: [{ file: /var/lib/gatehouse/kek }]\n", "g.yaml:5: old_key_encryption_keys: the key-encryption key /var/lib/gatehouse/kek lies inside"},
		{"files and ACME", good + "tls: { cert: x, key: y, acme: { accept_terms: true } }\n", "g.yaml:5: tls: certificates come from files or from acme"},
		{"ACME without terms", good + "tls:\n  acme: { email: a@example.com }\n", "g.yaml:6: tls.acme: accept_terms: true is required"},
		{"ACME over http", good + "tls:\n  acme:\n    accept_terms: true\n    directory: http://acme.example.com\n", "g.yaml:8: tls.acme.directory:"},
		{"ACME for an address", strings.Replace(good, "auth.example.com", "192.0.2.1", 1) + "tls: { acme: { accept_terms: true } }\n", "a domain name"},
		{"http and TLS", strings.Replace(good, "https://auth.example.com", "http://localhost:8080", 1) + "tls: { cert: x, key: y }\n", "is http, but tls serves https"},
		{"a proxy and TLS", good + "proxy: { addresses: [10.0.0.5] }\ntls: { cert: x, key: y }\n", "g.yaml:5: proxy: the proxy terminates TLS"},
		{"a proxy for http", strings.Replace(good, "https://auth.example.com", "http://localhost:8080", 1) + "proxy: { addresses: [10.0.0.5] }\n", "it must be https"},
		{"listen with a line break", strings.Replace(good, "localhost:8080", "\"a\\e2J:80\"", 1), "listen: a?2J:80 can be reached"},
		{"a proxy by name", good + "proxy: { addresses: [proxy.example.com] }\n", "not an IP address or prefix"},
		{"rotation too often", good + "keys: { rotate_every: 1h }\n", "g.yaml:5: keys.rotate_every: 1h0m0s is not between"},
		{"a line break in a value", "\"x\\n\\e[2J\"", "cannot unmarshal !!str `x??[2J`"},
		{"rotation never", good + "keys: { rotate_every: 3650d }\n", "keys.rotate_every"},
		{"rotation that is no time", good + "keys: { rotate_every: monthly }\n", "g.yaml:5: \"monthly\" is not a time span"},
		{"a limit below zero", good + "limits: { connections: -1 }\n", "g.yaml:5: limits:"},
		{"unknown word", good + "isuer: x\n", "g.yaml:5: there is no setting isuer"},
		{"unknown word among others", "isuer: x\ndata: /x\n", "g.yaml: issuer: is required"},
		{"a list for a word", good + "limits: { connections: [1] }\n", "g.yaml:5: cannot unmarshal"},
		{"a word twice", good + "data: /x\n", "already defined"},
		{"a second document", good + "---\nlimits: { connections: 1 }\n", "g.yaml:5: a second document"},
		{"not YAML", "{", "g.yaml"},
		{"an accent without quotes", good + "branding: { product: x, accent: blue }\n", "g.yaml:5: branding.accent: \"blue\" is not a colour"},
		{"an accent of three digits", good + "branding:\n  accent: '#fff'\n", "g.yaml:6: branding.accent"},
		{"a logo that is gone", good + "branding: { logo: gone.svg }\n", "g.yaml:5: branding.logo: gone.svg is not a file"},
		{"templates that are gone", good + "branding: { templates: gone }\n", "g.yaml:5: branding.templates: gone is not a folder"},
		{"a long product", good + "branding: { product: " + strings.Repeat("x", 61) + " }\n", "branding.product: has 61 characters"},
		{"an unknown word of branding", good + "branding: { color: x }\n", "there is no setting color"},
		{"a canary that is neither", good + "canary: maybe\n", "g.yaml:5: canary: \"maybe\" is neither on nor off"},
		{"metrics without a port", good + "metrics: { listen: localhost }\n", "metrics.listen: \"localhost\" is not of the form"},
		{"metrics where everybody is", good + "metrics: { listen: localhost:8080 }\n", "the address of the server itself"},
		{"outgoing port 0", good + "outgoing: { ports: [0] }\n", "g.yaml:5: outgoing: port 0"},
		{"outgoing port too large", good + "outgoing: { ports: [65536] }\n", "port 65536"},
		{"outgoing to a name", good + "outgoing: { networks: [intranet] }\n", "not a network"},
		{"outgoing with bits left", good + "outgoing: { networks: [10.1.2.3/8] }\n", "probably 10.0.0.0/8"},
		{"outgoing to everywhere", good + "outgoing: { networks: [0.0.0.0/0] }\n", "every address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := config.Parse("g.yaml", []byte(tc.text), none); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	_, err := config.Parse("g.yaml", []byte("listen: x\n"), none)
	for _, all := range []string{"issuer", "data", "listen", "key_encryption_key"} {
		if err == nil || !strings.Contains(err.Error(), all) {
			t.Errorf("%s is not among the faults: %v", all, err)
		}
	}
}

func TestAProxyMayBeReachedByOtherMachines(t *testing.T) {
	c, err := config.Parse("g.yaml", []byte(strings.Replace(good, "localhost:8080", "':8080'", 1)+"proxy: { addresses: [10.0.0.5, 10.1.2.3/16, '2001:db8::/32'] }\nkeys: { rotate_every: 90d }\n"), none)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Proxy.Addresses); got != "[10.0.0.5/32 10.1.0.0/16 2001:db8::/32]" {
		t.Errorf("addresses %s", got)
	}
	if time.Duration(c.Keys.RotateEvery) != 90*24*time.Hour {
		t.Errorf("rotate every %s", time.Duration(c.Keys.RotateEvery))
	}
}

func TestADraftSaysWhatItWasTold(t *testing.T) {
	for name, bad := range map[string]string{"a line break": "a\nlisten: ':80'", "a carriage return": "a\rb", "a separator": "a\u2028b", "no UTF-8": "a\xffb", "a NUL": "a\x00"} {
		if text, err := (config.Draft{Issuer: "https://auth.example.com", Listen: "localhost:1", Data: bad, KeyFile: "/k"}).Write("/etc/g.yaml"); err == nil || !strings.Contains(err.Error(), "cannot stand in a configuration file") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	for _, word := range []string{"null", "true", "~", "1", "1.5", "0x10", "it's", "a: b", "x # y", "ä ö", "2026-01-01", "yes", "=", "<<"} {
		text, err := config.Draft{Issuer: "https://auth.example.com", Listen: "localhost:1", Data: word, KeyFile: "/k"}.Write("/etc/g.yaml")
		if err != nil {
			t.Errorf("%q: %v", word, err)
			continue
		}
		if c, err := config.Parse("/etc/g.yaml", text, none); err != nil || c.Data != filepath.Join("/etc", word) {
			t.Errorf("%q: the file says %q, %v", word, c.Data, err)
		}
	}
}

func TestTheEnvironmentWins(t *testing.T) {
	c, err := config.Parse("/etc/g.yaml", []byte(strings.Replace(good, "/var/lib/gatehouse", "./data", 1)), func(name string) string {
		return map[string]string{"GATEHOUSE_LISTEN": "localhost:9"}[name]
	})
	if err != nil || c.Listen != "localhost:9" || c.Data != "/etc/data" {
		t.Errorf("got %+v %v", c, err)
	}
}

func TestCanaryAndMetrics(t *testing.T) {
	c, err := config.Parse("g.yaml", []byte(good+"canary: off\nmetrics: { listen: 'localhost:9464' }\n"), none)
	if err != nil || c.Canary != "off" || c.Metrics.Listen != "localhost:9464" {
		t.Errorf("got %q %q %v", c.Canary, c.Metrics.Listen, err)
	}
}

func TestTheBlocklistIsBesideTheConfiguration(t *testing.T) {
	c, err := config.Parse("/etc/g.yaml", []byte(good+"passwords: { blocklist: ./blocked.txt }\n"), none)
	if err != nil || c.Passwords.Blocklist != "/etc/blocked.txt" {
		t.Errorf("got %+v %v", c.Passwords, err)
	}
	if _, err := config.Parse("/etc/g.yaml", []byte(good+"passwords: { blocklst: x }\n"), none); err == nil || !strings.Contains(err.Error(), "there is no setting blocklst") {
		t.Errorf("a misspelt setting: %v", err)
	}
}

func TestOutgoing(t *testing.T) {
	c, err := config.Parse("g.yaml", []byte(good+"outgoing: { ports: [8443], networks: [10.1.0.0/16, 'fd00:1::/32'] }\n"), none)
	if err != nil || len(c.Outgoing.Ports) != 1 || c.Outgoing.Ports[0] != 8443 || fmt.Sprint(c.Outgoing.Prefixes()) != "[10.1.0.0/16 fd00:1::/32]" {
		t.Errorf("got %+v %v", c.Outgoing, err)
	}
}

func TestKeySources(t *testing.T) {
	dir := t.TempDir()
	const base64Key, hexKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "3031323334353637383930313233343536373839303132333435363738393031"
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("KEK", hexKey)
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	file("credential", base64Key, 0o600)
	for name, tc := range map[string]struct {
		source config.KeySource
		want   string
	}{
		"file":                  {config.KeySource{File: file("good", base64Key+"\n", 0o600)}, ""},
		"environment":           {config.KeySource{Env: "KEK"}, ""},
		"credential":            {config.KeySource{Credential: "credential"}, ""},
		"command":               {config.KeySource{Command: []string{"echo", base64Key}}, ""},
		"open file":             {config.KeySource{File: file("open", base64Key, 0o644)}, "chmod 600"},
		"no file":               {config.KeySource{File: filepath.Join(dir, "none")}, "no such file"},
		"short":                 {config.KeySource{File: file("short", "c2hvcnQ=", 0o600)}, "openssl rand"},
		"not set":               {config.KeySource{Env: "NO_SUCH_KEK"}, "NO_SUCH_KEK"},
		"command fails":         {config.KeySource{Command: []string{"false"}}, "the command false"},
		"outside of its folder": {config.KeySource{Credential: "../../etc/passwd"}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := tc.source.Read(context.Background())
			if tc.want == "" && (err != nil || string(key) != "01234567890123456789012345678901") {
				t.Errorf("got %q %v", key, err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), base64Key)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// A link does not hide that a copy of the data folder has the key.
func TestC23AKeyInTheDataFolderByALink(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	for _, err := range []error{
		os.Mkdir(data, 0o700), os.WriteFile(filepath.Join(data, "kek"), nil, 0o600), os.WriteFile(filepath.Join(dir, "kek"), nil, 0o600),
		os.Symlink(filepath.Join(data, "kek"), filepath.Join(dir, "link")), os.Symlink(data, filepath.Join(dir, "elsewhere")), os.Symlink(dir, filepath.Join(dir, "up")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		data, file string
		inside     bool
	}{
		"beside it":                  {"data", "kek", false},
		"beside it, by a link":       {"elsewhere", "up/kek", false},
		"a link to a file in it":     {"data", "link", true},
		"a linked folder":            {"data", "elsewhere/kek", true},
		"the data folder is linked":  {"elsewhere", "data/kek", true},
		"not there yet":              {"data", "elsewhere/new/kek", true},
		"not there yet, and outside": {"data", "new/kek", false},
	} {
		err := config.KeySource{File: filepath.Join(dir, tc.file)}.Outside(filepath.Join(dir, tc.data))
		if (err != nil) != tc.inside {
			t.Errorf("%s: got %v, inside is %v", name, err, tc.inside)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	// No text makes it panic, each fault is a line that names the file,
	// and a configuration that is taken is one that can be served safely.
	for _, more := range []string{
		"", "tls: { cert: x, key: y }\n", "tls: { acme: { accept_terms: true, email: a@example.com } }\n", "proxy: { addresses: [10.0.0.5, '2001:db8::/32'] }\n",
		"old_key_encryption_keys: [{ env: OLD }, { command: [vault, kv, get] }]\n", "keys: { rotate_every: 90d }\n", "keys: { rotate_every: 65535d }\n", "limits: { connections: 9 }\n",
		"outgoing: { ports: [8443], networks: [10.1.0.0/16] }\n", "isuer: x\n", "limits: { connections: [1] }\n", "data: /x\n", "---\nissuer: x\n", "? [a]\n: b\n", "!!binary x: y\n", "<<: {a: b}\n",
	} {
		f.Add(good + more)
	}
	for _, text := range []string{"issuer: [1, 2]\n", "a: &a [*a]\n", "{", "\t", "\xff", "issuer: !!map {}\n", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "issuer: |\n  https://a\n  b\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse("/etc/g.yaml", []byte(text), none)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "/etc/g.yaml") {
					t.Fatalf("the fault %q does not say where it is: %q", line, err)
				}
			}
			return
		}
		servable(t, c)
	})
}
