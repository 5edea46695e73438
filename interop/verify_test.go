package interop_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// api is one program: an API that verifies our tokens with one library.
type api struct {
	name     string // of the library
	language string
	dir      string
	command  []string
	refetch  time.Duration // the library's limit, as configured: how long a key that it does not know may stay unknown
	limit    string        // the same in words, for the table
	url      string
	log      *lockedBuffer
	result   map[string]string
	taken    map[string]bool // forged tokens that it took
}

func apis() []*api {
	python := filepath.Join(cache, "python/bin/python")
	return []*api{
		{name: "guard", language: "go", dir: ".", command: []string{filepath.Join(cache, "bin/guard")}, refetch: 10 * time.Second, limit: "every 10 s"},
		{name: "golang-jwt", language: "go", dir: ".", command: []string{filepath.Join(cache, "bin/golangjwt")}, refetch: 30 * time.Second, limit: "every 30 s"},
		{name: "jsonwebtoken", language: "node", dir: "node", command: []string{"node", "jsonwebtoken.mjs"}, limit: "10 a minute"},
		{name: "jose", language: "node", dir: "node", command: []string{"node", "jose.mjs"}, refetch: 30 * time.Second, limit: "every 30 s"},
		{name: "PyJWT", language: "python", dir: "python", command: []string{python, "with_pyjwt.py"}, refetch: 30 * time.Second, limit: "every 30 s"},
		{name: "joserfc", language: "python", dir: "python", command: []string{python, "with_joserfc.py"}, refetch: 30 * time.Second, limit: "every 30 s"},
		{name: "java-jwt", language: "java", dir: "java/java-jwt", command: []string{"java", "-cp", "target/classes:target/dependency/*", "Orders"}, limit: "10 a minute"},
		{name: "Spring Security", language: "java", dir: "java/spring", command: []string{"java", "-jar", "target/orders-spring-1.jar"}, limit: "always"},
		{name: "firebase/php-jwt", language: "php", dir: "php", command: []string{"sh", "-c", "exec php -S 127.0.0.1:$PORT orders.php"}, limit: "10 a minute"},
		{name: "JwtBearer", language: "dotnet", dir: "dotnet/Orders", command: []string{"dotnet", "bin/Release/net10.0/Orders.dll"}, refetch: 30 * time.Second, limit: "every 30 s"},
	}
}

// row is a case of the table: a request with a token, and the right answer.
type row struct {
	name, method, token string
	want                int
}

// accepted and refused are the table, apart from the rotation between them.
func accepted(d *dev) []row {
	_, ada := d.user("ada")
	_, bob := d.user("bob")
	_, _, service := d.service()
	return []row{
		{"user reads", "GET", ada, 200},
		{"user writes", "POST", ada, 201},
		{"service account reads", "GET", service, 200},
		{"service account without the scope", "POST", service, 403},
		{"user without the scope", "POST", bob, 403},
		{"no token", "GET", "", 401},
	}
}

func refused(d *dev, id string) []row {
	return []row{
		{"expired", "GET", d.forged("expired"), 401},
		{"no expiry", "GET", d.forged("exp-missing"), 401},
		{"wrong audience", "GET", d.forged("wrong-audience"), 401},
		{"no audience", "GET", d.forged("aud-missing"), 401},
		{"wrong issuer", "GET", d.forged("wrong-issuer"), 401},
		{"`alg: none`", "GET", d.forged("alg-none"), 401},
		{"HS256 with the public key", "GET", d.forged("hs256-public-key"), 401},
		{"other issuer's key, our `kid`", "GET", d.forged("foreign-key-same-kid"), 401},
		{"other issuer's key, its `kid`", "GET", d.forged("foreign-key-own-kid"), 401},
		{"other issuer's token", "GET", d.forged("foreign-issuer"), 401},
		{"edited after it was signed", "GET", d.forged("payload-edited"), 401},
		{"`typ` of an ID token", "GET", d.forged("typ-id-token"), 401},
		{"ID token", "GET", id, 401},
	}
}

const (
	announced = "new key, published ahead"
	unknown   = "new key, not yet fetched"
	kept      = "token of the old key"
	limits    = "how often it looks for an unknown key"
)

// TestVerify runs the same table against the API of every library: what is
// valid, a change of keys in the middle, what is forged. Then everything else
// that can be forged, and how long an answer takes.
func TestVerify(t *testing.T) {
	d := startDev(t)
	d.app("table-app")
	id := d.login("table-app", "ada").ID
	var running []*api
	all := apis()
	for _, a := range all {
		a.taken = map[string]bool{}
		if a.result = map[string]string{}; ready(t, a.language) {
			running = append(running, a)
		}
	}
	each(running, func(a *api) { a.serve(t, d) })
	if t.Failed() {
		return
	}
	each(running, func(a *api) { a.check(t, accepted(d)) })
	rotate(t, d, running)
	each(running, func(a *api) { a.check(t, refused(d, id)) })
	each(running, func(a *api) { a.corpus(t, d) })
	printTable(t, all, d, id)
	printTaken(t, all, d)
	for _, a := range running {
		a.speed(t, d)
	}
}

func each(list []*api, do func(*api)) {
	var wg sync.WaitGroup
	for _, a := range list {
		wg.Go(func() { do(a) })
	}
	wg.Wait()
}

func (a *api) serve(t *testing.T, d *dev) {
	port := freePort(t)
	a.url = "http://127.0.0.1:" + port
	p := start(t, a.dir, []string{"ISSUER=" + d.Issuer, "AUDIENCE=" + d.Audience, "PORT=" + port}, a.command...)
	a.log = p.log
	if _, ok := waitFor(90*time.Second, func() bool { return status("GET", a.url+"/healthz", "") == 200 }); !ok {
		t.Errorf("%s is not ready after 90 seconds:\n%s", a.name, tail(a.log))
	}
}

func (a *api) check(t *testing.T, rows []row) {
	for _, r := range rows {
		got := status(r.method, a.url+"/orders", r.token)
		a.result[r.name] = fmt.Sprint(got)
		if got != r.want {
			t.Errorf("%s, %s: %d, want %d\n%s", a.name, r.name, got, r.want, tail(a.log))
		}
	}
}

func tail(log *lockedBuffer) string {
	text := log.String()
	return text[max(0, len(text)-800):]
}

// rotate changes the key twice. The first new key was published ahead, so
// every API knows it; the second one none has seen, so each has to fetch.
func rotate(t *testing.T, d *dev, running []*api) {
	_, old := d.user("ada")
	before := kid(t, old)
	for _, name := range []string{announced, unknown} {
		d.administer("key", "rotate")
		token := ""
		if _, ok := waitFor(10*time.Second, func() bool { token = d.serviceToken(); return kid(t, token) != before }); !ok {
			t.Fatal("the new key does not sign after 10 seconds")
		}
		before = kid(t, token)
		each(running, func(a *api) {
			limit := 2 * time.Second
			if name == unknown {
				limit += a.refetch
			}
			after, ok := waitFor(limit, func() bool { return status("GET", a.url+"/orders", token) == 200 })
			if a.result[name] = "200"; !ok {
				a.result[name] = "refused"
				t.Errorf("%s, %s: not accepted within %s\n%s", a.name, name, limit, tail(a.log))
			}
			fmt.Printf("%-16s  %-25s good after %5.1f s (it looks: %s)\n", a.name, name, after.Seconds(), a.limit)
		})
	}
	for _, a := range running {
		a.result[limits] = a.limit
	}
	each(running, func(a *api) { a.check(t, []row{{kept, "GET", old, 200}}) })
}

// harmless are the rows of docs/reference/forged-tokens.md that a library may
// take: only the issuer can sign them, or they are the same token written
// otherwise. The docs say who takes what. Everything else has to be refused.
var (
	harmlessRows = []string{"T28", "T29", "T31", "T32", "T52", "T58", "C9"}
	harmless     = []string{"aud-mixed-list", "iat-future", "crit-empty", "crit-null", "crit-registered"}
)

// corpus sends every forged token there is.
func (a *api) corpus(t *testing.T, d *dev) {
	var broken []string
	sent := 0
	for _, f := range d.Forged {
		if strings.ContainsAny(f.Token, "\r\n\x00") || len(f.Token) > 7<<10 {
			continue // a header cannot carry it
		}
		sent++
		switch got := status("GET", a.url+"/orders", f.Token); {
		case got == 200:
			a.taken[f.Name] = true
			if !slices.Contains(harmlessRows, f.ID) && !slices.Contains(harmless, f.Name) {
				t.Errorf("%s takes %s %s", a.name, f.ID, f.Name)
			}
		case got == 0 || got >= 500:
			broken = append(broken, fmt.Sprintf("%s (%d)", f.Name, got))
		}
	}
	a.result["forged tokens taken"] = fmt.Sprintf("%d of %d", len(a.taken), sent)
	if len(broken) > 0 {
		t.Errorf("%s breaks on %d forged tokens: %q\n%s", a.name, len(broken), broken, tail(a.log))
	}
	if sent < 300 {
		t.Errorf("%d forged tokens sent: too few", sent)
	}
}

// speed is the median time of an answer, with a token and without, in turns
// over one connection. The difference is what checking costs.
func (a *api) speed(t *testing.T, d *dev) {
	_, token := d.user("ada")
	var public, guarded []time.Duration
	once := func(path, token string) time.Duration {
		began := time.Now()
		if got := status("GET", a.url+path, token); got != 200 {
			t.Fatalf("%s %s: %d", a.name, path, got)
		}
		return time.Since(began)
	}
	for n := range 3000 {
		bare, checked := once("/healthz", ""), once("/orders", token)
		if n >= 1500 { // what came before warmed up
			public, guarded = append(public, bare), append(guarded, checked)
		}
	}
	slices.Sort(public)
	slices.Sort(guarded)
	bare, checked := public[len(public)/2], guarded[len(guarded)/2]
	fmt.Printf("%-16s  guarded %5d µs, public %5d µs: checking costs %5d µs\n", a.name, checked.Microseconds(), bare.Microseconds(), (checked - bare).Microseconds())
}

const tablePage = "../docs/reference/jwt-libraries.md"

// printTable prints the table, and compares the one in the docs with it.
func printTable(t *testing.T, all []*api, d *dev, id string) {
	names := []string{}
	for _, r := range accepted(d) {
		names = append(names, r.name)
	}
	names = append(names, announced, unknown, limits, kept)
	for _, r := range refused(d, id) {
		names = append(names, r.name)
	}
	names = append(names, "forged tokens taken")
	var b strings.Builder
	header(&b, all)
	for _, name := range names {
		line(&b, all, name, func(a *api, row string) string { return a.result[row] })
	}
	fmt.Println("\n" + b.String())
	inDocs(t, all, "table", b.String(), func(a *api, row string) string { return a.result[row] })
}

// printTaken keeps in the docs which library takes which forged token.
func printTaken(t *testing.T, all []*api, d *dev) {
	cell := func(a *api, name string) string {
		switch {
		case len(a.result) == 0:
			return ""
		case a.taken[strings.Trim(name, "`")]:
			return "taken"
		}
		return "–"
	}
	var b strings.Builder
	header(&b, all)
	for _, f := range d.Forged {
		if slices.ContainsFunc(all, func(a *api) bool { return a.taken[f.Name] }) {
			line(&b, all, "`"+f.Name+"`", cell)
		}
	}
	inDocs(t, all, "taken", b.String(), cell)
}

func header(b *strings.Builder, all []*api) {
	b.WriteString("| |")
	for _, a := range all {
		fmt.Fprintf(b, " %s |", a.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(all)) + "\n")
}

func line(b *strings.Builder, all []*api, name string, cell func(*api, string) string) {
	fmt.Fprintf(b, "| %s |", name)
	for _, a := range all {
		fmt.Fprintf(b, " %s |", cmp.Or(cell(a, name), "not run"))
	}
	b.WriteString("\n")
}

// inDocs compares a table with the one that the docs have, or writes it there.
// It looks at the columns of what ran here: the docs may come from a machine
// that has other toolchains.
func inDocs(t *testing.T, all []*api, name, table string, cell func(*api, string) string) {
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	content, err := os.ReadFile(tablePage)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(content), begin)
	old, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for %q", tablePage, name)
	}
	if *update {
		if err := os.WriteFile(tablePage, []byte(head+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	rows := func(table string) []string {
		var names []string
		for _, line := range strings.Split(strings.TrimSpace(table), "\n")[2:] {
			names = append(names, strings.Split(strings.Trim(line, "| "), " | ")[0])
		}
		return names
	}
	for _, row := range rows(table) {
		if !slices.Contains(rows(old), row) {
			t.Errorf("%s has no row %q. Write it anew with: make interop UPDATE=-update", tablePage, row)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(old), "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != len(all)+1 {
			t.Errorf("%s: %q has another number of columns", tablePage, line)
			continue
		}
		for i, a := range all {
			if got := cell(a, cells[0]); got != "" && cells[i+1] != "not run" && cells[i+1] != got {
				t.Errorf("%s says that %s, %s: %s; it is %s. Write it anew with: make interop UPDATE=-update", tablePage, a.name, cells[0], cells[i+1], got)
			}
		}
	}
}
