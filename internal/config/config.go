package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Config of an installation.
type Config struct {
	// Issuer is the URL that every token names, for good. https, or http on loopback.
	Issuer string `yaml:"issuer"`
	// Listen is the address that serve answers on.
	Listen string `yaml:"listen"`
	// Data is the data folder.
	Data string `yaml:"data"`
	// TLS names certificate and key files; without them only loopback is served.
	TLS TLS `yaml:"tls"`
	// KeyEncryptionKey says where the key comes from that seals all others.
	KeyEncryptionKey KeySource `yaml:"key_encryption_key"`
	// Outgoing says where addresses that clients name may lead.
	Outgoing Outgoing `yaml:"outgoing"`

	path  string
	lines map[string]int
}

// TLS names PEM files.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// KeySource is exactly one place a secret comes from.
type KeySource struct {
	File       string   `yaml:"file"`
	Env        string   `yaml:"env"`
	Credential string   `yaml:"credential"`
	Command    []string `yaml:"command"`
}

// maxFileBytes bounds a configuration file.
const maxFileBytes = 1 << 20

// Load reads a file, lets GATEHOUSE_DATA and GATEHOUSE_LISTEN win over it, and
// reports every fault with its line.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes))
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(path, content, os.Getenv)
}

// Parse reads a configuration text. path is for messages and for relative
// paths in it.
func Parse(path string, content []byte, environment func(string) string) (Config, error) {
	c := Config{path: path, lines: map[string]int{}}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%s: %s", path, strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n", ""))
	}
	var document yaml.Node
	if yaml.Unmarshal(content, &document) == nil && len(document.Content) > 0 {
		collectLines(document.Content[0], "", c.lines)
	}
	if v := environment("GATEHOUSE_DATA"); v != "" {
		c.Data = v
	}
	if v := environment("GATEHOUSE_LISTEN"); v != "" {
		c.Listen = v
	}
	if c.Listen == "" {
		c.Listen = "localhost:8080"
	}
	c.resolve()
	return c, c.check()
}

func collectLines(node *yaml.Node, prefix string, into map[string]int) {
	if node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := prefix + node.Content[i].Value
		into[name] = node.Content[i].Line
		collectLines(node.Content[i+1], name+".", into)
	}
}

// resolve makes paths relative to the file, not to where the command runs.
func (c *Config) resolve() {
	dir := filepath.Dir(c.path)
	for _, p := range []*string{&c.Data, &c.TLS.Cert, &c.TLS.Key, &c.KeyEncryptionKey.File} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

func (c Config) check() error {
	var faults []error
	fault := func(name, format string, args ...any) {
		where := c.path
		if line := c.lines[name]; line > 0 {
			where = fmt.Sprintf("%s:%d", c.path, line)
		}
		faults = append(faults, fmt.Errorf("%s: %s: %s", where, name, fmt.Sprintf(format, args...)))
	}
	if err := checkIssuer(c.Issuer); err != nil {
		fault("issuer", "%s", err)
	}
	if c.Data == "" {
		fault("data", "is required: the folder for the database, such as ./data")
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		fault("listen", "%q is not of the form HOST:PORT", c.Listen)
	} else if c.TLS.Cert == "" && !loopbackAddress(c.Listen) {
		fault("listen", "%s can be reached by other machines, so tls.cert and tls.key are required; without them use localhost:PORT", c.Listen)
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		fault("tls", "cert and key come together")
	}
	if strings.HasPrefix(c.Issuer, "http:") && c.TLS.Cert != "" {
		fault("issuer", "is http, but tls serves https")
	}
	if err := c.KeyEncryptionKey.check(c.Data); err != nil {
		fault("key_encryption_key", "%s", err)
	}
	if err := c.Outgoing.check(); err != nil {
		fault("outgoing", "%s", err)
	}
	return errors.Join(faults...)
}

// checkIssuer wants https without path, query or fragment; http on loopback.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case issuer == "":
		return errors.New("is required: the URL that clients reach this server by, such as https://auth.example.com")
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		return fmt.Errorf("%q is not of the form https://auth.example.com, without a path or a slash at its end", issuer)
	case u.Scheme == "https", u.Scheme == "http" && loopbackHost(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q must be https; http is for loopback only", issuer)
}

func loopbackAddress(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
