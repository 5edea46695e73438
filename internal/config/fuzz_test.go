package config_test

import (
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/config"
)

// servable holds what every configuration that was taken promises.
func servable(t *testing.T, c config.Config) {
	t.Helper()
	issuer, err := url.Parse(c.Issuer)
	if err != nil || issuer.Host == "" || issuer.String() != c.Issuer || issuer.Scheme+"://"+issuer.Host != c.Issuer {
		t.Fatalf("the issuer %q", c.Issuer)
	}
	for _, r := range c.Issuer {
		if r <= ' ' || r > '~' {
			t.Fatalf("the issuer %q holds %q", c.Issuer, r)
		}
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if local := host == "localhost" || net.ParseIP(host).IsLoopback(); err != nil || !local && !c.TLS.Given() && len(c.Proxy.Addresses) == 0 {
		t.Fatalf("%q is served without TLS", c.Listen)
	}
	if name := issuer.Hostname(); issuer.Scheme != "https" && (c.TLS.Given() || name != "localhost" && !net.ParseIP(name).IsLoopback()) {
		t.Fatalf("the issuer %q is plain", c.Issuer)
	}
	if !filepath.IsAbs(c.Data) || c.KeyEncryptionKey.File != "" && !filepath.IsAbs(c.KeyEncryptionKey.File) {
		t.Fatalf("paths %q %q depend on where the command runs", c.Data, c.KeyEncryptionKey.File)
	}
	if inside, err := filepath.Rel(c.Data, c.KeyEncryptionKey.File); c.KeyEncryptionKey.File != "" && err == nil && filepath.IsLocal(inside) {
		t.Fatalf("the key %q lies in the data folder %q", c.KeyEncryptionKey.File, c.Data)
	}
	every := time.Duration(c.Keys.RotateEvery)
	if every != 0 && (every < 48*time.Hour || every > 366*24*time.Hour) || c.Limits.Connections < 0 || c.Limits.ConnectionsPerAddress < 0 {
		t.Fatalf("rotate every %s, limits %+v", every, c.Limits)
	}
	for _, p := range c.Proxy.Addresses {
		if !p.IsValid() {
			t.Fatalf("the proxy %v", p)
		}
	}
	if len(c.Outgoing.Prefixes()) != len(c.Outgoing.Networks) {
		t.Fatalf("networks %q are read as %v", c.Outgoing.Networks, c.Outgoing.Prefixes())
	}
}

// FuzzDraft: whatever somebody answers to `gatehouse init`, the file that it
// writes says exactly that, or it is refused.
func FuzzDraft(f *testing.F) {
	f.Add("https://auth.example.com", "localhost:8080", "./data", "/etc/kek", "", "")
	f.Add("https://auth.example.com", ":443", "./data", "/etc/kek", "./cert.pem", "./key.pem")
	f.Add("https://auth.example.com", "localhost:8080", "it's", "a: b", "", "10.0.0.5")
	f.Add("https://auth.example.com", "localhost:8080", "x # y", "{x}", "", "")
	f.Add("https://auth.example.com", "localhost:8080", "a\nlisten: ':80'", "k", "", "")
	f.Add("https://auth.example.com", "localhost:8080", "null", "true", "~", "1")
	f.Add("https://auth.example.com", "localhost:8080", "a\r\nb", "  k ", "\u2028", "\x00")
	f.Fuzz(func(t *testing.T, issuer, listen, data, key, cert, more string) {
		d := config.Draft{Issuer: issuer, Listen: listen, Data: data, KeyFile: key, Cert: cert, Key: more}
		if cert == "" && more != "" {
			d.Key, d.Proxy = "", []string{more}
		}
		text, err := d.Write("/etc/g.yaml")
		if err != nil || listen == "" { // init always names one
			return
		}
		c, err := config.Parse("/etc/g.yaml", text, none)
		if err != nil {
			t.Fatalf("what was written does not read back: %v", err)
		}
		servable(t, c)
		for _, v := range [][2]string{{c.Issuer, issuer}, {c.Listen, listen}, {c.Data, absolute(data)}, {c.KeyEncryptionKey.File, absolute(key)}, {c.TLS.Cert, absolute(cert)}, {c.TLS.Key, absolute(d.Key)}} {
			if v[0] != v[1] {
				t.Fatalf("%q was asked for, the file says %q:\n%s", v[1], v[0], text)
			}
		}
		if len(c.OldKeyEncryptionKeys) > 0 || len(c.Proxy.Addresses) != len(d.Proxy) || c.Outgoing.Ports != nil || c.TLS.ACME.Given() {
			t.Fatalf("the file says more than was asked for:\n%s", text)
		}
	})
}

func absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join("/etc", path)
}
