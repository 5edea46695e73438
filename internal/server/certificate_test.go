package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// issue writes a certificate with a serial number and its key.
func issue(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		written := time.Unix(1_700_000_000+serial, 0)
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARenewedCertificateIsTakenUp(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir, 1)
	f := &certificate{certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem"), logger: slog.New(slog.DiscardHandler)}
	serial := func() int64 {
		t.Helper()
		pair, err := f.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("serial %d", got)
	}
	issue(t, dir, 2)
	if got := serial(); got != 1 {
		t.Errorf("serial %d: the files are read for every connection", got)
	}
	f.looked = time.Now().Add(-lookEvery)
	if got := serial(); got != 2 {
		t.Errorf("serial %d after the renewal, want 2", got)
	}
	// Half of a renewal: a certificate that does not fit the key.
	kept, err := os.ReadFile(f.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	issue(t, dir, 3)
	next, err := os.ReadFile(f.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.keyFile, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	f.looked = time.Now().Add(-lookEvery)
	if got := serial(); got != 2 {
		t.Errorf("serial %d in the middle of a renewal, want the old one", got)
	}
	if err := os.WriteFile(f.keyFile, next, 0o600); err != nil {
		t.Fatal(err)
	}
	f.looked = time.Now().Add(-lookEvery)
	if got := serial(); got != 3 {
		t.Errorf("serial %d at the end of the renewal, want 3", got)
	}
}
