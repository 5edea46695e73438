package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the gatehouse that all tests run, built once from the tree.
var binary string

// notRun collects what this machine lacks; it is printed at the end, so that
// nothing counts as passed that was not run.
var notRun []string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gatehouse-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "gatehouse")
	build := exec.Command("go", "build", "-o", binary, "./cmd/gatehouse")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	if chromium.stop != nil {
		chromium.stop()
	}
	if len(notRun) > 0 {
		fmt.Println("NOT RUN on this machine:")
		for _, line := range notRun {
			fmt.Println("  " + line)
		}
	}
	os.RemoveAll(dir)
	os.Exit(code)
}
