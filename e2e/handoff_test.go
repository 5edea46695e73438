package e2e_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/guard"
)

const handoffPassword = "seven green doors ajar"

// handoffApp is an app behind guard.Handoff, over https, which tells who it
// thinks the browser is.
func handoffApp(t *testing.T, host string, c guard.HandoffConfig) (origin string) {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	origin = strings.Replace(server.URL, "127.0.0.1", host, 1)
	c.URL, c.Logger = origin+"/handoff", slog.New(slog.DiscardHandler)
	c.SignedIn = func(w http.ResponseWriter, _ *http.Request, c guard.Caller) error {
		http.SetCookie(w, &http.Cookie{Name: "__Host-app", Value: c.Subject(), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		return nil
	}
	handler, err := guard.Handoff(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { handler.Close() })
	mux.Handle("/handoff", handler)
	mux.HandleFunc("/orders", func(w http.ResponseWriter, r *http.Request) {
		who := "nobody"
		if c, err := r.Cookie("__Host-app"); err == nil {
			who = c.Value
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Orders</title><link rel="icon" href="data:,"><p id="who">%s, %d cookies</p>`, who, len(r.Cookies()))
	})
	return origin
}

// run is gatehouse with arguments and an input.
func run(t *testing.T, input string, args ...string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gatehouse %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// signInByHand begins at the app, signs in at the authority, and begins once
// more, when nobody is asked.
func signInByHand(t *testing.T, origin, username, password string) {
	t.Helper()
	b := openTab(t)
	b.do(security.SetIgnoreCertificateErrors(true))
	b.visit(origin + "/handoff?return=/orders")
	b.do(chromedp.SendKeys(`input[name=username]`, username), chromedp.SendKeys(`input[name=password]`, password), chromedp.Click(`form[action="/login"] button.primary`))
	for _, step := range []string{"first", "silent"} {
		b.until(`location.pathname === '/orders' && document.querySelector('#who') !== null`)
		if who := value[string](b, `document.querySelector('#who').textContent + ' ' + location.search`); !strings.HasPrefix(who, "usr_") || !strings.HasSuffix(who, ", 1 cookies ") && step == "first" {
			t.Errorf("C33: %s: the app sees %q", step, who)
		}
		if step == "first" {
			b.visit(origin + "/handoff?return=/orders?again")
			b.until(`location.search === '?again'`)
		}
	}
	b.clean("hand-off")
}

// App and authority are two sites here: a browser brings the nonce along with
// the form only because its cookie is SameSite=None (C33, C30).
func TestC33HandoffBetweenTwoSites(t *testing.T) {
	data := t.TempDir()
	cmd := exec.Command(binary, "dev", "--json", "--listen", "localhost:0", "--api-listen", "localhost:0", "--data", data)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var r ready
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []guard.HandoffMode{guard.HandoffForm, guard.HandoffQuery} {
		t.Run(string(mode), func(t *testing.T) {
			id := "by-" + strings.ReplaceAll(string(mode), "_", "-")
			origin := handoffApp(t, "127.0.0.1", guard.HandoffConfig{Issuer: r.Issuer, ClientID: id, Mode: mode})
			run(t, "", "client", "create", id, "--confidential", "--first-party", "--handoff-url", origin+"/handoff", "--handoff-mode", string(mode), "--data", data)
			signInByHand(t, origin, r.Users[0].Username, r.Users[0].Password)
		})
	}
}

// A cookie for the parent domain that authority and app share needs https.
func TestC33HandoffByCookieInABrowser(t *testing.T) {
	dir := t.TempDir()
	cert, key := ownCertificate(t, dir, "*.test.localhost")
	port := freePort(t)
	issuer := "https://auth.test.localhost:" + port
	install := filepath.Join(dir, "gatehouse")
	run(t, "", "init", install, "--issuer", issuer, "--listen", "127.0.0.1:"+port, "--tls-cert", cert, "--tls-key", key)
	config := filepath.Join(install, "gatehouse.yaml")
	run(t, handoffPassword, "user", "create", "ada", "--password-file", "-", "--config", config)
	toIssuer := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
	}}}
	origin := handoffApp(t, "shop.test.localhost", guard.HandoffConfig{Issuer: issuer, ClientID: "shop", Mode: guard.HandoffCookie, Domain: "test.localhost", HTTPClient: toIssuer})
	run(t, "", "client", "create", "shop", "--confidential", "--first-party", "--handoff-url", origin+"/handoff", "--handoff-mode", "cookie", "--handoff-domain", "test.localhost", "--config", config)
	cmd := exec.Command(binary, "serve", "--config", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		answer, err := toIssuer.Get(issuer + "/readyz")
		if err == nil {
			answer.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	signInByHand(t, origin, "ada", handoffPassword)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func ownCertificate(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
