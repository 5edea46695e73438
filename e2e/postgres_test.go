package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
)

// house is an installation of several `gatehouse serve` on one PostgreSQL.
// Administration goes by the first one's configuration.
type house struct {
	installation
	server   *pgtest.Server // nil when the test has another way to its database
	database string
	nodes    []*node

	app      string // a public client with a login page
	password string // of ada
	secret   string // of the service account robot
}

// node is one `gatehouse serve`.
type node struct {
	t       *testing.T
	address string // where it listens
	config  string
	issuer  string
	log     *logged
	wrap    []string // before the command, such as nsenter
	program string   // gatehouse when empty
	env     []string
	dialer  func(ctx context.Context, network, address string) (net.Conn, error)
	cmd     *exec.Cmd
	ended   chan struct{} // closed when cmd is, with fault
	fault   error
}

// logged keeps what a process says.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// postgres is the server that the tests of this package share.
func postgres(t *testing.T) *pgtest.Server {
	t.Helper()
	needPostgres(t)
	return pgtest.Start(t)
}

// ownPostgres is a server that a test may break. It writes to the disk as a
// real one does.
func ownPostgres(t *testing.T) *pgtest.Server {
	t.Helper()
	needPostgres(t)
	return pgtest.StartOwn(t, pgtest.Config{Durable: true})
}

func needPostgres(t *testing.T) {
	t.Helper()
	if err := pgtest.Missing(); err != nil {
		notRun = append(notRun, t.Name()+": "+err.Error())
		t.SkipNow()
	}
}

func needPgBouncer(t *testing.T) {
	t.Helper()
	if err := pgtest.MissingPgBouncer(); err != nil {
		notRun = append(notRun, t.Name()+": "+err.Error())
		t.SkipNow()
	}
}

// newHouse configures nodes on a database, whose address may lead through
// something on the way, and starts them.
func newHouse(t *testing.T, server *pgtest.Server, dsn string, nodes int) *house {
	t.Helper()
	h := &house{installation: newInstallation(t), server: server, database: databaseOf(dsn)}
	h.configure(dsn, nodes)
	for _, n := range h.nodes {
		n.start()
	}
	return h
}

func databaseOf(dsn string) string {
	_, rest, _ := strings.Cut(dsn, "://")
	_, name, _ := strings.Cut(rest, "/")
	name, _, _ = strings.Cut(name, "?")
	return name
}

func (h *house) configure(dsn string, nodes int) {
	h.t.Helper()
	dir := filepath.Dir(h.config)
	address, err := url.Parse(dsn)
	if err != nil {
		h.t.Fatal(err)
	}
	password, _ := address.User.Password() // not in the configuration itself
	h.write(filepath.Join(dir, "password"), password)
	address.User = url.User(address.User.Username())
	for i := range nodes {
		port := strconv.Itoa(lowPort(h.t))
		config := h.config
		if i > 0 {
			config = filepath.Join(dir, fmt.Sprintf("node%d.yaml", i))
		}
		h.write(config, fmt.Sprintf("issuer: %s\nlisten: 127.0.0.1:%s\ndata: ./data%d\ndatabase: %q\ndatabase_password: { file: ./password }\nkey_encryption_key: { file: ./kek }\n", h.issuer, port, i, address))
		h.nodes = append(h.nodes, &node{t: h.t, address: "127.0.0.1:" + port, config: config, issuer: h.issuer, log: &logged{}, dialer: new(net.Dialer).DialContext})
	}
}

// lowPort is a free port below those that outgoing connections get.
func lowPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10000 + int(time.Now().UnixNano()%7000)
		if l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// launch runs `gatehouse serve` without waiting for it.
func (n *node) launch() {
	n.t.Helper()
	args := append(append([]string{}, n.wrap...), cmp.Or(n.program, binary), "serve", "--config", n.config)
	n.cmd = exec.Command(args[0], args[1:]...)
	n.cmd.Env = append(append(os.Environ(), "GOTRACEBACK=all"), n.env...)
	n.cmd.Stderr, n.cmd.Stdout = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	cmd, ended := n.cmd, make(chan struct{})
	n.ended = ended
	go func() { n.fault = cmd.Wait(); close(ended) }()
	n.t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if n.t.Failed() {
			text := n.log.String()
			n.t.Logf("the log of the node on %s ends:\n%s", n.address, text[max(0, len(text)-3000):])
		}
	})
}

func (n *node) start() {
	n.t.Helper()
	n.launch()
	n.ready()
}

func (n *node) ready() {
	n.t.Helper()
	var status int
	var body string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if status, body = n.get("/readyz"); status == 200 {
			return
		}
		select {
		case <-n.ended:
			n.t.Fatalf("the node on %s ended: %v\n%s", n.address, n.fault, n.log)
		default:
		}
	}
	n.t.Fatalf("the node on %s is not ready: %d %s\n%s", n.address, status, body, n.log)
}

// get reads a path; status 0 when there is no answer.
func (n *node) get(path string) (int, string) {
	client := n.client()
	defer client.CloseIdleConnections()
	response, err := client.Get(n.issuer + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	var body bytes.Buffer
	body.ReadFrom(response.Body)
	return response.StatusCode, body.String()
}

// client reaches this node by the issuer's name, as a load balancer would send
// it there, and follows no redirects.
func (n *node) client() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		n.t.Fatal(err)
	}
	return &http.Client{Timeout: 30 * time.Second, Jar: jar,
		Transport: &http.Transport{MaxIdleConnsPerHost: 16, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return n.dialer(ctx, network, n.address)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// goroutines ends the node by SIGQUIT, which makes it list them.
func (n *node) goroutines() int {
	n.t.Helper()
	n.cmd.Process.Signal(syscall.SIGQUIT)
	<-n.ended
	return strings.Count(n.log.String(), "\ngoroutine ")
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// query asks the database itself.
func (h *house) query(sql string) string {
	h.t.Helper()
	got, err := h.server.Query(h.database, sql)
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

const (
	codeVerifier = "a-code-verifier-that-is-long-enough-for-RFC-7636"
	callback     = "https://app.example.com/cb"
)

// furnish makes an API, a client with a login page and a user.
func (h *house) furnish() {
	h.t.Helper()
	h.run("api", "create", "orders", "--audience", "https://orders.example.com", "--scope", "orders:read")
	h.run("role", "create", "viewer", "--scope", "orders:read")
	h.run("client", "create", "spa", "--public", "--first-party", "--redirect-uri", callback, "--scope", "orders:read", "--scope", "offline_access", "--scope", "openid")
	var user struct{ Password string }
	if err := json.Unmarshal(h.stdout("user", "create", "ada", "--role", "viewer", "--json"), &user); err != nil {
		h.t.Fatal(err)
	}
	var robot struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(h.stdout("service-account", "create", "robot", "--role", "viewer", "--json"), &robot); err != nil {
		h.t.Fatal(err)
	}
	h.app, h.password, h.secret = "spa", user.Password, robot.Secret
}

func (h *house) authorizeURL() string {
	challenge := sha256.Sum256([]byte(codeVerifier))
	return h.issuer + "/oauth/authorize?" + url.Values{"client_id": {h.app}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid orders:read offline_access"},
		"state": {"x"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}.Encode()
}

// session signs ada in at a node and returns her browser.
func (h *house) session(n *node) *http.Client {
	h.t.Helper()
	p := newPerson(h.t, h.issuer, "ada", h.password)
	p.client.Transport = n.client().Transport
	if at := p.opens(h.authorizeURL()); !strings.HasPrefix(at, callback) {
		h.t.Fatalf("the login ends at %s, pages %q", at, p.seen)
	}
	return p.client
}

// code is an authorization code, for the session of a browser.
func (h *house) code(browser *http.Client) (string, error) {
	response, err := browser.Get(h.authorizeURL())
	if err != nil {
		return "", err
	}
	response.Body.Close()
	to, err := response.Location()
	if err != nil || to.Query().Get("code") == "" {
		return "", fmt.Errorf("authorize: %s %v", response.Status, to)
	}
	return to.Query().Get("code"), nil
}

// token asks the token endpoint.
func (h *house) token(client *http.Client, form url.Values) (answer, error) {
	response, err := client.PostForm(h.issuer+"/oauth/token", form)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, retry: response.Header.Get("Retry-After")}
	return a, json.NewDecoder(response.Body).Decode(&a)
}

func (h *house) redeem(client *http.Client, code string) (answer, error) {
	return h.token(client, url.Values{"grant_type": {"authorization_code"}, "client_id": {h.app}, "redirect_uri": {callback}, "code": {code}, "code_verifier": {codeVerifier}})
}

func (h *house) refresh(client *http.Client, token string) (answer, error) {
	return h.token(client, url.Values{"grant_type": {"refresh_token"}, "client_id": {h.app}, "refresh_token": {token}})
}

func (h *house) credentials(client *http.Client) (answer, error) {
	return h.token(client, url.Values{"grant_type": {"client_credentials"}, "client_id": {"robot"}, "client_secret": {h.secret}})
}

// login redeems a code of a session and returns the refresh token.
func (h *house) login(browser *http.Client) string {
	h.t.Helper()
	code, err := h.code(browser)
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := h.redeem(browser, code)
	if err != nil || a.Refresh == "" {
		h.t.Fatalf("redeem: %v %+v", err, a)
	}
	return a.Refresh
}

// dialing reports whether a request was never sent.
func dialing(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// genOf and grantOf read a refresh token: v1.key.grant.gen.mac (C13).
func genOf(token string) int {
	parts := strings.Split(token, ".")
	if len(parts) != 5 {
		return 0
	}
	n, _ := strconv.Atoi(parts[3])
	return n
}

func grantOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 5 {
		return ""
	}
	return parts[2]
}

// together does something many times at once, and waits.
func together(times int, do func(i int)) {
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range times {
		all.Go(func() { <-begin; do(i) })
	}
	close(begin)
	all.Wait()
}
