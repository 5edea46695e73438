package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
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
)

// auditReport is what these tests read of a report.
type auditReport struct {
	Targets []struct {
		URL        string `json:"url"`
		Measurable bool   `json:"measurable"`
	} `json:"targets"`
	Results []struct {
		ID      string `json:"id"`
		Verdict string `json:"verdict"`
		Reason  string `json:"reason"`
	} `json:"results"`
}

// audit runs the auditor as a user does and reads its report.
func audit(t *testing.T, code int, args ...string) auditReport {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(binary, append(append([]string{"audit"}, args...), "--format", "json", "--rate", "1000", "-q")...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var report auditReport
	if cmd.ProcessState.ExitCode() != code || json.Unmarshal(out.Bytes(), &report) != nil {
		t.Fatalf("%v: %v\n%s%s", args, err, out.String(), errs.String())
	}
	return report
}

func (r auditReport) count(verdict string) int {
	n := 0
	for _, result := range r.Results {
		if result.Verdict == verdict {
			n++
		}
	}
	return n
}

// The auditor gets tokens of its own as a client of the authority, and takes
// its targets from a list or from an OpenAPI document.
func TestAuditAsAClient(t *testing.T) {
	d := startDev(t, "--data", t.TempDir())
	defer d.stop(syscall.SIGINT)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := ""
	for _, c := range d.Clients {
		if c.ID == "demo-service" {
			secret = c.Secret
		}
	}
	login := []string{"--login-client", "demo-service", "--login-secret", "@" + write("secret", secret), "--issuer", d.Issuer, "--audience", d.Audience, "--only", "T01", "--only", "T05"}
	document := write("openapi.yaml", fmt.Sprintf(`openapi: 3.0.3
info: { title: Orders, version: "1" }
servers: [{ url: %s }]
components: { securitySchemes: { token: { type: http, scheme: bearer } } }
paths:
  /orders:
    get: { security: [{ token: [] }], responses: { "200": { description: ok } } }
`, d.API))
	list := write("targets", d.API+"/orders\nGET "+d.API+"/orders?page=2\n")
	for name, tc := range map[string]struct {
		args    []string
		targets int
	}{
		"one address":         {[]string{d.API + "/orders"}, 1},
		"a list":              {[]string{"--targets", list}, 2},
		"an OpenAPI document": {[]string{d.API, "--openapi", document}, 1},
	} {
		report := audit(t, 0, append(tc.args, login...)...)
		if len(report.Targets) != tc.targets || report.count("RESISTED") != 2*tc.targets || report.count("VULNERABLE") != 0 {
			t.Errorf("%s: %+v", name, report)
		}
		for _, target := range report.Targets {
			if !target.Measurable {
				t.Errorf("%s: %s could not be measured", name, target.URL)
			}
		}
	}
}

// T01 to T79: our gateway before an API that checks nothing, with the auditor
// as its issuer, so that also signed tokens that are wrong are sent.
func TestAuditOfTheGateway(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "orders") }))
	defer upstream.Close()
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	issuer, listen := free(), free()
	var log bytes.Buffer
	gateway := exec.Command(binary, "gateway", "--to", upstream.URL, "--issuer", "http://"+issuer, "--audience", "https://api.example.com", "--listen", listen)
	gateway.Stdout, gateway.Stderr = &log, &log
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		gateway.Process.Signal(syscall.SIGTERM)
		gateway.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	for range 100 {
		if c, err := net.Dial("tcp", listen); err == nil {
			c.Close()
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	report := audit(t, 0, "http://"+listen+"/", "--lab-listen", issuer, "--audience", "https://api.example.com")
	if n := report.count("RESISTED"); report.count("VULNERABLE")+report.count("SUSPECT") > 0 || n < 50 {
		t.Errorf("%d resisted: %+v", n, report)
	}
	for _, result := range report.Results {
		if strings.Contains(" T51 T54 T79 ", " "+result.ID+" ") && result.Verdict != "RESISTED" {
			t.Errorf("%s, which takes an issuer's key: %s %s", result.ID, result.Verdict, result.Reason)
		}
	}
}

// broken is the line that `audit lab --json` prints when it is ready.
type broken struct{ URL, Data string }

// startLab starts the broken APIs on a free port.
func startLab(t *testing.T) (broken, func()) {
	t.Helper()
	cmd := exec.Command(binary, "audit", "lab", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--json")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var b broken
	if err := json.NewDecoder(out).Decode(&b); err != nil {
		t.Fatal(err)
	}
	return b, func() { cmd.Process.Kill(); cmd.Wait() }
}
