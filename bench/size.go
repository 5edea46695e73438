package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// size prints what `serve` needs when nobody asks it anything.
func size(binary string) error {
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	stripped := filepath.Join(dir, "stripped")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", stripped, "./cmd/gatehouse")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	info, err := os.Stat(stripped)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	l.Close()
	if out, err := exec.Command(binary, "init", filepath.Join(dir, "i"), "--issuer", issuer).CombinedOutput(); err != nil {
		return fmt.Errorf("init: %w\n%s", err, out)
	}
	var ready []time.Duration
	memory := 0
	for range 5 {
		cmd := exec.Command(stripped, "serve", "--config", filepath.Join(dir, "i", "gatehouse.yaml"))
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return err
		}
		for time.Since(began) < 10*time.Second {
			if response, err := http.Get(issuer + "/readyz"); err == nil {
				response.Body.Close()
				break
			}
			time.Sleep(time.Millisecond)
		}
		ready = append(ready, time.Since(began))
		time.Sleep(time.Second)
		memory = resident(cmd.Process.Pid)
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	fmt.Printf("\nserve on an existing data folder\n%-34s %12s\n%-34s %9.1f MB\n%-34s %9.1f MB\n", "ready after (best of 5)", min(ready[0], ready[1], ready[2], ready[3], ready[4]).Round(time.Millisecond),
		"idle memory (resident)", float64(memory)/1024, "binary, stripped", float64(info.Size())/1e6)
	return nil
}

// resident is the resident memory of a process in KiB, from /proc.
func resident(pid int) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return n
		}
	}
	return 0
}
