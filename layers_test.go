package gatehouse_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-auth/gatehouse"

// layers from below. A package imports only packages of lower layers; packages
// of one layer are strangers, except in ground, public and wiring.
var layers = []string{"ground", "tool", "public", "service", "face", "wiring"}

var mayBuildOnEachOther = []string{"ground", "public", "wiring"}

// packages of the product: the layer of each, and its purpose in a line.
var packages = map[string]struct{ layer, purpose string }{
	"internal/jose":   {"ground", "tokens and keys: bytes to values and back, strictly"},
	"internal/iam":    {"ground", "the nouns and their pure decisions"},
	"internal/oauth":  {"ground", "protocol rules: parse, check, refuse with the RFC's code"},
	"internal/oidc":   {"ground", "what an authorization request needs before it is answered"},
	"internal/policy": {"ground", "who may call what: a policy read, a request made canonical, a decision"},
	"internal/forge":  {"ground", "every forged token, by name, as data"},
	"internal/feed":   {"ground", "revocation: entries, the fingerprint set, the wire form, the reader"},
	"internal/gcd":    {"ground", "the greatest common divisor of very large integers"},

	"internal/finding": {"ground", "ids, titles, severities and remedies that inspector and auditor share"},
	"internal/inspect": {"ground", "what a token is, says and risks"},

	"internal/jwks":     {"tool", "fetching and caching the key sets of issuers and clients"},
	"internal/store":    {"tool", "records in SQL"},
	"internal/config":   {"tool", "one struct: file and environment, checked once"},
	"internal/throttle": {"tool", "how long the next attempt waits: counters in a fixed amount of memory"},
	"internal/follow":   {"tool", "following an issuer's revocation feed"},
	"internal/visit":    {"tool", "browser sessions and sealed files of a gateway"},
	"internal/dial":     {"tool", "the guarded dialer: fetches what strangers name"},

	"guard":     {"public", "an API's gate"},
	"guardtest": {"public", "an issuer that lives for one test"},

	"internal/keys":      {"service", "signing and sealing keys: generate, rotate, retire, publish"},
	"internal/broadcast": {"service", "the issuer's side of the revocation feed: poll, sign once, fan out"},
	"internal/login":     {"service", "passwords and the login decision"},
	"internal/token":     {"service", "issue, refresh with reuse detection, revoke, introspect"},
	"internal/directory": {"service", "users, roles, APIs, clients: what administration changes"},
	"internal/relying":   {"service", "a client of an OpenID provider: login, ID and logout tokens, refresh"},
	"internal/respond":   {"service", "error to HTTP answer, request id, security headers"},
	"internal/web":       {"face", "people's endpoints: sign-on, consent, devices, logout, account, setup"},
	"internal/page":      {"service", "pages and their stylesheet behind typed views"},

	"internal/api":     {"face", "machine endpoints"},
	"internal/gateway": {"face", "reverse proxy and forward-auth: what reaches an API, and with whose name"},
	"internal/attack":  {"face", "the auditor: catalogue, baseline, oracle, report"},
	"internal/lab":     {"face", "deliberately broken APIs, one flaw each"},

	"internal/server": {"wiring", "configuration to listeners; decides every lifetime"},
	"internal/demo":   {"wiring", "what dev starts beside the authority"},
	"internal/cli":    {"wiring", "one file a command"},
	"cmd/gatehouse":   {"wiring", "main"},
}

// forbidden imports of the ground: it is pure, so that its rules can be fuzzed
// and run on vectors.
var forbiddenInGround = []string{"net/http", "database/sql", "os", "log", "io/fs", "os/exec", "net"}

// beyond are folders with modules of their own, and test suites that other
// packages' tests run.
var beyond = []string{"e2e", "bench", "tools", "interop", "guard/guardgrpc", "internal/store/storetest", "internal/pgtest"}

func TestLayers(t *testing.T) {
	imports := productImports(t)
	for dir, list := range imports {
		from, known := packages[dir]
		if !known {
			t.Errorf("package %s has no layer: give it a line in layers_test.go, with its purpose", dir)
			continue
		}
		for _, imported := range list {
			to, known := packages[imported]
			if !known {
				t.Errorf("%s imports %s, which has no layer", dir, imported)
				continue
			}
			if fault := fault(from.layer, to.layer); fault != "" {
				t.Errorf("%s (%s) imports %s (%s): %s", dir, from.layer, imported, to.layer, fault)
			}
		}
	}
	for dir := range packages {
		if _, exists := imports[dir]; !exists {
			t.Errorf("package %s has a layer and does not exist", dir)
		}
	}
}

func fault(from, to string) string {
	switch {
	case slices.Index(layers, to) > slices.Index(layers, from):
		return "a package imports lower layers only"
	case from == to && !slices.Contains(mayBuildOnEachOther, from):
		return "packages of this layer are strangers; wiring introduces them"
	}
	return ""
}

// The rule itself must be able to fail.
func TestLayersRule(t *testing.T) {
	for _, tc := range []struct {
		from, to string
		ok       bool
	}{{"ground", "ground", true}, {"service", "service", false}, {"service", "tool", true}, {"tool", "service", false}, {"tool", "tool", false}, {"face", "service", true}, {"wiring", "wiring", true}, {"ground", "tool", false}} {
		if got := fault(tc.from, tc.to) == ""; got != tc.ok {
			t.Errorf("%s imports %s: %v, want %v", tc.from, tc.to, got, tc.ok)
		}
	}
}

func TestGroundIsPure(t *testing.T) {
	walk(t, ".", func(dir, file string, imported []string) {
		if packages[dir].layer != "ground" {
			return
		}
		for _, i := range imported {
			if slices.Contains(forbiddenInGround, i) {
				t.Errorf("%s imports %s: the ground is pure", file, i)
			}
		}
	})
}

// guard must stay light: whoever imports it gets the two JOSE libraries and
// nothing else (docs/why/0020).
func TestGuardDependencies(t *testing.T) {
	allowed := []string{"github.com/golang-jwt/jwt/v5", "github.com/go-jose/go-jose/v4", "github.com/go-jose/go-jose/v4/json"}
	inside := map[string]bool{}
	todo := []string{"guard"}
	imports := productImports(t)
	for len(todo) > 0 {
		dir := todo[0]
		todo = todo[1:]
		if inside[dir] {
			continue
		}
		inside[dir] = true
		todo = append(todo, imports[dir]...)
	}
	for dir := range inside {
		if packages[dir].layer != "ground" && dir != "guard" && dir != "internal/jwks" && dir != "internal/follow" || dir == "internal/iam" {
			t.Errorf("guard reaches %s", dir)
		}
	}
	walk(t, ".", func(dir, file string, imported []string) {
		for _, i := range imported {
			external := strings.Contains(strings.Split(i, "/")[0], ".") && !strings.HasPrefix(i, module)
			if inside[dir] && external && !slices.Contains(allowed, i) {
				t.Errorf("%s, which guard needs, imports %s", file, i)
			}
		}
	})
}

// guardgrpc is a module of its own, which somebody may have in another version
// than guard: it uses what is public, and brings gRPC and nothing else.
func TestGuardGRPCDependencies(t *testing.T) {
	seen := false
	walk(t, "guard/guardgrpc", func(_, file string, imported []string) {
		for _, i := range imported {
			seen = seen || i == module+"/guard"
			external := strings.Contains(strings.Split(i, "/")[0], ".")
			if external && i != module+"/guard" && !strings.HasPrefix(i, "google.golang.org/grpc") {
				t.Errorf("%s imports %s", file, i)
			}
		}
	})
	if !seen {
		t.Error("guard/guardgrpc does not import guard: was it moved?")
	}
}

// productImports maps each package to the packages of ours that it imports.
func productImports(t *testing.T) map[string][]string {
	all := map[string][]string{}
	walk(t, ".", func(dir, _ string, imported []string) {
		if all[dir] == nil {
			all[dir] = []string{}
		}
		for _, i := range imported {
			if inner, ok := strings.CutPrefix(i, module+"/"); ok && !slices.Contains(all[dir], inner) {
				all[dir] = append(all[dir], inner)
			}
		}
	})
	return all
}

// walk parses the imports of every Go file that is part of the product. The
// files are read here, because the test cache does not see what a child process
// such as go list reads.
func walk(t *testing.T, root string, visit func(dir, file string, imported []string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		slashed := filepath.ToSlash(file)
		if entry.IsDir() {
			if slashed != root && slices.Contains(beyond, slashed) || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && file != "." {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imported []string
		for _, i := range parsed.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			imported = append(imported, name)
		}
		visit(path.Dir(slashed), slashed, imported)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
