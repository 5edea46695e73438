package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// freePorts draws ports that were free a moment ago.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// certificateFor makes a self-signed certificate for localhost in dir.
func certificateFor(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	generate := exec.Command("go", "run", filepath.Join(goroot(t), "src/crypto/tls/generate_cert.go"), "--host", "localhost", "--ca")
	generate.Dir = dir
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

// authority is a real ACME server, Pebble, and the name server it asks.
type authority struct {
	directory string // its URL
	trust     string // PEM of what the directory is served with
	roots     *x509.CertPool
	stop      func()
}

func startAuthority(t *testing.T, challengePort int) authority {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+"/", "github.com/letsencrypt/pebble/v2/cmd/pebble", "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	ports := freePorts(t, 4)
	cert, key := certificateFor(t, dir)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", ports[0]), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", ports[1]),
		"certificate": cert, "privateKey": key, "httpPort": ports[2], "tlsPort": challengePort,
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pebble.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	dns := fmt.Sprintf("127.0.0.1:%d", ports[3])
	names := exec.Command(filepath.Join(dir, "pebble-challtestsrv"), "-dnsserver", dns, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", "127.0.0.1:0")
	pebble := exec.Command(filepath.Join(dir, "pebble"), "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", dns)
	pebble.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	var log bytes.Buffer
	pebble.Stdout, pebble.Stderr = &log, &log
	for _, c := range []*exec.Cmd{names, pebble} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	stop := func() {
		for _, c := range []*exec.Cmd{names, pebble} {
			c.Process.Kill()
			c.Wait()
		}
		if t.Failed() {
			t.Logf("pebble: %s", &log)
		}
	}
	t.Cleanup(stop)
	a := authority{directory: fmt.Sprintf("https://localhost:%d/dir", ports[0]), trust: cert, roots: x509.NewCertPool(), stop: stop}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool(t, cert)}}}
	eventually(t, "the ACME authority answers", func() bool {
		response, err := client.Get(fmt.Sprintf("https://localhost:%d/roots/0", ports[1]))
		if err != nil {
			return false
		}
		defer response.Body.Close()
		pem, _ := io.ReadAll(response.Body)
		return a.roots.AppendCertsFromPEM(pem)
	})
	return a
}

func pool(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(pem)
	return p
}

// visit asks a server on a port under a name, and trusts the authority alone.
func (a authority) visit(port int, name, path string) (*tls.ConnectionState, error) {
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.roots, ServerName: name},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		},
		ForceAttemptHTTP2: true,
	}}
	defer client.CloseIdleConnections()
	response, err := client.Get(fmt.Sprintf("https://%s:%d%s", name, port, path))
	if err != nil {
		return nil, err
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	return response.TLS, nil
}

// A gateway gets its own certificate, for its own name, and keeps it sealed over a
// restart.
func TestGatewayWithACME(t *testing.T) {
	port := freePorts(t, 1)[0]
	ca := startAuthority(t, port)
	data := filepath.Join(t.TempDir(), "gateway")
	serve := func() *exec.Cmd {
		cmd := exec.Command(binary, "gateway", "--to", "http://127.0.0.1:1", "--issuer", "https://auth.example.com", "--audience", "https://api.example.com",
			"--listen", fmt.Sprintf("127.0.0.1:%d", port), "--data", data, "--acme", "api.example.com", "--acme-email", "ops@example.com", "--acme-directory", ca.directory)
		cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+ca.trust)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd
	}
	server := serve()
	var first, second *tls.ConnectionState
	var err error
	eventually(t, "a certificate is issued", func() bool {
		first, err = ca.visit(port, "api.example.com", "/healthz")
		return err == nil
	})
	leaf := first.PeerCertificates[0]
	if len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != "api.example.com" || first.NegotiatedProtocol != "h2" {
		t.Errorf("names %v, protocol %s", leaf.DNSNames, first.NegotiatedProtocol)
	}
	if _, err := ca.visit(port, "other.example.com", "/healthz"); err == nil {
		t.Error("another name gets a certificate")
	}
	server.Process.Signal(syscall.SIGTERM)
	if err := server.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}

	// After a restart it comes from the folder: the authority is not asked again.
	ca.stop()
	serve()
	eventually(t, "the same certificate after a restart", func() bool {
		second, err = ca.visit(port, "api.example.com", "/healthz")
		return err == nil
	})
	if second.PeerCertificates[0].SerialNumber.Cmp(leaf.SerialNumber) != 0 {
		t.Error("a new certificate for each start")
	}
	files, err := filepath.Glob(filepath.Join(data, "sealed", "*"))
	if err != nil || len(files) < 2 {
		t.Errorf("%d sealed files: %v", len(files), err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte("PRIVATE KEY")) || info.Mode().Perm() != 0o600 {
			t.Errorf("%s holds a private key in the clear, or has mode %04o", file, info.Mode().Perm())
		}
	}
}

func TestServeWithACME(t *testing.T) {
	port := freePorts(t, 1)[0]
	ca := startAuthority(t, port)
	dir := t.TempDir()
	out, err := exec.Command(binary, "init", dir, "--issuer", fmt.Sprintf("https://auth.example.com:%d", port), "--acme", "--acme-email", "ops@example.com", "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--json").CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	config := filepath.Join(dir, "gatehouse.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), "    # directory: https://acme.example.com/directory # another authority", "    directory: "+ca.directory, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func() *exec.Cmd {
		cmd := exec.Command(binary, "serve", "--config", config)
		cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+ca.trust)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd
	}
	visit := func(name string) (*tls.ConnectionState, error) { return ca.visit(port, name, "/readyz") }
	server := serve()
	var first *tls.ConnectionState
	eventually(t, "a certificate is issued", func() bool {
		first, err = visit("auth.example.com")
		return err == nil
	})
	leaf := first.PeerCertificates[0]
	if len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != "auth.example.com" || first.NegotiatedProtocol != "h2" {
		t.Errorf("names %v, protocol %s", leaf.DNSNames, first.NegotiatedProtocol)
	}
	if _, err := visit("other.example.com"); err == nil {
		t.Error("another name gets a certificate")
	}
	server.Process.Signal(syscall.SIGTERM)
	if err := server.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}

	// After a restart the certificate comes from the database, sealed: the
	// authority is not asked again.
	ca.stop()
	serve()
	var second *tls.ConnectionState
	eventually(t, "the same certificate after a restart", func() bool {
		second, err = visit("auth.example.com")
		return err == nil
	})
	if second.PeerCertificates[0].SerialNumber.Cmp(leaf.SerialNumber) != 0 {
		t.Error("a new certificate for each start")
	}
	for _, file := range []string{"gatehouse.db", "gatehouse.db-wal"} {
		content, err := os.ReadFile(filepath.Join(dir, "data", file))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte("PRIVATE KEY")) {
			t.Errorf("%s holds a private key in the clear", file)
		}
	}
}
