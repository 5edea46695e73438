package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const auditGuide = "../docs/guides/audit-an-api.md"

// steps are the commands of the job in the guide.
func steps(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, b := range blocksOf(t, auditGuide) {
		for line := range strings.Lines(b.text) {
			if command, ok := strings.CutPrefix(strings.TrimSpace(line), "- run: "); ok && b.language == "yaml" {
				found = append(found, command)
			}
		}
	}
	if len(found) != 2 {
		t.Fatalf("the job has %d commands; this test knows 2", len(found))
	}
	return found
}

// workspace is a checkout as the job finds it: an OpenAPI document, a script that
// starts the API and writes a token, a baseline file.
func workspace(t *testing.T, api, token string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"api.yaml":                   fmt.Sprintf("openapi: 3.0.3\ninfo: { title: Orders, version: \"1\" }\nservers: [{ url: %s }]\npaths: { /orders: { get: {}, post: {} } }\n", api),
		"audit-accepted.txt":         "# nothing\n",
		"start-the-api-for-tests.sh": "#!/bin/sh\ncp " + token + " token.jwt\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// job runs the commands as a runner does: each in a shell that ends at the first
// error, the next one only if it succeeded.
func job(t *testing.T, dir, api string) (code int, output string) {
	t.Helper()
	for _, step := range steps(t) {
		cmd := exec.Command("bash", "-e", "-c", strings.ReplaceAll(step, "http://127.0.0.1:8081", api))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
		out, _ := cmd.CombinedOutput()
		output += string(out)
		if code = cmd.ProcessState.ExitCode(); code != 0 {
			return code, output
		}
	}
	return 0, output
}

// The job of the guide passes for an API behind guard, and fails for one with a
// flaw; both times there is a SARIF file to upload.
func TestGuideAuditJob(t *testing.T) {
	d := startDev(t, "--data", t.TempDir())
	defer d.stop(syscall.SIGINT)
	lab, stop := startLab(t)
	defer stop()
	for name, tc := range map[string]struct {
		api, token string
		code       int
		rules      []string
	}{
		"an API behind guard": {d.API, filepath.Join(d.Data, "ada"), 0, nil},
		"one with a flaw":     {lab.URL + "/algorithm-none", filepath.Join(lab.Data, "ES256.jwt"), 3, []string{"T01"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := workspace(t, tc.api, tc.token)
			code, output := job(t, dir, tc.api)
			content, err := os.ReadFile(filepath.Join(dir, "audit.sarif"))
			if code != tc.code || err != nil {
				t.Fatalf("exit code %d, want %d: %v\n%s", code, tc.code, err, output)
			}
			var report struct {
				Version string
				Runs    []struct {
					Results []struct{ RuleID, Kind string }
				}
			}
			if err := json.Unmarshal(content, &report); err != nil || report.Version != "2.1.0" {
				t.Fatal(err, report.Version)
			}
			var rules []string
			for _, r := range report.Runs[0].Results {
				if r.Kind == "fail" && r.RuleID[0] == 'T' {
					rules = append(rules, r.RuleID)
				}
			}
			if !slices.Equal(rules, tc.rules) {
				t.Errorf("found %v, want %v\n%s", rules, tc.rules, output)
			}
		})
	}
}

// unit is a block of the guide that is a unit file, by its name in the first line.
func unit(t *testing.T, name string) string {
	t.Helper()
	for _, b := range blocksOf(t, auditGuide) {
		if b.language == "ini" && strings.HasSuffix(strings.SplitN(b.text, "\n", 2)[0], "/"+name) {
			return b.text
		}
	}
	t.Fatalf("the guide has no %s", name)
	return ""
}

// The units are ones that systemd takes. The binary is put where this machine
// has it.
func TestGuideAuditUnitsVerify(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		notRun = append(notRun, auditGuide+": no systemd-analyze")
		return
	}
	dir := t.TempDir()
	for _, name := range []string{"gatehouse-audit.service", "gatehouse-audit.timer"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(unit(t, name), "/usr/local/bin/gatehouse", binary)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("systemd-analyze", "verify", filepath.Join(dir, "gatehouse-audit.service"), filepath.Join(dir, "gatehouse-audit.timer")).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.Command("systemd-analyze", "calendar", "*-*-* 03:00").CombinedOutput(); err != nil || !strings.Contains(unit(t, "gatehouse-audit.timer"), "OnCalendar=*-*-* 03:00\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		notRun = append(notRun, auditGuide+": the units were verified and their commands run, but systemd itself does not run here")
	}
}

// The commands of the service do what the guide says, run as systemd runs them:
// without a shell, with its variables put in, "-" for those that may fail.
func TestGuideAuditServiceRuns(t *testing.T) {
	d := startDev(t, "--data", t.TempDir())
	defer d.stop(syscall.SIGINT)
	state, credentials := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "secret"), []byte(d.Clients[1].Secret+"\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	given := strings.NewReplacer(
		"https://api.example.com/orders", d.API+"/orders", "https://id.example.com", d.Issuer, "--login-client audit", "--login-client demo-service",
		"/usr/local/bin/gatehouse", binary, "${STATE_DIRECTORY}", state, "${CREDENTIALS_DIRECTORY}", credentials)
	night := func() {
		t.Helper()
		for line := range strings.Lines(unit(t, "gatehouse-audit.service")) {
			key, command, ok := strings.Cut(strings.TrimSpace(line), "=")
			if !ok || key != "ExecStart" && key != "ExecStartPre" {
				continue
			}
			command, may := strings.CutPrefix(command, "-")
			words := strings.Fields(given.Replace(command))
			cmd := exec.Command(words[0], append(words[1:], extraRate(key)...)...)
			cmd.Env = []string{"PATH=/usr/bin:/bin"} // a service inherits nothing
			if out, err := cmd.CombinedOutput(); err != nil && !may {
				t.Fatalf("%s: %v\n%s", key, err, out)
			}
		}
	}
	night()
	night()
	out, err := exec.Command(binary, "audit", "diff", filepath.Join(state, "yesterday.json"), filepath.Join(state, "today.json")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "nothing changed") {
		t.Errorf("%v %s", err, out)
	}
}

// extraRate makes the test quicker than a night has to be.
func extraRate(key string) []string {
	if key == "ExecStart" {
		return []string{"--rate", "1000"}
	}
	return nil
}
