package targets_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/lab"
)

// target is one server.
type target struct {
	name   string
	rows   string // the rows that show its flaw; "" for a fixed version
	secret bool   // its tokens are signed with a secret
}

var node = []target{
	{"fast-jwt-3.3.1", "T05", false},       // CVE-2023-48223: a key in PKCS #1 is taken for a secret
	{"fast-jwt-6.0.1", "T05", false},       // CVE-2026-34950: so is one behind a line break
	{"jws-4.0.0", "T11", true},             // CVE-2025-65945: no secret is an empty one
	{"node-jose-0.10.0", "T25 T26", false}, // CVE-2018-0114: the key of the header. 0.9.2 needs two forks that no registry has
	{"jwt-simple-0.5.2", "T05", false},     // CVE-2016-10555
	{"hono-4.11.3", "T05", false},          // CVE-2026-22817: no algorithm is HS256
	{"fast-jwt-fixed", "", false}, {"hono-fixed", "", false}, {"node-jose-fixed", "", false}, {"jwt-simple-fixed", "", false}, {"jws-fixed", "", true},
}

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gatehouse-targets-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "gatehouse")
	build := exec.Command("go", "build", "-o", binary, "./cmd/gatehouse")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// world is an issuer that all servers trust, and its files.
type world struct {
	dir    string
	issuer *lab.Issuer
	secret string
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{dir: t.TempDir(), secret: "k8Jz0qVv3mQy7tRr1nXx5pLc9bGd2fHs"}
	var err error
	if w.issuer, err = lab.NewIssuer("https://issuer.lab.invalid", "https://orders.lab.invalid", jose.RS256, jose.ES256); err != nil {
		t.Fatal(err)
	}
	signer, err := w.issuer.Signer(jose.RS256)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(map[string]any{"issuer": w.issuer.URL(), "audience": w.issuer.Audience(), "rsa": signer.Key(), "secrets": map[string]string{"usr_lab": w.secret}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(w.issuer.Keys())
	if err != nil {
		t.Fatal(err)
	}
	rs, err := signer.Sign("JWT", w.issuer.Claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	hs, err := w.issuer.SecretToken(w.secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"keys.json": string(keys), "jwks.json": string(set), "rs.jwt": rs, "hs.jwt": hs} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// serve starts a server and returns its address.
func (w world) serve(t *testing.T, command ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "KEYS="+filepath.Join(w.dir, "keys.json"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	timer := time.AfterFunc(15*time.Second, cancel) // whoever does not start is ended
	defer timer.Stop()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("%v did not start: %v", command, err)
	}
	var ready struct{ Port int }
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d/orders", ready.Port)
}

type report struct {
	Targets []struct {
		Measurable bool
		Reason     string
	}
	Results []struct{ ID, Verdict, Severity, Reason string }
	Notes   []string
}

// audit runs the auditor as a user would: a token and the issuer's key set.
func (w world) audit(t *testing.T, url string, tg target) (report, int) {
	t.Helper()
	token := "rs.jwt"
	if tg.secret {
		token = "hs.jwt"
	}
	return w.run(t, url, "--token", "@"+filepath.Join(w.dir, token), "--jwks", filepath.Join(w.dir, "jwks.json"))
}

// run is the auditor with any arguments.
func (w world) run(t *testing.T, args ...string) (report, int) {
	t.Helper()
	cmd := exec.Command(binary, append(append([]string{"audit"}, args...), "--format", "json", "--quiet", "--rate", "1000")...)
	out, err := cmd.Output()
	code := cmd.ProcessState.ExitCode()
	if err != nil && code != 3 && code != 5 {
		t.Fatalf("exit code %d: %v", code, err)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r, code
}

// TestLibraries audits every library at a version with a flaw, which is found
// by the right row, and at one without, where nothing is.
func TestLibraries(t *testing.T) {
	if _, err := os.Stat("node/node_modules"); err != nil {
		t.Fatal("the libraries are not there. Fetch them with: make -C e2e/targets libraries")
	}
	w := newWorld(t)
	planted, found, falsely := 0, 0, 0
	began := time.Now()
	for _, tg := range node {
		t.Run(tg.name, func(t *testing.T) {
			r, code := w.audit(t, w.serve(t, "node", "node/server.mjs", tg.name), tg)
			if !r.Targets[0].Measurable {
				t.Fatalf("not measured: %s", r.Targets[0].Reason)
			}
			var got []string
			for _, one := range r.Results {
				if one.Verdict == "VULNERABLE" && one.Severity != "info" {
					got = append(got, one.ID)
					if !strings.Contains(tg.rows, one.ID) {
						falsely++
						t.Errorf("%s %s", one.ID, one.Reason)
					} else {
						found++
					}
				}
			}
			planted += len(strings.Fields(tg.rows))
			slices.Sort(got)
			if strings.Join(got, " ") != tg.rows {
				t.Errorf("found %q, want %q", strings.Join(got, " "), tg.rows)
			}
			if want := map[bool]int{true: 3}[tg.rows != ""]; code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
		})
	}
	t.Logf("%d targets in %s: planted %d, found %d (recall %.2f), not planted but found %d (precision %.2f)", len(node), time.Since(began).Round(time.Second), planted, found, float64(found)/float64(max(planted, 1)), falsely, float64(found)/float64(max(found+falsely, 1)))
}
