package e2e_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// traffic is what clients do, and a ledger of every answer that they got. What
// the ledger has must be in the database, whatever happened to the server.
type traffic struct {
	t      *testing.T
	i      installation
	secret string // of the service account robot

	mu     sync.Mutex
	tokens []string // ids of all access tokens that were answered
	roles  []string
	other  []string // answers that are neither a success nor no answer at all

	slowest atomic.Int64 // nanoseconds that an answer took

	stop chan struct{}
	all  sync.WaitGroup
}

// family is one login and the refresh token that its client holds.
type family struct {
	client  *http.Client
	refresh string
}

// answer is of the token endpoint.
type answer struct {
	status  int
	retry   string
	Code    string `json:"authorization_code"`
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
}

func newTraffic(t *testing.T, i installation) *traffic {
	t.Helper()
	tr := &traffic{t: t, i: i}
	i.run("api", "create", "orders", "--audience", "https://orders.example.com", "--scope", "orders:read")
	i.run("role", "create", "viewer", "--scope", "orders:read")
	i.run("client", "create", "app", "--public", "--first-party", "--challenge", "--scope", "orders:read", "--default-scope", "orders:read")
	var robot struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(i.run("service-account", "create", "robot", "--role", "viewer", "--json"), &robot); err != nil {
		t.Fatal(err)
	}
	tr.secret = robot.Secret
	return tr
}

// newClient keeps its connection, as services do, and comes from an address.
func newClient(address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 5 * time.Second}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext}}
}

func (tr *traffic) post(client *http.Client, path string, form url.Values) (answer, error) {
	began := time.Now()
	response, err := client.PostForm(tr.i.issuer+path, form)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	for took := int64(time.Since(began)); ; {
		if slowest := tr.slowest.Load(); took <= slowest || tr.slowest.CompareAndSwap(slowest, took) {
			break
		}
	}
	a := answer{status: response.StatusCode, retry: response.Header.Get("Retry-After")}
	err = json.NewDecoder(response.Body).Decode(&a)
	return a, err
}

// credentials asks for a token of the service account.
func (tr *traffic) credentials(client *http.Client) (answer, error) {
	return tr.note(tr.post(client, "/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"robot"}, "client_secret": {tr.secret}}))
}

// note writes an answer to the ledger.
func (tr *traffic) note(a answer, err error) (answer, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch {
	case err != nil:
	case a.status == 200:
		tr.tokens = append(tr.tokens, claimsOf(tr.t, a.Access)["jti"].(string))
	default:
		tr.other = append(tr.other, fmt.Sprint(a.status, " ", a.Error))
	}
	return a, err
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// login makes a user and logs in once.
func (tr *traffic) login(name string) *family {
	tr.t.Helper()
	var user struct{ Password string }
	if err := json.Unmarshal(tr.i.run("user", "create", name, "--role", "viewer", "--json"), &user); err != nil {
		tr.t.Fatal(err)
	}
	verifier := strings.Repeat("v", 43)
	digest := sha256.Sum256([]byte(verifier))
	f := &family{client: newClient("127.0.0.1")}
	a, err := tr.post(f.client, "/oauth/authorize-challenge", url.Values{"client_id": {"app"}, "username": {name}, "password": {user.Password},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(digest[:])}, "code_challenge_method": {"S256"}})
	if err != nil || a.Code == "" {
		tr.t.Fatalf("challenge: %v %+v", err, a)
	}
	a, err = tr.note(tr.post(f.client, "/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {a.Code}, "code_verifier": {verifier}}))
	if err != nil || a.Refresh == "" {
		tr.t.Fatalf("redeem: %v %+v", err, a)
	}
	f.refresh = a.Refresh
	return f
}

// turn refreshes once.
func (tr *traffic) turn(f *family) (answer, error) {
	a, err := tr.note(tr.post(f.client, "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {f.refresh}}))
	if err == nil && a.status == 200 {
		f.refresh = a.Refresh
	}
	return a, err
}

// start lets services, logins and an administrator work until end.
func (tr *traffic) start(families []*family, administrate bool) {
	tr.stop = make(chan struct{})
	worker := func(work func() error) {
		tr.all.Go(func() {
			for {
				select {
				case <-tr.stop:
					return
				default:
				}
				if work() != nil { // no answer: the server is away
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	for range 2 {
		client := newClient("127.0.0.1")
		worker(func() error { _, err := tr.credentials(client); return err })
	}
	for _, f := range families {
		worker(func() error { _, err := tr.turn(f); return err })
	}
	if !administrate {
		return
	}
	worker(func() error {
		tr.mu.Lock()
		name := fmt.Sprintf("r%d-%d", len(tr.roles), time.Now().UnixMicro())
		tr.mu.Unlock()
		cmd := exec.Command(binary, "role", "create", name)
		cmd.Env = append(os.Environ(), "GATEHOUSE_CONFIG="+tr.i.config)
		if err := cmd.Run(); err != nil {
			return err
		}
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.roles = append(tr.roles, name)
		return nil
	})
}

func (tr *traffic) end() {
	close(tr.stop)
	tr.all.Wait()
}

// ledger is a copy of what was answered so far.
func (tr *traffic) ledger() (tokens, roles []string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return append([]string{}, tr.tokens...), append([]string{}, tr.roles...)
}

// data is the data folder of an installation.
func (i installation) data() string { return filepath.Join(filepath.Dir(i.config), "data") }

// records opens the database in a folder beside the server.
func records(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "gatehouse.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// column reads one column of text.
func column(t *testing.T, db *sql.DB, query string, args ...any) map[string]int {
	t.Helper()
	rows, err := db.Query(query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all[s]++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// holds checks a ledger against the database in a folder.
func holds(t *testing.T, dir string, tokens, roles []string) {
	t.Helper()
	db := records(t, dir)
	if got := column(t, db, `PRAGMA integrity_check`); got["ok"] != 1 {
		t.Errorf("integrity_check: %v", got)
	}
	journal := column(t, db, `SELECT token_id FROM events WHERE token_id <> ''`)
	for _, id := range tokens {
		if journal[id] != 1 {
			t.Errorf("token %s was answered and is %d times in the journal", id, journal[id])
		}
	}
	stored := column(t, db, `SELECT name FROM roles`)
	for _, name := range roles {
		if stored[name] != 1 {
			t.Errorf("role %s was acknowledged and is not there", name)
		}
	}
	// The counter of each login moved exactly as often as the journal says.
	if wrong := column(t, db, `SELECT g.id FROM grants g WHERE user_id IS NOT NULL AND gen <> 1 + (SELECT COUNT(*) FROM events e WHERE e.grant_id = g.id AND e.kind = 'refresh.rotated')`); len(wrong) != 0 {
		t.Errorf("grants whose counter and journal differ: %v", wrong)
	}
	if revoked := column(t, db, `SELECT id FROM grants WHERE revoked_at IS NOT NULL`); len(revoked) != 0 {
		t.Errorf("grants were revoked: %v", revoked)
	}
}
