package targets_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// stranger is a server that the auditor was not developed against. Which rows
// are planted was drawn by lot from the catalogue (docs/why/0069).
type stranger struct {
	name, flaw, rows string
	command          []string
	secret           bool // its tokens are signed with HS256
	cookie           bool // the route is POST and takes a cookie
}

// alsoTrue are rows that nobody planted and that are true all the same, each seen
// in the code of the library or the server.
var alsoTrue = map[string]string{
	"Flask, PyJWT":           "T27 T31 T32 T52 T58 T82 C9", // PyJWT 2.10.1: crit (CVE-2026-32597), padding, a date as text, an empty sub; int() of a list ends in 500
	"Express by hand":        "T32 T52 T58 C9",             // JSON.parse; nbf as text is compared as a number; any sub
	"Fastify, jose":          "T31 T32 T52 T54 T58 C9",     // jose decodes leniently, and one fitting aud in a list is enough
	"Go, golang-jwt":         "T32 C9",                     // encoding/json repairs a lone surrogate
	"Go, golang-jwt, cookie": "T32 C9",
	"Java by hand":           "T31 T32 T52 T53 T55 T72 C9", // regular expressions read JSON, nobody reads nbf, the server turns a tab into a space
	"PHP by hand":            "T32 T52 T53 T58 C9",         // nobody reads nbf; sub may be empty
}

func strangers(dir string) []stranger {
	python, php, java := "python/venv-fixed/bin/python", "php", "java"
	flask := []string{python, "strangers/flask_api.py"}
	stdlib := []string{python, "strangers/stdlib_api.py"}
	express := []string{"node", "node/express_api.cjs"}
	josed := []string{"node", "node/jose_api.mjs"}
	golang := []string{filepath.Join(dir, "golang")}
	orders := []string{java, "-cp", dir, "Orders"}
	apache := []string{"sh", "-c", `p=$((20000 + $$ % 20000)); (sleep 0.7; echo "{\"port\":$p}") & exec ` + php + ` -d display_errors=0 -S 127.0.0.1:$p strangers/api.php 2>/dev/null`}
	return []stranger{
		{"Flask, PyJWT", "expired", "T51", flask, false, false}, {"Flask, PyJWT", "path", "T76", flask, false, false}, {"Flask, PyJWT", "", "", flask, false, false},
		{"Python by hand", "command", "T22", stdlib, true, false}, {"Python by hand", "empty", "T11", stdlib, true, false}, {"Python by hand", "", "", stdlib, true, false},
		{"Express by hand", "none", "T01", express, false, false}, {"Express by hand", "unsigned", "T03", express, false, false}, {"Express by hand", "", "", express, false, false},
		{"Fastify, jose", "jwk", "T25", josed, false, false}, {"Fastify, jose", "jku", "T23", josed, false, false}, {"Fastify, jose", "", "", josed, false, false},
		{"Go, golang-jwt", "confused", "T05", golang, false, false}, {"Go, golang-jwt", "cache", "T77", golang, false, false}, {"Go, golang-jwt", "form", "P06", golang, false, true}, {"Go, golang-jwt", "", "", golang, false, false}, {"Go, golang-jwt, cookie", "", "", golang, false, true},
		{"Java by hand", "forwarded", "T74", orders, false, false}, {"Java by hand", "stripped", "T03", orders, false, false}, {"Java by hand", "", "", orders, false, false},
		{"PHP by hand", "proxy", "T73", apache, false, false}, {"PHP by hand", "kind", "T56", apache, false, false}, {"PHP by hand", "", "", apache, false, false},
	}
}

// strangersWorld adds to the world what these servers need: the key as PEM, a
// folder of secrets, the issuer as a lab.
func strangersWorld(t *testing.T) world {
	t.Helper()
	w := newWorld(t)
	signer, err := w.issuer.Signer(jose.RS256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Private().Public())
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	keys, err := json.Marshal(map[string]any{"issuer": w.issuer.URL(), "audience": w.issuer.Audience(), "rsa": signer.Key(), "pem": text})
	if err != nil {
		t.Fatal(err)
	}
	at, err := signer.Sign("at+jwt", w.issuer.Claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	secrets := filepath.Join(w.dir, "secrets")
	if err := os.Mkdir(secrets, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"keys.json": string(keys), "rs.jwt": at, "secrets/default": w.secret} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.issuer.Save(filepath.Join(w.dir, "lab")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRETS", secrets)
	return w
}

// TestStrangers audits every one of them, with its flaw and without.
func TestStrangers(t *testing.T) {
	w := strangersWorld(t)
	for _, build := range [][]string{{"go", "build", "-o", filepath.Join(w.dir, "golang"), "./strangers/golang"}, {"javac", "-d", w.dir, "strangers/Orders.java"}} {
		if out, err := exec.Command(build[0], build[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", build, err, out)
		}
	}
	planted, found, also, falsely := 0, 0, 0, 0
	began := time.Now()
	all := strangers(w.dir)
	for _, s := range all {
		t.Run(s.name+" "+s.flaw, func(t *testing.T) {
			t.Setenv("FLAW", s.flaw)
			t.Setenv("COOKIE", map[bool]string{true: "yes"}[s.cookie])
			token := "rs.jwt"
			args := []string{"--jwks", filepath.Join(w.dir, "jwks.json"), "--lab", filepath.Join(w.dir, "lab")}
			if s.secret {
				token, args = "hs.jwt", nil
			}
			if s.cookie {
				args = append(args, "--cookie", "sid", "--method", "POST")
			}
			r, _ := w.run(t, append([]string{w.serve(t, s.command...), "--token", "@" + filepath.Join(w.dir, token)}, args...)...)
			if !r.Targets[0].Measurable {
				t.Fatalf("not measured: %s", r.Targets[0].Reason)
			}
			var got []string
			for _, one := range r.Results {
				if one.Verdict == "SUSPECT" {
					t.Logf("suspect %s: %s", one.ID, one.Reason)
				}
				if one.Verdict != "VULNERABLE" || one.Severity == "info" {
					continue
				}
				switch {
				case slices.Contains(strings.Fields(s.rows), one.ID):
					got = append(got, one.ID)
					found++
				case slices.Contains(strings.Fields(alsoTrue[s.name]), one.ID):
					also++
				default:
					falsely++
					t.Errorf("neither planted nor true: %s: %s", one.ID, one.Reason)
				}
			}
			planted += len(strings.Fields(s.rows))
			if strings.Join(got, " ") != s.rows {
				t.Errorf("found %q, want %q", strings.Join(got, " "), s.rows)
			}
		})
	}
	t.Logf("%d servers in %s: planted %d, found %d (recall %.2f); %d true beside them; %d false (precision %.2f)", len(all), time.Since(began).Round(time.Second), planted, found, float64(found)/float64(max(planted, 1)), also, falsely, float64(found+also)/float64(max(found+also+falsely, 1)))
}
