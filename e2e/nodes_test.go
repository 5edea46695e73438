package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// beside starts a second `gatehouse serve` on the data of an installation. It
// returns the process, where it answers, and where its metrics are.
func (i installation) beside() (cmd *exec.Cmd, address, metrics string) {
	i.t.Helper()
	text, err := os.ReadFile(i.config)
	if err != nil {
		i.t.Fatal(err)
	}
	address, metrics = free(i.t), free(i.t)
	config := filepath.Join(filepath.Dir(i.config), "beside.yaml")
	i.write(config, regexp.MustCompile(`listen: .*`).ReplaceAllString(string(text), "listen: "+address)+"metrics: { listen: '"+metrics+"' }\n")
	cmd = exec.Command(binary, "serve", "--config", config)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { cmd.Process.Signal(syscall.SIGCONT); cmd.Process.Kill(); cmd.Wait() })
	eventually(i.t, "the second serve is ready", func() bool {
		response, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == 200
	})
	return cmd, address, metrics
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A process that was stopped while the key it knew was retired, and its lease
// went to another, signs with no removed key when it goes on, from its very
// first answer; nor does it take back what is not its any more.
func TestC24AStoppedProcessSignsWithNoRetiredKey(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	tr := newTraffic(t, i)
	sleeper, address, metrics := i.beside()
	token := func(client *http.Client) (string, error) {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"robot"}, "client_secret": {tr.secret}}
		r, err := http.NewRequest("POST", "http://"+address+"/oauth/token", strings.NewReader(form.Encode()))
		if err != nil {
			return "", err
		}
		r.Host = strings.TrimPrefix(i.issuer, "http://")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		var a answer
		if err := json.NewDecoder(response.Body).Decode(&a); err != nil || response.StatusCode != 200 {
			return "", fmt.Errorf("%d %v", response.StatusCode, err)
		}
		return kidOf(t, a.Access), nil
	}
	client := newClient("127.0.0.1")
	for round := range 2 {
		old, err := token(client)
		if err != nil {
			t.Fatal(err)
		}
		sleeper.Process.Signal(syscall.SIGSTOP)
		var next struct{ ID string }
		if err := json.Unmarshal(i.stdout("key", "retire", old, "--json"), &next); err != nil {
			t.Fatal(err)
		}
		time.Sleep([]time.Duration{1200 * time.Millisecond, 12 * time.Second}[round])
		// Asked before it goes on, so that the answers are the first that it gives.
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if kid, err := token(newClient("127.0.0.1")); err != nil || kid != next.ID {
					t.Errorf("round %d: signed with %s, want %s: %v", round, kid, next.ID, err)
				}
			})
		}
		time.Sleep(200 * time.Millisecond)
		sleeper.Process.Signal(syscall.SIGCONT)
		all.Wait()
		if slices.Contains(kids(t, i.issuer), old) {
			t.Errorf("round %d: the retired key is published", round)
		}
	}
	response, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(text), `gatehouse_lease_holder{duty="keys"`) {
		t.Errorf("%s %v", text, err)
	}
	if m := regexp.MustCompile(`(?m)^gatehouse_revocation_delay_seconds (\S+)`).FindSubmatch(text); m != nil {
		t.Logf("the canary measured %s s", m[1])
	}
}
