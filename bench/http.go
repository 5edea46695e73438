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

func overHTTP(requests, logins int, tokenOnly bool) error {
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
	if given := os.Getenv("GATEHOUSE_BENCH_BINARY"); given != "" {
		binary = given // to compare builds
	}
	d, stop, err := start(binary)
	if err != nil {
		return err
	}
	defer stop()
	if err := endpoints(d, requests); err != nil || tokenOnly {
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

// endpoints measures the authority beside a server that does nothing but
// answer, in turns, so that noise meets all of them.
func endpoints(d dev, requests int) error {
	var rows []*row
	for _, floor := range []struct{ kind, name string }{{"bare-token", "floor: net/http, a POST, 700 bytes"}, {"bare-signed", "floor: the same and a signature"}} {
		address, pid, stop, err := self(floor.kind)
		if err != nil {
			return err
		}
		defer stop()
		rows = append(rows, &row{name: floor.name, pid: pid, call: func(c *http.Client) error { return post(c, address, "grant_type=client_credentials") }})
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {d.Clients[1].ID}, "client_secret": {d.Clients[1].Secret}}.Encode()
	turn, err := refreshes(d)
	if err != nil {
		return err
	}
	rows = append(rows, []*row{
		{name: "client_credentials, ES256", call: func(c *http.Client) error { return post(c, d.Issuer+"/oauth/token", form) }},
		{name: "refresh rotation, ES256", call: turn},
		{name: "JWKS", call: func(c *http.Client) error { return get(c, d.Issuer+"/.well-known/jwks.json") }},
		{name: "discovery", call: func(c *http.Client) error { return get(c, d.Issuer+"/.well-known/openid-configuration") }},
	}...)
	for _, r := range rows {
		if r.pid == 0 {
			r.pid = d.process.Pid
		}
	}
	if err := measure(rows, requests); err != nil {
		return err
	}
	fmt.Printf("\nOver HTTP, %d connections, SQLite synchronous=FULL, event recorded; the best of %d rounds\n", connections, rounds)
	printRows(rows, rows[1].best.cpu)
	return nil
}

func post(c *http.Client, address, body string) error {
	response, err := c.Post(address, "application/x-www-form-urlencoded", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, response.Status)
	}
	return nil
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

// rounds is how often each row is measured; the best counts.
const rounds = 5

// row is one thing to measure. Its server is the process pid.
type row struct {
	name string
	pid  int
	call func(*http.Client) error
	best figure
}

// figure is what one round of a row gave.
type figure struct {
	rate     float64 // requests a second
	p50, p99 time.Duration
	cpu      time.Duration // of the server, for each request
}

// measure runs all rows in turns and keeps for each the round that cost its
// server least.
func measure(rows []*row, requests int) error {
	for range rounds {
		for _, r := range rows {
			if r.call == nil { // measured before
				continue
			}
			if !strings.Contains(r.name, *rowName) && !strings.HasPrefix(r.name, "floor") {
				continue
			}
			f, err := load(r, requests)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if r.best.rate == 0 || f.cpu < r.best.cpu {
				r.best = f
			}
		}
	}
	return nil
}

func printRows(rows []*row, floor time.Duration) {
	fmt.Printf("%-34s %12s %12s %12s %16s %8s\n", "", "requests/s", "p50", "p99", "server CPU µs", "ratio")
	for _, r := range rows {
		if r.best.rate == 0 {
			continue
		}
		fmt.Printf("%-34s %12.0f %12s %12s %16.0f %8.2f\n", r.name, r.best.rate, r.best.p50.Round(10*time.Microsecond), r.best.p99.Round(10*time.Microsecond), micros(r.best.cpu), float64(r.best.cpu)/float64(floor))
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// load calls from all connections.
func load(r *row, requests int) (figure, error) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	before, began := cpu(r.pid), time.Now()
	var workers sync.WaitGroup
	for range connections {
		workers.Go(func() {
			var mine []time.Duration
			for next.Add(1) <= int64(requests) {
				start := time.Now()
				if err := r.call(client); err != nil {
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
		return figure{}, failed
	}
	took, used := time.Since(began), cpu(r.pid)-before
	slices.Sort(all)
	return figure{float64(len(all)) / took.Seconds(), all[len(all)/2], all[len(all)*99/100], used / time.Duration(len(all))}, nil
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
