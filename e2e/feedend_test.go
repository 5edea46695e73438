package e2e_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A server with many readers of its feed ends as fast as one without, leaves each
// of them a whole answer, and calls none of it an error (C19).
func TestC19ServeEndsWithReaders(t *testing.T) {
	const readers = 50
	i := newInstallation(t)
	var log bytes.Buffer
	cmd := exec.Command(binary, "serve", "--config", i.config)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(t, "serve is ready", func() bool {
		answer, err := http.Get(i.issuer + "/readyz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	var reading, begun sync.WaitGroup
	for n := range readers {
		begun.Add(1)
		reading.Go(func() {
			once := sync.OnceFunc(begun.Done)
			defer once()
			answer, err := http.Get(i.issuer + "/revocations")
			if err != nil {
				t.Errorf("reader %d: %v", n, err)
				return
			}
			defer answer.Body.Close()
			lines := bufio.NewReader(answer.Body)
			for {
				line, err := lines.ReadString('\n')
				if strings.HasPrefix(line, "event: heartbeat") {
					once()
				}
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Errorf("reader %d: torn: %v", n, err)
					return
				}
			}
		})
	}
	begun.Wait()
	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	took := time.Since(began)
	reading.Wait()
	t.Logf("ended %s after SIGTERM with %d readers", took.Round(time.Millisecond), readers)
	if took > 2*time.Second {
		t.Errorf("took %s", took)
	}
	if text := log.String(); strings.Contains(text, "ERROR") || strings.Contains(text, `"level":"ERROR"`) {
		t.Errorf("the log has errors:\n%s", text)
	}
}
