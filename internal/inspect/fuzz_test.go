package inspect_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/internal/inspect"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// FuzzInspect feeds the forgiving reader anything. It must not fail, never
// verify without a key, say the same twice, and print nothing that moves a
// terminal's cursor.
func FuzzInspect(f *testing.F) {
	f.Add(guide)
	f.Add("Authorization: Bearer " + wrap(guide, 30, "\n "))
	f.Add(`{"access_token":"` + guide + `"}`)
	f.Add("curl -H 'Cookie: a=" + guide[:90] + "' https://x")
	f.Add("eyJhbGciOiJub25lIn0..")
	f.Add("v1.k.gr_x.1.y")
	f.Add(b64([]byte(`{"alg":"HS256","kid":"\u001b[31m","p2c":1e308,"crit":null}`)) + "." + b64([]byte(`{"exp":-1e308,"aud":[[1]],"act":{"act":{"act":{}}},"sub":null}`)) + ".AA")
	for _, c := range corpus() {
		f.Add(c.token)
	}
	o := inspect.Options{Now: noon}
	f.Fuzz(func(t *testing.T, input string) {
		r := inspect.Inspect(input, o)
		if r.Verdict == inspect.Verified || r.Key != nil {
			t.Fatal("verified without a key")
		}
		if r.Verdict == "" || r.Break != nil && (r.Break.Caret > len([]rune(r.Break.Line)) || r.Break.Offset > len(r.Found.Text)) {
			t.Fatalf("no verdict, or a break outside: %+v", r.Break)
		}
		first, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		second, _ := json.Marshal(inspect.Inspect(input, o))
		if string(first) != string(second) {
			t.Fatalf("two runs differ:\n%s\n%s", first, second)
		}
		for _, c := range append(r.Header, r.Claims...) {
			if strings.ContainsFunc(c.Name+c.Value+c.Meaning, unicode.IsControl) {
				t.Fatalf("a control character is shown: %+v", c)
			}
		}
		if r.Intake.Accepted {
			if _, err := jose.Parse(strings.SplitN(r.Found.Text, "~", 2)[0]); err != nil {
				t.Fatalf("said to be well-formed: %v", err)
			}
		}
	})
}

// FuzzParseKeys feeds the reader of keys anything.
func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC"}]}`))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----"))
	f.Add([]byte(`{"kty":"oct","k":"AA"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := inspect.ParseKeys(data, "file")
		if err == nil && keys.IsZero() {
			t.Fatal("neither keys nor an error")
		}
	})
}
