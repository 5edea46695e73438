package e2e_test

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the scripts of testdata/scripts, which read as a manual of
// the command line. Each has a data folder $DATA that `gatehouse dev` made,
// and the issuer $ISSUER while it runs.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../testdata/scripts",
		Setup: func(env *testscript.Env) error {
			data := filepath.Join(env.WorkDir, "data")
			cmd := exec.Command(binary, "dev", "--json", "--listen", "localhost:0", "--api-listen", "localhost:0", "--data", data)
			out, err := cmd.StdoutPipe()
			if err != nil {
				return err
			}
			if err := cmd.Start(); err != nil {
				return err
			}
			env.Defer(func() { cmd.Process.Kill(); cmd.Wait() })
			line, err := bufio.NewReader(out).ReadBytes('\n')
			if err != nil {
				return err
			}
			var r ready
			if err := json.Unmarshal(line, &r); err != nil {
				return err
			}
			env.Setenv("DATA", data)
			env.Setenv("ISSUER", r.Issuer)
			env.Setenv("API", r.API)
			env.Setenv("PATH", filepath.Dir(binary)+":"+env.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": exitCode},
	})
}

// exitCode runs a command and checks its exit code: code 2 gatehouse …
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND [ARG …]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if exit, ok := err.(*exec.ExitError); ok {
		code = string(rune('0' + exit.ExitCode()))
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}
