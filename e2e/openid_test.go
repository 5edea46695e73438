package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// fetched makes sure that the packages that package.json of a folder pins are
// there. They are fetched once, by npm, into a folder that is not committed.
func fetched(folder, what string) bool {
	lack := ""
	if _, err := exec.LookPath("node"); err != nil {
		lack = "no node"
	} else if !sameFile(folder+"/package-lock.json", folder+"/node_modules/installed") {
		if _, err := exec.LookPath("npm"); err != nil {
			lack = "no npm"
		} else {
			install := exec.Command("npm", "ci", "--no-progress")
			install.Dir = folder
			if out, err := install.CombinedOutput(); err != nil {
				lack = fmt.Sprintf("npm ci: %v: %.200s", err, out)
			} else if lock, err := os.ReadFile(folder + "/package-lock.json"); err == nil {
				os.WriteFile(folder+"/node_modules/installed", lock, 0o644)
			}
		}
	}
	if lack != "" {
		notRun = append(notRun, what+": "+lack)
	}
	return lack == ""
}

func sameFile(a, b string) bool {
	first, err := os.ReadFile(a)
	if err != nil {
		return false
	}
	second, err := os.ReadFile(b)
	return err == nil && bytes.Equal(first, second)
}

// TestOpenIDClients runs relying parties that this project did not write
// against gatehouse dev: as an app with a secret, which users are asked about,
// and as a native app that has nothing but the issuer's URL, a client id and a
// redirect URI.
func TestOpenIDClients(t *testing.T) {
	if !fetched("openid", "client libraries of OpenID Connect") {
		return
	}
	d := startDev(t, "--data", t.TempDir())
	defer d.stop(syscall.SIGINT)
	const callback, bye = "https://relying.example.com/callback", "https://relying.example.com/bye"
	out, err := exec.Command(binary, "client", "create", "relying", "--name", "Relying party", "--confidential", "--device", "--redirect-uri", callback, "--post-logout-redirect-uri", bye,
		"--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "orders:read", "--json", "--data", d.Data).Output()
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(out, &made); err != nil || made.Secret == "" {
		t.Fatalf("%v %s", err, out)
	}
	native := fmt.Sprintf("http://127.0.0.1:%d/callback", 49152+time.Now().UnixNano()%10000)
	for _, tc := range []struct {
		name, script, client, secret, redirect, bye string
		done                                        int
		sees                                        []string
	}{
		{"openid-client, with a secret", "relying-party.mjs", "relying", made.Secret, callback, bye, 11, []string{"Sign in to Relying party", "Allow Relying party to use your account?", "Allow Relying party on your device?"}},
		{"openid-client, native", "relying-party.mjs", "demo-app", "", native, "", 8, []string{"Sign in to Demo app", "Allow Demo app on your device?", "You are signed out"}},
		{"oauth4webapi", "oauth4webapi.mjs", "relying", made.Secret, callback, bye, 4, []string{"Sign in to Relying party"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPerson(t, d.Issuer, "ada", d.Users[0].Password)
			done := p.accompanies(tc.script, "ISSUER="+d.Issuer, "CLIENT_ID="+tc.client, "CLIENT_SECRET="+tc.secret, "REDIRECT_URI="+tc.redirect, "POST_LOGOUT="+tc.bye, "SCOPE=openid profile email orders:read")
			if len(done) != tc.done {
				t.Errorf("%d steps, want %d: %q", len(done), tc.done, done)
			}
			for _, heading := range tc.sees {
				if !slices.Contains(p.seen, heading) {
					t.Errorf("no page %q among %q", heading, p.seen)
				}
			}
		})
	}
}

// accompanies runs a script, and opens for it what it wants opened.
func (p *person) accompanies(script string, environment ...string) (done []string) {
	p.t.Helper()
	cmd := exec.Command("node", script)
	cmd.Dir = "openid"
	cmd.Env = append(os.Environ(), environment...)
	trouble := &syncBuffer{}
	cmd.Stderr = trouble
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var line struct{ Open, Done, Device, Code string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			p.t.Errorf("the script prints %s", lines.Bytes())
			continue
		}
		switch {
		case line.Open != "":
			io.WriteString(in, p.opens(line.Open)+"\n")
		case line.Device != "":
			if end := p.opens(line.Device + "?" + url.Values{"user_code": {line.Code}}.Encode()); end != "" {
				p.t.Errorf("the device's page leads to %s", end)
			}
		default:
			done = append(done, line.Done)
		}
	}
	if err := cmd.Wait(); err != nil {
		p.t.Errorf("%s: %v\n%s", script, err, trouble)
	}
	return done
}
