package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What a sign-on may cost.
const (
	signOnAim    = time.Millisecond // of CPU, without the password hash
	pageAim      = 30 << 10         // bytes over the wire, everything the login page loads
	scriptAim    = 6 << 10
	signOnRounds = 5
	floorEnv     = "GATEHOUSE_BENCH_SIGNON_FLOOR"
)

// signOns measures what single sign-on costs: from an existing session to
// tokens, and what the login page weighs.
func signOns(requests int) {
	if err := measureSignOn(requests); err != nil {
		fmt.Fprintln(os.Stderr, "bench: sign-on:", err)
		os.Exit(1)
	}
}

// visit is a browser at the authority with a session, and the app behind it.
type visit struct {
	client *http.Client
	issuer string
}

const (
	signOnVerifier = "a-code-verifier-that-is-long-enough-for-RFC-7636"
	signOnCallback = "https://app.example.com/cb"
)

func authorizeURL(issuer, client string) string {
	challenge := sha256.Sum256([]byte(signOnVerifier))
	return issuer + "/oauth/authorize?" + url.Values{"client_id": {client}, "redirect_uri": {signOnCallback}, "response_type": {"code"}, "scope": {"openid profile orders:read"},
		"state": {"af0ifjsldkj"}, "nonce": {"n-0S6_WzA2Mj"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}.Encode()
}

// signOn goes from the session to tokens: two requests, one commit.
func (v visit) signOn(client, secret string) error {
	answer, err := v.client.Get(authorizeURL(v.issuer, client))
	if err != nil {
		return err
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	to, err := answer.Location()
	if err != nil || to.Query().Get("code") == "" {
		return fmt.Errorf("authorize: %s %v", answer.Status, to)
	}
	var tokens struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
	}
	err = postJSON(v.client, v.issuer+"/oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "code_verifier": {signOnVerifier},
		"redirect_uri": {signOnCallback}, "client_id": {client}, "client_secret": {secret}}, &tokens)
	if err == nil && (tokens.Access == "" || tokens.ID == "") {
		err = errors.New("token: no access token or no ID token")
	}
	return err
}

var flowField = regexp.MustCompile(`name="flow" value="([^"]+)"`)

// enter signs a person in with the login page, as a browser does.
func enter(issuer, client, username, password string) (visit, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return visit{}, err
	}
	v := visit{issuer: issuer, client: &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	answer, err := v.client.Get(authorizeURL(issuer, client))
	if err != nil {
		return visit{}, err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	flow := flowField.FindSubmatch(body)
	if err != nil || flow == nil {
		return visit{}, fmt.Errorf("no login page: %s", answer.Status)
	}
	answer, err = v.client.PostForm(issuer+"/login", url.Values{"flow": {string(flow[1])}, "username": {username}, "password": {password}})
	if err != nil {
		return visit{}, err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		return visit{}, fmt.Errorf("login: %s", answer.Status)
	}
	return v, nil
}

// signOnRow is one line of the table.
type signOnRow struct {
	name string
	pid  int
	call func(n int) error
	rate float64
	p50  time.Duration
	cpu  time.Duration
	// crypto is what its signatures cost by themselves.
	crypto time.Duration
}

func measureSignOn(requests int) error {
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
	data := filepath.Join(dir, "data")
	d, stop, err := startIn(binary, data)
	if err != nil {
		return err
	}
	defer stop()
	es256, rs256 := cost(signES256()), cost(signRS256())
	fmt.Printf("\nSign-on: an existing session, GET /oauth/authorize, POST /oauth/token with an ID token and a refresh token\n"+
		"golang crypto alone, CPU: one ES256 signature %s, one RS256 signature %s\n", es256, rs256)
	rows, err := signOnRows(d, binary, data)
	if err != nil {
		return err
	}
	floor, stopFloor, err := signOnFloor()
	if err != nil {
		return err
	}
	defer stopFloor()
	rows[0].crypto, rows[1].crypto, floor.crypto = 2*es256, es256+rs256, 2*es256
	rows = append([]*signOnRow{floor}, rows...)
	for range signOnRounds {
		for _, r := range rows {
			if err := r.round(max(1000, requests/4)); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	fmt.Printf("%-46s %12s %10s %14s %20s   the best of %d rounds, %d connections\n", "", "sign-ons/s", "p50", "server CPU µs", "without signatures", signOnRounds, connections)
	for _, r := range rows {
		fmt.Printf("%-46s %12.0f %10s %14d %20d\n", r.name, r.rate, r.p50.Round(10*time.Microsecond), r.cpu.Microseconds(), (r.cpu - r.crypto).Microseconds())
	}
	fmt.Printf("aim %s: %s with an ES256 ID token; %s with RS256, whose two signatures alone are %s\n", signOnAim, verdict(rows[1].cpu <= signOnAim), verdict(rows[2].cpu <= signOnAim), rows[2].crypto)
	return loginPage(d.Issuer)
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "MISSED"
}

// signOnRows registers a client for each algorithm and signs somebody in on
// each connection.
func signOnRows(d dev, binary, data string) ([]*signOnRow, error) {
	var rows []*signOnRow
	for _, algorithm := range []string{"ES256", "RS256"} {
		id := "bench-" + strings.ToLower(algorithm)
		out, err := exec.Command(binary, "client", "create", id, "--confidential", "--first-party", "--redirect-uri", signOnCallback, "--id-token-alg", algorithm,
			"--scope", "openid", "--scope", "profile", "--scope", "orders:read", "--data", data, "--json").Output()
		if err != nil {
			return nil, fmt.Errorf("create client: %w", err)
		}
		var created struct {
			Secret string `json:"client_secret"`
		}
		if err := json.Unmarshal(out, &created); err != nil {
			return nil, fmt.Errorf("create client: %w", err)
		}
		visits := make([]visit, connections)
		for n := range visits {
			if visits[n], err = enter(d.Issuer, id, d.Users[0].Username, d.Users[0].Password); err != nil {
				return nil, err
			}
		}
		rows = append(rows, &signOnRow{name: "authorize → code → tokens, ID token " + algorithm, pid: d.process.Pid, call: func(n int) error { return visits[n].signOn(id, created.Secret) }})
	}
	return rows, nil
}

// round runs all connections and keeps the figures if the server needed less
// than in any round before.
func (r *signOnRow) round(total int) error {
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	before, began := cpu(r.pid), time.Now()
	var workers sync.WaitGroup
	for n := range connections {
		workers.Go(func() {
			for next.Add(1) <= int64(total) {
				start := time.Now()
				err := r.call(n)
				mu.Lock()
				if err != nil {
					failed = err
				}
				took = append(took, time.Since(start))
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	workers.Wait()
	if failed != nil {
		return failed
	}
	all, used := time.Since(began), (cpu(r.pid)-before)/time.Duration(len(took))
	if r.rate == 0 || used < r.cpu {
		slices.Sort(took)
		r.rate, r.p50, r.cpu = float64(len(took))/all.Seconds(), took[len(took)/2], used
	}
	return nil
}

// startIn is `gatehouse dev` in a folder, where the command line can register
// clients beside it.
func startIn(binary, data string) (dev, func(), error) {
	cmd := exec.Command(binary, "dev", "--json", "--data", data, "--listen", "localhost:0", "--api-listen", "localhost:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return dev{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return dev{}, nil, err
	}
	stop := func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() }
	d := dev{process: cmd.Process}
	line, err := bufio.NewReaderSize(out, 4<<20).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &d)
	}
	if err != nil {
		stop()
		return dev{}, nil, fmt.Errorf("dev: %w", err)
	}
	return d, stop, nil
}

// signOnFloor is the least that two such requests can cost: net/http, a
// redirect, a form, an answer of that size and two ES256 signatures.
func signOnFloor() (*signOnRow, func(), error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), floorEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() { cmd.Process.Kill(); cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("floor: %w", err)
	}
	v := visit{issuer: "http://" + strings.TrimSpace(line), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	return &signOnRow{name: "floor: net/http, both requests, two ES256", pid: cmd.Process.Pid, call: func(int) error { return v.signOn("x", "y") }}, stop, nil
}

func serveSignOnFloor() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /oauth/authorize", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?code="+strings.Repeat("x", 500), http.StatusSeeOther)
	})
	sign := signES256()
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil {
			return
		}
		sign()
		sign()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"id_token":%q}`, strings.Repeat("x", 700), strings.Repeat("x", 700))
	})
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(err)
	fmt.Println(l.Addr())
	time.AfterFunc(5*time.Minute, func() { os.Exit(0) })
	check(http.Serve(l, mux))
}

func signES256() func() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	digest := sha256.Sum256([]byte("x"))
	return func() {
		_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		check(err)
	}
}

func signRS256() func() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	digest := sha256.Sum256([]byte("x"))
	return func() {
		_, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		check(err)
	}
}

// cost is the CPU time of one call: the best of a few rounds.
func cost(call func()) time.Duration {
	best := time.Hour
	for range signOnRounds {
		const times = 300
		before := ownCPU()
		for range times {
			call()
		}
		best = min(best, (ownCPU()-before)/times)
	}
	return best.Round(time.Microsecond)
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var (
	assetPattern  = regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)"`)
	importPattern = regexp.MustCompile(`(?:import|from)\s*["'](\./[^"']+)["']`)
)

// counted counts what is read from a connection.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// fetch loads an address over a connection of its own and returns the bytes
// that came, headers included, and the text.
func fetch(address, accept string) (int, []byte, error) {
	var n atomic.Int64
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, to)
		return counted{c, &n}, err
	}}
	r, err := http.NewRequest("GET", address, nil)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Accept-Encoding", accept)
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", address, answer.Status)
	}
	return int(n.Load()), text, err
}

// loginPage loads what a browser loads.
func loginPage(issuer string) error {
	size := func(address string) (int, []byte, error) {
		_, text, err := fetch(address, "identity") // to be read
		if err != nil {
			return 0, nil, err
		}
		n, _, err := fetch(address, "gzip, deflate, br, zstd")
		return n, text, err
	}
	address := authorizeURL(issuer, "bench-es256")
	total, text, err := size(address)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), `action="/login"`) {
		return errors.New("not the login page")
	}
	fmt.Printf("\nLogin page over the wire, bytes with headers, as a browser asks\n%-46s %8d\n", "page", total)
	script, seen := 0, map[string]bool{}
	var load func(text []byte, base string, pattern *regexp.Regexp) error
	load = func(text []byte, base string, pattern *regexp.Regexp) error {
		for _, m := range pattern.FindAllSubmatch(text, -1) {
			path := string(m[1])
			if strings.HasPrefix(path, "./") {
				path = base + path[2:]
			}
			if seen[path] {
				continue
			}
			seen[path] = true
			n, content, err := size(issuer + path)
			if err != nil {
				return err
			}
			fmt.Printf("%-46s %8d\n", path, n)
			total += n
			if strings.HasSuffix(path, ".js") {
				script += n
				if err := load(content, path[:strings.LastIndexByte(path, '/')+1], importPattern); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := load(text, "", assetPattern); err != nil {
		return err
	}
	fmt.Printf("%-46s %8d   aim %d: %s\n%-46s %8d   aim %d: %s\n", "in total", total, pageAim, verdict(total <= pageAim), "of which script", script, scriptAim, verdict(script <= scriptAim))
	return nil
}
