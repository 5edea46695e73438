package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestGuideClients makes the key as the guide says, registers it, and runs its
// programs with real libraries; Python's and Node's where they are installed.
func TestGuideClients(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		notRun = append(notRun, "docs/guides/clients.md: no openssl")
		return
	}
	blocks := blocksOf(t, "../docs/guides/clients.md")
	var shell []string
	programs := map[string]string{}
	for _, b := range blocks {
		if b.language == "" {
			shell = append(shell, b.text)
			continue
		}
		programs[b.language] = b.text
	}
	if len(shell) != 4 || len(programs) != 3 {
		t.Fatalf("the guide has %d blocks for the shell and %d programs; this test knows 4 and 3", len(shell), len(programs))
	}
	d := startDev(t, "--data", t.TempDir())
	defer d.stop(syscall.SIGINT)
	dir := t.TempDir()
	run := func(name string, command ...string) string {
		t.Helper()
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "ISSUER="+d.Issuer)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	onData := regexp.MustCompile(`(?m)^gatehouse ([^#\n]*)`)
	paste := func(n int) string {
		return run("a block of the guide", "bash", "-ec", onData.ReplaceAllString(shell[n], binary+" $1 --data "+d.Data+" "))
	}
	paste(0)
	writeProgram(t, dir, programs["go"])
	run("the Go program's build", "go", "build", "-mod=mod", "-o", "client", ".")
	programsOutput := map[string]string{"Go": run("the Go program", filepath.Join(dir, "client"))}
	if exec.Command("python3", "-c", "import jwt, requests, cryptography").Run() == nil {
		programsOutput["Python"] = run("the Python program", "python3", "-c", programs["python"])
	} else {
		notRun = append(notRun, "docs/guides/clients.md, Python: no pyjwt or requests")
	}
	if fetched("openid", "docs/guides/clients.md, Node") {
		modules, err := filepath.Abs("openid/node_modules")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "client.mjs"), []byte(programs["js"]), 0o600); err != nil {
			t.Fatal(err)
		}
		programsOutput["Node"] = run("the Node program", "node", "client.mjs")
	}
	for name, out := range programsOutput {
		if name != "Node" && !strings.Contains(out, "200") || !strings.Contains(out, "orders:read") {
			t.Errorf("%s: %s", name, out)
		}
	}
	// Keys without a gap, secrets without a gap, origins: every line works.
	for _, name := range []string{"both.json", "new.json"} {
		public, err := os.ReadFile(filepath.Join(dir, "public.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), public, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	paste(1)
	run("a service account with a secret", "bash", "-ec", binary+" service-account delete robot --yes --data "+d.Data+"; "+binary+" service-account create robot --role viewer --data "+d.Data)
	lines := strings.Split(strings.TrimSpace(shell[2]), "\n")
	shell[2] = strings.Join([]string{lines[0], lines[2], lines[1]}, "\n") // a third secret is refused while two live
	if out := paste(2); len(regexp.MustCompile(`client_secret +ghs_`).FindAllString(out, -1)) != 3 {
		t.Errorf("the rotation: %s", out)
	}
	if out := paste(3); !strings.Contains(out, "http://localhost:3000") {
		t.Errorf("the origins: %s", out)
	}
}

// writeProgram lays out a Go program with the versions of the product.
func writeProgram(t *testing.T, dir, program string) {
	t.Helper()
	sum, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	require := regexp.MustCompile(`github.com/golang-jwt/jwt/v5 v\S+`).FindString(string(mod))
	for name, content := range map[string]string{
		"main.go": program,
		"go.mod":  "module example\n\ngo 1.26.0\n\nrequire " + require + "\n",
		"go.sum":  string(sum),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
