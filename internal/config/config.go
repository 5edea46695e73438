package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Config of an installation.
type Config struct {
	// Issuer is the URL that every token names, for good. https, or http on loopback.
	Issuer string `yaml:"issuer"`
	// Listen is the address that serve answers on.
	Listen string `yaml:"listen"`
	// Data is the data folder. Without Database it holds the records.
	Data string `yaml:"data"`
	// Database is the address of a PostgreSQL database, instead of SQLite in Data.
	Database string `yaml:"database"`
	// DatabasePassword says where the password for it comes from.
	DatabasePassword KeySource `yaml:"database_password"`
	// DatabaseConnections is how many connections this process opens to it at most.
	DatabaseConnections int `yaml:"database_connections"`
	// TLS says where certificates come from. Without it only loopback is served,
	// or the proxy that Proxy names.
	TLS TLS `yaml:"tls"`
	// Proxy names the proxy that terminates TLS in front of this server.
	Proxy Proxy `yaml:"proxy"`
	// KeyEncryptionKey says where the key comes from that seals all others.
	KeyEncryptionKey KeySource `yaml:"key_encryption_key"`
	// OldKeyEncryptionKeys may still open what they sealed, until
	// `gatehouse kek rotate` has sealed it anew.
	OldKeyEncryptionKeys []KeySource `yaml:"old_key_encryption_keys"`
	// Keys says how signing and sealing keys live.
	Keys Keys `yaml:"keys"`
	// Limits bound what strangers can make this server hold.
	Limits Limits `yaml:"limits"`
	// Passwords says what new passwords must not be.
	Passwords Passwords `yaml:"passwords"`
	// Outgoing says where addresses that clients name may lead.
	Outgoing Outgoing `yaml:"outgoing"`
	// FeedAccess says who may read the revocation feed: public (the default) or
	// private, which is for clients that may introspect tokens of some API.
	FeedAccess string `yaml:"feed_access"`
	// Canary measures every minute how long a revocation takes to reach a verifier:
	// on (the default) or off.
	Canary string `yaml:"canary"`
	// Metrics says where /metrics is answered.
	Metrics Metrics `yaml:"metrics"`
	// Branding says how the pages look.
	Branding Branding `yaml:"branding"`

	path   string
	lines  map[string]int
	inFile bool // Database comes from the file, which others may read
}

// Metrics are for Prometheus, on a listener of their own.
type Metrics struct {
	// Listen is HOST:PORT; empty: nowhere.
	Listen string `yaml:"listen"`
}

func (m Metrics) check(listen string, fault func(name, format string, args ...any)) {
	if m.Listen == "" {
		return
	}
	_, port, err := net.SplitHostPort(m.Listen)
	if _, parse := strconv.ParseUint(port, 10, 16); err != nil || parse != nil {
		fault("metrics.listen", "%q is not of the form HOST:PORT, such as localhost:9464", m.Listen)
	} else if m.Listen == listen && port != "0" {
		fault("metrics.listen", "%s is the address of the server itself, where everybody could read them; choose another port", m.Listen)
	}
}

// TLS is PEM files, or an ACME authority that issues certificates for the
// issuer's host (RFC 8555).
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	ACME ACME   `yaml:"acme"`
}

// ACME is an account at a certificate authority. Certificates are renewed by
// themselves and kept, sealed, in the database.
type ACME struct {
	// AcceptTerms must be true: it agrees to the authority's terms of service.
	AcceptTerms bool `yaml:"accept_terms"`
	// Email is where the authority writes to about the account. Optional.
	Email string `yaml:"email"`
	// Directory is the authority's URL; empty: Let's Encrypt.
	Directory string `yaml:"directory"`
}

// Given tells whether certificates come from ACME.
func (a ACME) Given() bool { return a != ACME{} }

// Given tells whether this server terminates TLS itself.
func (t TLS) Given() bool { return t.Cert != "" || t.Key != "" || t.ACME.Given() }

// Proxy is the one in front of this server. Only its addresses may connect,
// because what they say about the client is believed.
type Proxy struct {
	// Addresses are IP addresses or prefixes, such as 10.0.0.5 or 10.0.0.0/24.
	Addresses []Prefix `yaml:"addresses"`
}

// Branding is how the pages look; each setting left out is ours.
type Branding struct {
	// Product is the name above every page.
	Product string `yaml:"product"`
	// Logo is an image file: SVG, PNG, JPEG or WebP.
	Logo string `yaml:"logo"`
	// Accent is the one colour of buttons and links, such as "#1c5fd4". A second
	// one, after a space, is for dark pages; without it one is made.
	Accent string `yaml:"accent"`
	// Templates is a folder of templates that replace ours, and custom.css.
	Templates string `yaml:"templates"`
}

// maxProduct is how many characters a product's name may have: it stands above
// a narrow page.
const maxProduct = 60

var accentShape = regexp.MustCompile(`^#[0-9a-fA-F]{6}( +#[0-9a-fA-F]{6})?$`)

func (b Branding) check(fault func(name, format string, args ...any)) {
	if n := utf8.RuneCountInString(b.Product); n > maxProduct {
		fault("branding.product", "has %d characters; %d fit above a page", n, maxProduct)
	}
	if b.Accent != "" && !accentShape.MatchString(b.Accent) {
		fault("branding.accent", "%q is not a colour such as \"#1c5fd4\", in quotes because of the #", b.Accent)
	}
	if info, err := os.Stat(b.Logo); b.Logo != "" && (err != nil || info.IsDir()) {
		fault("branding.logo", "%s is not a file that can be read", b.Logo)
	}
	if info, err := os.Stat(b.Templates); b.Templates != "" && (err != nil || !info.IsDir()) {
		fault("branding.templates", "%s is not a folder that can be read", b.Templates)
	}
}

// Keys is the life of keys.
type Keys struct {
	// RotateEvery is how long a key signs before the next one takes over; 0: 30 days.
	RotateEvery Duration `yaml:"rotate_every"`
}

// Passwords are rules beside those that are built in.
type Passwords struct {
	// Blocklist is a file with one known password in each line.
	Blocklist string `yaml:"blocklist"`
}

// Limits of the listener; 0 stands for the default.
type Limits struct {
	// Connections that are open at once, in total; 4096 by default.
	Connections int `yaml:"connections"`
	// ConnectionsPerAddress of one client, 256 by default. Proxies are exempt.
	ConnectionsPerAddress int `yaml:"connections_per_address"`
}

// Duration is a time span such as 12h or 30d.
type Duration time.Duration

// UnmarshalYAML reads what time.ParseDuration reads, and days.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	text := node.Value
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return typeFault(node, "%q is not a time span such as 12h or 30d", text)
		}
		*d = Duration(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return typeFault(node, "%q is not a time span such as 12h or 30d", text)
	}
	*d = Duration(parsed)
	return nil
}

// typeFault is a fault that does not end the reading of the others.
func typeFault(node *yaml.Node, format string, args ...any) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: "+format, append([]any{node.Line}, args...)...)}}
}

// Prefix is an IP address, or a prefix of addresses.
type Prefix struct{ netip.Prefix }

// UnmarshalYAML reads 10.0.0.5, 10.0.0.0/24, 2001:db8::/32.
func (p *Prefix) UnmarshalYAML(node *yaml.Node) error {
	if address, err := netip.ParseAddr(node.Value); err == nil {
		p.Prefix = netip.PrefixFrom(address, address.BitLen())
		return nil
	}
	prefix, err := netip.ParsePrefix(node.Value)
	if err != nil {
		return typeFault(node, "%q is not an IP address or prefix such as 10.0.0.5 or 10.0.0.0/24", node.Value)
	}
	p.Prefix = prefix.Masked()
	return nil
}

// KeySource is exactly one place a secret comes from.
type KeySource struct {
	File       string   `yaml:"file"`
	Env        string   `yaml:"env"`
	Credential string   `yaml:"credential"`
	Command    []string `yaml:"command"`
}

// maxFault bounds, in characters, what a fault repeats of the file.
const maxFault = 256

// maxFileBytes bounds a configuration file.
const maxFileBytes = 1 << 20

// Load reads a file, lets GATEHOUSE_DATA, GATEHOUSE_DATABASE and
// GATEHOUSE_LISTEN win over it, and
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
	var wrong *yaml.TypeError
	if err := decoder.Decode(&c); err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &wrong) {
		return Config{}, fmt.Errorf("%s: %s", path, iam.Printable(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n", ""), maxFault))
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		return Config{}, fmt.Errorf("%s:%d: a second document begins here; the settings are one", path, second.Line)
	}
	var document yaml.Node
	if yaml.Unmarshal(content, &document) == nil && len(document.Content) > 0 {
		collectLines(document.Content[0], "", c.lines)
	}
	if v := environment("GATEHOUSE_DATA"); v != "" {
		c.Data = v
	}
	c.inFile = true
	if v := environment("GATEHOUSE_DATABASE"); v != "" {
		c.Database, c.inFile = v, false
	}
	if v := environment("GATEHOUSE_LISTEN"); v != "" {
		c.Listen = v
	}
	if c.Listen == "" {
		c.Listen = "localhost:8080"
	}
	c.resolve()
	return c, errors.Join(c.misread(wrong), c.check())
}

// misread are the words and values that YAML did not understand. They do not
// hide the other faults.
func (c Config) misread(wrong *yaml.TypeError) error {
	if wrong == nil {
		return nil
	}
	var faults []error
	for _, text := range wrong.Errors {
		line, what, found := strings.Cut(strings.TrimPrefix(text, "line "), ": ")
		if !found {
			line, what = "0", text
		}
		what = unknownField.ReplaceAllString(what, "there is no setting $1")
		faults = append(faults, fmt.Errorf("%s:%s: %s", c.path, line, iam.Printable(what, maxFault)))
	}
	return errors.Join(faults...)
}

var unknownField = regexp.MustCompile(`^field (\S+) not found in type .*$`)

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
	paths := []*string{&c.Data, &c.TLS.Cert, &c.TLS.Key, &c.KeyEncryptionKey.File, &c.DatabasePassword.File, &c.Passwords.Blocklist, &c.Branding.Logo, &c.Branding.Templates}
	for i := range c.OldKeyEncryptionKeys {
		paths = append(paths, &c.OldKeyEncryptionKeys[i].File)
	}
	for _, p := range paths {
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
		faults = append(faults, fmt.Errorf("%s: %s: %s", where, name, iam.Printable(fmt.Sprintf(format, args...), 2*maxFault)))
	}
	if err := checkIssuer(c.Issuer); err != nil {
		fault("issuer", "%s", err)
	}
	if c.Data == "" && c.Database == "" {
		fault("data", "is required: the folder for the database, such as ./data; or name a PostgreSQL database with database")
	}
	c.checkDatabase(fault)
	if _, port, err := net.SplitHostPort(c.Listen); err != nil {
		fault("listen", "%q is not of the form HOST:PORT", c.Listen)
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		fault("listen", "%q does not end with a port number from 0 to 65535", c.Listen)
	} else if !c.TLS.Given() && len(c.Proxy.Addresses) == 0 && !loopbackAddress(c.Listen) {
		fault("listen", "%s can be reached by other machines. Name certificates with tls, or the proxy that terminates TLS with proxy.addresses; without either use localhost:PORT", c.Listen)
	}
	c.checkTLS(fault)
	if err := c.KeyEncryptionKey.check(c.Data); err != nil {
		fault("key_encryption_key", "%s", err)
	}
	for _, old := range c.OldKeyEncryptionKeys {
		if err := old.check(c.Data); err != nil {
			fault("old_key_encryption_keys", "%s", err)
		}
	}
	if every := time.Duration(c.Keys.RotateEvery); every != 0 && (every < minRotateEvery || every > maxRotateEvery) {
		fault("keys.rotate_every", "%s is not between 2 days and 365 days", every)
	}
	if c.Limits.Connections < 0 || c.Limits.ConnectionsPerAddress < 0 {
		fault("limits", "a limit is a positive number; leave it out for the default")
	}
	if err := c.Outgoing.check(); err != nil {
		fault("outgoing", "%s", err)
	}
	if c.FeedAccess != "" && c.FeedAccess != "public" && c.FeedAccess != "private" {
		fault("feed_access", "%q is neither public nor private", c.FeedAccess)
	}
	if c.Canary != "" && c.Canary != "on" && c.Canary != "off" {
		fault("canary", "%q is neither on nor off", c.Canary)
	}
	c.Metrics.check(c.Listen, fault)
	c.Branding.check(fault)
	return errors.Join(faults...)
}

// A key is published for a day before it signs; sooner than every two days the
// next rotation would be planned before the last one is done.
const (
	minRotateEvery = 2 * 24 * time.Hour
	maxRotateEvery = 365 * 24 * time.Hour
)

func (c Config) checkTLS(fault func(name, format string, args ...any)) {
	acme := c.TLS.ACME
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		fault("tls", "cert and key come together")
	}
	if acme.Given() && c.TLS.Cert != "" {
		fault("tls", "certificates come from files or from acme, not from both")
	}
	if acme.Given() && !acme.AcceptTerms {
		fault("tls.acme", "accept_terms: true is required: it agrees to the certificate authority's terms of service")
	}
	if acme.Directory != "" && !strings.HasPrefix(acme.Directory, "https://") {
		fault("tls.acme.directory", "%q must be https", acme.Directory)
	}
	issuer, err := url.Parse(c.Issuer)
	if err != nil {
		return // reported for the issuer
	}
	if acme.Given() && (net.ParseIP(issuer.Hostname()) != nil || !strings.Contains(issuer.Hostname(), ".")) {
		fault("tls.acme", "certificates are issued for a domain name; the issuer %s has none", c.Issuer)
	}
	if issuer.Scheme == "http" && c.TLS.Given() {
		fault("issuer", "is http, but tls serves https")
	}
	if len(c.Proxy.Addresses) > 0 && c.TLS.Given() {
		fault("proxy", "the proxy terminates TLS, so leave out tls here; or leave out the proxy")
	}
	if len(c.Proxy.Addresses) > 0 && issuer.Scheme == "http" {
		fault("proxy", "the issuer is what clients see of the proxy, so it must be https")
	}
}

// checkIssuer wants https without path, query or fragment; http on loopback.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case issuer == "":
		return errors.New("is required: the URL that clients reach this server by, such as https://auth.example.com")
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" || u.ForceQuery || strings.Contains(issuer, "#") || !iam.ReadsOneWay(issuer):
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
