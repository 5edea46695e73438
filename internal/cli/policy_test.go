package cli_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/guardtest"
	"github.com/gatehouse-auth/gatehouse/internal/cli"
)

// run executes one command line in this process.
func run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Run(context.Background(), args, cli.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

// With the issuer's key set explain verifies a token as the gateway does, and
// without it says that it did not.
func TestExplainVerifies(t *testing.T) {
	const audience = "https://api.example.com"
	issuer, stranger := guardtest.NewIssuer(t), guardtest.NewIssuer(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rules := func(algorithms string) string {
		return "version: 1\ntokens: [{issuer: " + issuer.URL() + ", audience: " + audience + algorithms + "}]\nroutes:\n- GET /orders: {scope: orders:read, role: editor}\n- GET /open: {public: true}\n"
	}
	file := write("policy.yaml", rules(""))
	keys, strange := write("keys.json", keySet(t, issuer)), write("strange.json", keySet(t, stranger))
	good := write("good.jwt", issuer.Token(guardtest.Token{Audience: audience, Scopes: []string{"orders:read"}, Roles: []string{"editor"}}))
	elsewhere := write("elsewhere.jwt", issuer.Token(guardtest.Token{Audience: "https://other.example.com", Scopes: []string{"orders:read"}, Roles: []string{"editor"}}))
	for _, tc := range []struct {
		name         string
		args         []string
		code, status int
		token        string
	}{
		{"verified", []string{"--policy", file, "--token", "@" + good, "--keys", keys, "GET", "/orders"}, 0, 200, "verified"},
		{"without keys", []string{"--policy", file, "--token", "@" + good, "GET", "/orders"}, 0, 200, "not verified"},
		{"keys of another", []string{"--policy", file, "--token", "@" + good, "--keys", strange, "GET", "/orders"}, 3, 401, "refused"},
		{"another audience", []string{"--policy", file, "--token", "@" + elsewhere, "--keys", keys, "GET", "/orders"}, 3, 401, "refused"},
		{"another audience, without keys", []string{"--policy", file, "--token", "@" + elsewhere, "GET", "/orders"}, 0, 200, "not verified"},
		{"refused on a public route", []string{"--policy", file, "--token", "@" + elsewhere, "--keys", keys, "GET", "/open"}, 0, 200, "refused"},
		{"an algorithm that is not listed", []string{"--policy", write("eddsa.yaml", rules(", algorithms: [EdDSA]")), "--token", "@" + good, "--keys", keys, "GET", "/orders"}, 3, 401, "refused"},
		{"an algorithm that is listed", []string{"--policy", write("es256.yaml", rules(", algorithms: [EdDSA, ES256]")), "--token", "@" + good, "--keys", keys, "GET", "/orders"}, 0, 200, "verified"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out, errs := run(t, append([]string{"policy", "explain", "--json"}, tc.args...)...)
			var got struct {
				Status   int
				Token    string
				Warnings []string
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v: %s%s", err, out, errs)
			}
			if code != tc.code || got.Status != tc.status || got.Token != tc.token || (got.Warnings == nil) != (tc.token == "verified") {
				t.Errorf("exit code %d, %+v, want %d %d %q", code, got, tc.code, tc.status, tc.token)
			}
		})
	}
	if code, _, errs := run(t, "policy", "explain", "--policy", file, "--token", "@"+good, "--keys", file, "GET", "/orders"); code != 1 || !strings.Contains(errs, "is no key set") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if code, _, errs := run(t, "policy", "explain", "--policy", file, "--keys", keys, "GET", "/orders"); code != 2 || !strings.Contains(errs, "--token @FILE") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// keySet reads an issuer's key set by discovery.
func keySet(t *testing.T, issuer *guardtest.Issuer) string {
	t.Helper()
	var found struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(get(t, issuer.URL()+"/.well-known/oauth-authorization-server"), &found); err != nil {
		t.Fatal(err)
	}
	return string(get(t, found.KeysURL))
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, answer.StatusCode, err)
	}
	return body
}

// A token of another provider is read as its profile says, also unverified.
func TestExplainProfiles(t *testing.T) {
	for _, tc := range []struct{ profile, claims string }{
		{"rfc9068", `"scope":"orders:read","roles":["editor"]`},
		{"auth0", `"scope":"orders:read","permissions":["editor"]`},
		{"keycloak", `"scope":"orders:read","resource_access":{"api":{"roles":["editor"]}}`},
		{"entra", `"scp":"orders:read","roles":["editor"]`},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"policy.yaml": "version: 1\ntokens: [{issuer: https://id.example.com, audience: api, profile: " + tc.profile + "}]\nroutes:\n- GET /orders: {scope: orders:read, role: editor}\n",
			"token.jwt":   unsigned(`{"iss":"https://id.example.com","aud":"api","exp":1,"iat":1,"sub":"amy",` + tc.claims + `}`),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		code, out, errs := run(t, "policy", "explain", "--policy", filepath.Join(dir, "policy.yaml"), "--token", "@"+filepath.Join(dir, "token.jwt"), "GET", "/orders")
		if code != 0 || !strings.Contains(out, "ALLOW 200") || !strings.Contains(out, "NOT VERIFIED") {
			t.Errorf("%s: exit code %d\n%s%s", tc.profile, code, out, errs)
		}
	}
}

// unsigned is a well-formed token with 64 bytes where a signature would be.
func unsigned(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"k"}`)) + "." + encode([]byte(claims)) + "." + encode(make([]byte, 64))
}
