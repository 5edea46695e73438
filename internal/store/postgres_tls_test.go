package store_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// authority signs certificates.
type authority struct {
	file string // its certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	a := authority{file: filepath.Join(t.TempDir(), "ca.pem"), cert: cert, key: key}
	must(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return a
}

// issue makes the files of a server of this name, valid until then.
func (a authority) issue(t *testing.T, host string, until time.Time) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return map[string][]byte{
		"server.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
}

// With sslmode=verify-full only the server that the address names is spoken to.
func TestTheDatabaseProvesWhichServerItIs(t *testing.T) {
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	withTLS := func(files map[string][]byte) *pgtest.Server {
		return pgtest.StartOwn(t, pgtest.Config{Settings: map[string]string{"ssl": "on"}, Files: files})
	}
	good := withTLS(ours.issue(t, "localhost", time.Now().Add(time.Hour))).Database(t)
	expired := withTLS(ours.issue(t, "localhost", time.Now().Add(-time.Hour))).Database(t)
	open := pgtest.Start(t).Database(t)

	address := func(dsn, host, authority string) string {
		dsn = strings.Replace(dsn, "@127.0.0.1:", "@"+host+":", 1)
		return strings.Replace(dsn, "sslmode=disable", "sslmode=verify-full", 1) + authority
	}
	root := func(a authority) string { return "&sslrootcert=" + a.file }
	for _, c := range []struct{ name, address, want string }{
		{"the right server", address(good, "localhost", root(ours)), ""},
		{"another name", address(good, "127.0.0.1", root(ours)), "write in the address the name that the certificate has"},
		{"another authority", address(good, "localhost", root(other)), "name its file with ?sslrootcert=FILE"},
		{"no authority is named", address(good, "localhost", ""), "name its file with ?sslrootcert=FILE"},
		{"expired", address(expired, "localhost", root(ours)), "Give the database server a new certificate"},
		{"no TLS", address(open, "localhost", root(ours)), "The database server offers no TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, err := store.Open(context.Background(), store.Config{Database: c.address, Connections: 4})
			if err == nil {
				defer db.Close()
			}
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want == "":
				if _, err := db.Durability(context.Background()); err != nil {
					t.Error(err)
				}
			case err == nil:
				t.Fatal("it is spoken to")
			case !strings.Contains(err.Error(), c.want), strings.Contains(err.Error(), "\n"), strings.Contains(err.Error(), "postgres://"):
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// What an operator does wrong at the beginning has a sentence of one line, which
// shows no password.
func TestADatabaseThatCannotBeReached(t *testing.T) {
	server := pgtest.Start(t)
	good := server.Database(t)
	password := good[strings.Index(good, "gatehouse:")+len("gatehouse:") : strings.Index(good, "@")]
	standby := pgtest.StartOwn(t, pgtest.Config{})
	ready := standby.Database(t)
	readOnly := strings.Replace(ready, standby.Address(), standby.Standby(t, pgtest.Async, nil).Address(), 1)
	for _, c := range []struct{ name, address, want string }{
		{"wrong password", strings.Replace(strings.Replace(good, password, "hunter22", 1), "sslmode=disable", "", 1), "Check the user and database_password"},
		{"no such user", strings.Replace(good, "gatehouse:", "nobody:", 1), "Check the user and database_password"},
		{"no such database", strings.Replace(good, "?", "x?", 1), "Create the database first"},
		{"nobody listens", strings.Replace(good, server.Address(), "127.0.0.1:1", 1), "Check that the database server runs"},
		{"no such host", strings.Replace(good, server.Address(), "db.invalid:5432", 1), "Check that the database server runs"},
		{"a standby", readOnly, "It is read-only"},
		{"a standby, and a primary is wanted", readOnly + "&target_session_attrs=read-write", "No server of the address takes writes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var db *store.DB
			err := within(t, "the refusal", func() (err error) {
				db, err = store.Open(context.Background(), store.Config{Database: c.address, Connections: 4})
				return err
			})
			if err == nil {
				db.Close()
				t.Fatal("it opens")
			}
			for _, never := range []string{"\n", password, "hunter22", "postgres://", "`"} {
				if strings.Contains(err.Error(), never) {
					t.Errorf("%q is in %v", never, err)
				}
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}
