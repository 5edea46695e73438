package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const connections = 32

// dev is a running `gatehouse dev`.
type dev struct {
	Issuer   string
	Audience string
	Users    []struct{ Username, Password string }
	Clients  []struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	process *os.Process
}

func overHTTP(requests, logins int) error {
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "gatehouse")
	build := exec.Command("go", "build", "-o", binary, "./cmd/gatehouse")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	d, stop, err := start(binary)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("\nOver HTTP, %d connections, SQLite synchronous=FULL, event recorded\n", connections)
	fmt.Printf("%-34s %12s %12s %12s %14s\n", "", "requests/s", "p50", "p99", "server CPU µs")
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {d.Clients[1].ID}, "client_secret": {d.Clients[1].Secret}}.Encode()
	post := func(c *http.Client, path, body string) error {
		response, err := c.Post(d.Issuer+path, "application/x-www-form-urlencoded", strings.NewReader(body))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		io.Copy(io.Discard, response.Body)
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, response.Status)
		}
		return nil
	}
	if err := load("client_credentials, ES256", requests, d.process.Pid, func(c *http.Client) error { return post(c, "/oauth/token", form) }); err != nil {
		return err
	}
	if err := load("JWKS", requests, d.process.Pid, func(c *http.Client) error { return get(c, d.Issuer+"/.well-known/jwks.json") }); err != nil {
		return err
	}
	if err := load("discovery", requests, d.process.Pid, func(c *http.Client) error { return get(c, d.Issuer+"/.well-known/openid-configuration") }); err != nil {
		return err
	}
	if err := refreshes(d, requests); err != nil {
		return err
	}
	if err := routes(d, requests); err != nil {
		return err
	}
	if err := size(binary); err != nil {
		return err
	}
	return times(d, logins)
}

func get(c *http.Client, address string) error {
	response, err := c.Get(address)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	return nil
}

func start(binary string) (dev, func(), error) {
	cmd := exec.Command(binary, "dev", "--json", "--listen", "localhost:0", "--api-listen", "localhost:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return dev{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return dev{}, nil, err
	}
	stop := func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() }
	line, err := bufio.NewReaderSize(out, 4<<20).ReadBytes('\n')
	if err != nil {
		stop()
		return dev{}, nil, fmt.Errorf("dev: %w", err)
	}
	d := dev{process: cmd.Process}
	if err := json.Unmarshal(line, &d); err != nil {
		stop()
		return dev{}, nil, fmt.Errorf("dev: %w", err)
	}
	return d, stop, nil
}

// load calls from all connections and prints rate, latency and what it cost
// the server.
func load(name string, requests, pid int, call func(*http.Client) error) error {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var next atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	before, began := cpu(pid), time.Now()
	var workers sync.WaitGroup
	for range connections {
		workers.Go(func() {
			var mine []time.Duration
			for next.Add(1) <= int64(requests) {
				start := time.Now()
				if err := call(client); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	workers.Wait()
	if failed != nil {
		return failed
	}
	took, used := time.Since(began), cpu(pid)-before
	slices.Sort(all)
	fmt.Printf("%-34s %12.0f %12s %12s %14.0f\n", name, float64(len(all))/took.Seconds(), all[len(all)/2].Round(10*time.Microsecond), all[len(all)*99/100].Round(10*time.Microsecond),
		float64(used.Microseconds())/float64(len(all)))
	return nil
}

// cpu is the processor time of a process, from /proc; 0 where there is none.
func cpu(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // the kernel counts in hundredths
}

// times prints how long failed logins take, by why they fail: the distributions
// should be the same.
func times(d dev, logins int) error {
	fmt.Printf("\nFailed logins, %d each, one after the other: an observer must not tell them apart\n%-34s %12s %12s\n", logins, "", "p50", "p95")
	classes := []struct{ name, username string }{{"known user, wrong password", "ada"}, {"unknown user", "nobody"}, {"name that nobody can have", "no body"}}
	took := make([][]time.Duration, len(classes))
	for range logins {
		for n, c := range classes {
			form := url.Values{"client_id": {d.Clients[0].ID}, "username": {c.username}, "password": {"wrong wrong wrong"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}
			start := time.Now()
			response, err := http.PostForm(d.Issuer+"/oauth/authorize-challenge", form)
			if err != nil {
				return err
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			took[n] = append(took[n], time.Since(start))
			if response.StatusCode != http.StatusBadRequest {
				return fmt.Errorf("%s: %s", c.name, response.Status)
			}
		}
	}
	for n, c := range classes {
		slices.Sort(took[n])
		fmt.Printf("%-34s %12s %12s\n", c.name, took[n][logins/2].Round(10*time.Microsecond), took[n][logins*95/100].Round(10*time.Microsecond))
	}
	return nil
}
