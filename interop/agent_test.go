package interop_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestOIDCAgent is Debian's oidc-agent as a client of the authority: a person
// adds an account on the command line, allows it in a browser (RFC 8628), and
// gets tokens from the agent. With a secret and without one.
func TestOIDCAgent(t *testing.T) {
	tools, err := fetchAgent()
	if err != nil {
		absent(fmt.Sprintf("oidc-agent: %v", err))
		t.Skip("not run: it is named at the end")
	}
	d := startDev(t)
	for _, tc := range []struct{ name, kind string }{{"agent-with-secret", "--confidential"}, {"agent-public", "--public"}} {
		t.Run(tc.name, func(t *testing.T) {
			var made struct {
				Secret string `json:"client_secret"`
			}
			out := d.administer("client", "create", tc.name, tc.kind, "--first-party", "--device", "--redirect-uri", "http://localhost:4242", "--scope", "openid", "--scope", "offline_access", "--scope", "orders:read", "--json")
			if err := json.Unmarshal([]byte(out), &made); err != nil {
				t.Fatal(err)
			}
			home := t.TempDir()
			if err := os.WriteFile(home+"/issuer.config", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			env := []string{"HOME=" + home, "OIDC_DIR=" + home, "OIDC_SOCK=" + agent(t, home, tools), "OIDC_ENCRYPTION_PW=of-this-test", tools.libraries}
			gen := start(t, home, env, tools.folder+"oidc-gen", "orders", "--iss="+d.Issuer, "--client-id="+tc.name, "--client-secret="+made.Secret, "--scope=openid offline_access orders:read",
				"--flow=device", "--pw-env", "--prompt=none", "--confirm-default", "-m", "--no-url-call")
			allow(t, d, userCode(t, gen))
			if err := gen.ended(); err != nil {
				t.Fatalf("oidc-gen: %v\n%s", err, gen.log)
			}
			token, err := bounded(home, env, tools.folder+"oidc-token", "orders")
			if err != nil {
				t.Fatalf("oidc-token: %v %s", err, token)
			}
			if got := status("GET", d.Audience+"/orders", strings.TrimSpace(token)); got != 200 {
				t.Errorf("the API answers %d to %q", got, token)
			}
			// A new token, for which the agent uses its refresh token.
			again, err := bounded(home, env, tools.folder+"oidc-token", "--force-new", "orders")
			if err != nil || again == token || status("GET", d.Audience+"/orders", strings.TrimSpace(again)) != 200 {
				t.Errorf("after a refresh: %v %q", err, again)
			}
		})
	}
}

// debian is where programs of a Debian package are: installed, or unpacked in
// the cache with the libraries that they need.
type debian struct{ folder, libraries string }

// fetchAgent finds oidc-agent, or fetches its package and what that needs. Nothing
// is installed: the packages are unpacked in the cache.
func fetchAgent() (debian, error) {
	if path, err := exec.LookPath("oidc-agent"); err == nil {
		return debian{folder: filepath.Dir(path) + "/"}, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return debian{}, lacking{"no oidc-agent, and no apt-get to fetch it"}
	}
	root := filepath.Join(cache, "debian")
	libraries, _ := filepath.Glob(root + "/usr/lib/*-linux-*")
	if len(libraries) == 0 {
		if err := unpack(root, "oidc-agent-cli"); err != nil {
			return debian{}, err
		}
		libraries, _ = filepath.Glob(root + "/usr/lib/*-linux-*")
	}
	found := debian{root + "/usr/bin/", "LD_LIBRARY_PATH=" + strings.Join(libraries, ":")}
	if out, err := bounded(".", []string{found.libraries}, found.folder+"oidc-agent", "--version"); err != nil {
		return debian{}, lacking{fmt.Sprintf("its package does not run here: %v %.200s", err, out)}
	}
	return found, nil
}

func unpack(root, name string) error {
	archives, lists := filepath.Join(cache, "deb"), filepath.Join(cache, "lists")
	for _, dir := range []string{archives + "/partial", lists + "/partial", root} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	apt := []string{"apt-get", "-qq", "-y", "-o", "Debug::NoLocking=1", "-o", "Dir::State::lists=" + lists, "-o", "Dir::Cache::archives=" + archives, "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", "APT::Sandbox::User="}
	for _, command := range [][]string{{"update"}, {"install", "--download-only", "--no-install-recommends", name}} {
		if out, err := bounded(".", nil, append(slices.Clone(apt), command...)...); err != nil {
			return lacking{fmt.Sprintf("apt-get %s: %v %.200s", command[0], err, out)}
		}
	}
	packages, err := filepath.Glob(archives + "/*.deb")
	if err != nil {
		return err
	}
	for _, p := range packages {
		if out, err := bounded(".", nil, "dpkg-deb", "--extract", p, root); err != nil {
			return fmt.Errorf("unpack %s: %w %s", p, err, out)
		}
	}
	return nil
}

// agent starts an oidc-agent in the foreground, and returns its socket.
func agent(t *testing.T, home string, tools debian) string {
	t.Helper()
	socket := home + "/agent"
	p := start(t, home, []string{"HOME=" + home, "OIDC_DIR=" + home, tools.libraries}, tools.folder+"oidc-agent", "--console", "--no-webserver", "--socket-path="+socket)
	if _, ok := waitFor(20*time.Second, func() bool { _, err := os.Stat(socket); return err == nil }); !ok {
		t.Fatalf("oidc-agent is not ready: %s", p.log)
	}
	return socket
}

var codePattern = regexp.MustCompile(`\b[A-Z0-9]{4}-[A-Z0-9]{4}\b`)

// userCode is the code that the person reads from the screen.
func userCode(t *testing.T, gen *process) string {
	t.Helper()
	if _, ok := waitFor(time.Minute, func() bool { return codePattern.MatchString(gen.log.String()) }); !ok {
		t.Fatalf("no code within a minute: %s", gen.log)
	}
	return codePattern.FindString(gen.log.String())
}

// allow types the code into the browser, and allows what it asks for.
func allow(t *testing.T, d *dev, code string) {
	t.Helper()
	b := newBrowser(t)
	password, _ := d.user("ada")
	p := b.send("GET", d.Issuer+"/device?user_code="+url.QueryEscape(code), nil)
	for range 8 {
		switch to := p.Header.Get("Location"); {
		case to != "":
			next, err := p.Request.URL.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			p = b.send("GET", next.String(), nil)
		case action.MatchString(p.body):
			p = b.submit(p, "ada", password)
		case p.StatusCode == 200:
			return
		}
	}
	t.Fatalf("not allowed: %d %s", p.StatusCode, p.body)
}
