package main

import (
	"bytes"
	"context"
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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
)

// callersOf are how many callers ask at once, each after its last answer.
var callersOf = []int{1, 32, 256}

// databaseTime is how long each figure is measured.
const databaseTime = 3 * time.Second

// databases measures what the database decides: refresh rotations, and logins
// from the session to the tokens, without the password hash. All are durable:
// SQLite with synchronous=FULL, PostgreSQL with fsync and synchronous_commit.
func databases() error {
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
	fmt.Printf("\nBy database, over HTTP, durable, %v each: answers a second (p99)\n", databaseTime)
	fmt.Printf("%-34s", "")
	for _, n := range callersOf {
		fmt.Printf(" %20s", fmt.Sprintf("%d callers", n))
	}
	fmt.Println()
	sqlite, err := newSite(binary, filepath.Join(dir, "sqlite"), "", 1)
	if err != nil {
		return err
	}
	err = sqlite.compare("SQLite")
	sqlite.close()
	if err != nil {
		return err
	}
	if err := pgtest.Missing(); err != nil {
		fmt.Println("NOT RUN: the rows of PostgreSQL:", err)
		return nil
	}
	server, err := pgtest.Run(pgtest.Config{Durable: true, Settings: map[string]string{"shared_buffers": "256MB"}})
	if err != nil {
		return err
	}
	defer server.Close()
	if err := server.CreateDatabase("bench"); err != nil {
		return err
	}
	s, err := newSite(binary, filepath.Join(dir, "postgres"), server.DSN("bench"), 3)
	if err != nil {
		return err
	}
	defer s.close()
	all := s.nodes
	for n := 1; n <= len(all); n++ {
		s.nodes = all[:n]
		if err := s.compare(fmt.Sprintf("PostgreSQL, %d serve", n)); err != nil {
			return err
		}
	}
	return nil
}

// site is some `gatehouse serve` on one database.
type site struct {
	issuer  string
	nodes   []string // addresses
	running []*exec.Cmd
	cookies [][]*http.Cookie // of each caller's session
	tokens  []string
}

const siteClient = "bench"

func newSite(binary, dir, database string, nodes int) (s *site, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s = &site{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	kek := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	if err := os.WriteFile(filepath.Join(dir, "kek"), []byte(kek), 0o600); err != nil {
		return nil, err
	}
	var first string
	for i := range nodes {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		address := l.Addr().String()
		l.Close()
		if s.issuer == "" {
			s.issuer = "http://localhost" + address[strings.LastIndexByte(address, ':'):]
		}
		config := filepath.Join(dir, fmt.Sprintf("node%d.yaml", i))
		text := fmt.Sprintf("issuer: %s\nlisten: %s\ndata: ./data%d\nkey_encryption_key: { file: ./kek }\nlimits: { connections_per_address: 2000 }\n", s.issuer, address, i)
		if database != "" {
			u, err := url.Parse(database)
			if err != nil {
				return nil, err
			}
			password, _ := u.User.Password()
			if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600); err != nil {
				return nil, err
			}
			u.User = url.User(u.User.Username())
			text += fmt.Sprintf("database: %q\ndatabase_password: { file: ./password }\n", u)
		}
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return nil, err
		}
		cmd := exec.Command(binary, "serve", "--config", config)
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		s.running, s.nodes = append(s.running, cmd), append(s.nodes, address)
		if first == "" {
			first = config
		}
		if err := s.ready(address); err != nil {
			return nil, err
		}
	}
	return s, s.furnish(binary, first)
}

func (s *site) close() {
	for _, cmd := range s.running {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
}

// client reaches a node by the issuer's name.
func (s *site) client(node string, connections int) *http.Client {
	return &http.Client{Timeout: 30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: connections, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, node)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (s *site) ready(node string) error {
	client := s.client(node, 1)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if answer, err := client.Get(s.issuer + "/readyz"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return errors.New("serve is not ready")
}

// furnish makes a client, a user, and for each caller a session and a refresh
// token of its own.
func (s *site) furnish(binary, config string) error {
	var user struct{ Password string }
	for _, args := range [][]string{
		{"api", "create", "orders", "--audience", "https://orders.example.com", "--scope", "orders:read"},
		{"role", "create", "viewer", "--scope", "orders:read"},
		{"client", "create", siteClient, "--public", "--first-party", "--redirect-uri", signOnCallback, "--scope", "openid", "--scope", "profile", "--scope", "orders:read", "--scope", "offline_access"},
		{"user", "create", "ada", "--role", "viewer", "--json"},
	} {
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "GATEHOUSE_CONFIG="+config)
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%v: %w", args, err)
		}
		if args[0] == "user" {
			if err := json.Unmarshal(out, &user); err != nil {
				return err
			}
		}
	}
	callers := callersOf[len(callersOf)-1]
	s.cookies, s.tokens = make([][]*http.Cookie, callers), make([]string, callers)
	var next atomic.Int64
	return parallelErr(4, func(int) error {
		for i := next.Add(1) - 1; i < int64(callers); i = next.Add(1) - 1 {
			if err := s.enter(int(i), user.Password); err != nil {
				return err
			}
		}
		return nil
	})
}

// enter signs in for a caller.
func (s *site) enter(i int, password string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	client := s.client(s.nodes[0], 1)
	client.Jar = jar
	defer client.CloseIdleConnections()
	answer, err := client.Get(authorizeURL(s.issuer, siteClient))
	if err != nil {
		return err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	flow := flowField.FindSubmatch(body)
	if err != nil || flow == nil {
		return fmt.Errorf("no login page: %s", answer.Status)
	}
	answer, err = client.PostForm(s.issuer+"/login", url.Values{"flow": {string(flow[1])}, "username": {"ada"}, "password": {password}})
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("login: %s", answer.Status)
	}
	u, err := url.Parse(s.issuer)
	if err != nil {
		return err
	}
	s.cookies[i] = jar.Cookies(u)
	s.tokens[i], err = s.login(client, i, " offline_access")
	return err
}

// login goes from the session of a caller to tokens: two requests.
func (s *site) login(client *http.Client, i int, scope string) (refresh string, err error) {
	r, err := http.NewRequest("GET", strings.Replace(authorizeURL(s.issuer, siteClient), "orders%3Aread", "orders%3Aread"+url.QueryEscape(scope), 1), nil)
	if err != nil {
		return "", err
	}
	for _, c := range s.cookies[i] {
		r.AddCookie(c)
	}
	jarless := *client
	jarless.Jar = nil
	answer, err := jarless.Do(r)
	if err != nil {
		return "", err
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	to, err := answer.Location()
	if err != nil || to.Query().Get("code") == "" {
		return "", fmt.Errorf("authorize: %s %v", answer.Status, to)
	}
	var tokens struct {
		Refresh string `json:"refresh_token"`
	}
	err = postJSON(&jarless, s.issuer+"/oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "code_verifier": {signOnVerifier},
		"redirect_uri": {signOnCallback}, "client_id": {siteClient}}, &tokens)
	return tokens.Refresh, err
}

func (s *site) turn(client *http.Client, i int) error {
	var answer struct {
		Refresh string `json:"refresh_token"`
	}
	err := postJSON(client, s.issuer+"/oauth/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {siteClient}, "refresh_token": {s.tokens[i]}}, &answer)
	if err == nil {
		s.tokens[i] = answer.Refresh
	}
	return err
}

// compare prints the rows of a database.
func (s *site) compare(name string) error {
	for _, what := range []struct {
		name string
		do   func(*http.Client, int) error
	}{
		{"refresh", s.turn},
		{"login", func(c *http.Client, i int) error { _, err := s.login(c, i, ""); return err }},
	} {
		fmt.Printf("%-34s", what.name+", "+name)
		for _, callers := range callersOf {
			rate, p99, refused, err := s.press(callers, what.do)
			if err != nil {
				return fmt.Errorf("%s, %s, %d callers: %w", what.name, name, callers, err)
			}
			text := fmt.Sprintf("%.0f (%v)", rate, p99.Round(time.Millisecond))
			if refused > 0 {
				text += fmt.Sprintf(" %d×503", refused)
			}
			fmt.Printf(" %20s", text)
		}
		fmt.Println()
	}
	return nil
}

// press lets callers ask for a while, spread over the nodes.
func (s *site) press(callers int, do func(*http.Client, int) error) (rate float64, p99 time.Duration, refused int64, err error) {
	var clients []*http.Client
	for _, n := range s.nodes {
		clients = append(clients, s.client(n, callers))
	}
	var mu sync.Mutex
	var all []time.Duration
	var busy atomic.Int64
	began := time.Now()
	err = parallelErr(callers, func(i int) error {
		var mine []time.Duration
		for time.Since(began) < databaseTime {
			asked := time.Now()
			err := do(clients[i%len(clients)], i)
			if err != nil && strings.Contains(err.Error(), "503 Service Unavailable") {
				busy.Add(1) // it says when to come again
				time.Sleep(100 * time.Millisecond)
				continue
			}
			if err != nil {
				return err
			}
			mine = append(mine, time.Since(asked))
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, mine...)
		return nil
	})
	took := time.Since(began)
	for _, c := range clients {
		c.CloseIdleConnections()
	}
	if err != nil {
		return 0, 0, 0, err
	}
	slices.Sort(all)
	return float64(len(all)) / took.Seconds(), all[len(all)*99/100], busy.Load(), nil
}

// parallelErr does something at once and returns the first error.
func parallelErr(times int, do func(i int) error) error {
	var all sync.WaitGroup
	faults := make([]error, times)
	for i := range times {
		all.Go(func() { faults[i] = do(i) })
	}
	all.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}
