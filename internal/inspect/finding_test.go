package inspect_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/inspect"
)

// Each finding has a token that shows it, and one that does not.
func TestFindings(t *testing.T) {
	const head = `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`
	good := func(pairs ...string) string {
		claims := map[string]any{"iss": "https://id.example.com", "sub": "usr_1", "aud": "https://api.example.com", "iat": noon.Unix() - 60, "exp": noon.Unix() + 540, "jti": "1", "client_id": "shop"}
		for i := 0; i+1 < len(pairs); i += 2 {
			if delete(claims, pairs[i]); pairs[i+1] != "" {
				claims[pairs[i]] = json.RawMessage(pairs[i+1])
			}
		}
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		return string(payload)
	}
	with := func(members string) string { return strings.TrimSuffix(head, "}") + "," + members + "}" }
	in := func(seconds int64) string { return fmt.Sprint(noon.Unix() + seconds) }
	if got := ids(look(signed(head, good(), 64))); len(got) != 0 {
		t.Fatalf("the token without a flaw has findings: %v", got)
	}
	for _, tc := range []struct{ id, name, header, payload string }{
		{"T02", "nOnE", `{"alg":"nOnE","kid":"k1","typ":"at+jwt"}`, good()},
		{"T02", "no alg", `{"kid":"k1","typ":"at+jwt"}`, good()},
		{"T02", "alg is a list", `{"alg":["none"],"kid":"k1","typ":"at+jwt"}`, good()},
		{"T20", "kid climbs", `{"alg":"ES256","kid":"../../dev/null","typ":"at+jwt"}`, good()},
		{"T20", "kid is an address", `{"alg":"ES256","kid":"https://evil.example/k","typ":"at+jwt"}`, good()},
		{"T21", "kid is SQL", `{"alg":"ES256","kid":"x' UNION SELECT 'k'-- ","typ":"at+jwt"}`, good()},
		{"T21", "kid is an object", `{"alg":"ES256","kid":{"$ne":null},"typ":"at+jwt"}`, good()},
		{"T22", "kid is a command", `{"alg":"ES256","kid":"k;sleep 5","typ":"at+jwt"}`, good()},
		{"T22", "kid is a template", `{"alg":"ES256","kid":"{{7*7}}","typ":"at+jwt"}`, good()},
		{"T25", "jwk", with(`"jwk":{}`), good()},
		{"T26", "x5c", with(`"x5c":[]`), good()},
		{"T27", "crit", with(`"crit":["x"]`), good()},
		{"T28", "b64", with(`"b64":false`), good()},
		{"T29", "alg twice", with(`"alg":"HS256"`), good()},
		{"T29", "claim in another case", head, strings.Replace(good(), `"iss"`, `"Sub":"admin","iss"`, 1)},
		{"T29", "within a claim", head, good("act", `{"sub":"a","sub":"b"}`)},
		{"T32", "two objects", head, good() + "{}"},
		{"T32", "byte order mark", head, "\ufeff" + good()},
		{"T37", "zip", with(`"zip":"DEF"`), good()},
		{"T50", "no exp", head, good("exp", "")},
		{"T52", "exp is text", head, good("exp", `"1795608600"`)},
		{"T52", "exp is null", head, good("exp", "null")},
		{"J01", "two hours", head, good("exp", in(7200))},
		{"J02", "two days", head, good("exp", in(2*86400))},
		{"J03", "no aud", head, good("aud", "")},
		{"J04", "two aud", head, good("aud", `["a","b"]`)},
		{"J05", "no iss", head, good("iss", "")},
		{"J06", "no sub", head, good("sub", "")},
		{"J07", "typ JWT", `{"alg":"ES256","kid":"k1","typ":"JWT"}`, good()},
		{"J07", "no typ", `{"alg":"ES256","kid":"k1"}`, good()},
		{"J08", "no client_id", head, good("client_id", "")},
		{"J09", "no jti", `{"alg":"ES256","kid":"k1"}`, good("jti", "")},
		{"J12", "no kid", `{"alg":"ES256","typ":"at+jwt"}`, good()},
		{"J13", "jku", with(`"jku":"https://id.example.com/k"`), good()},
		{"J14", "x5u", with(`"x5u":"https://id.example.com/k"`), good()},
		{"J15", "a password", head, good("password", `"hunter2"`)},
		{"J15", "a secret deep inside", head, good("db", `{"primary":[{"api_key":"x"}]}`)},
		{"J15", "a value that looks like a key", head, good("note", `"AKIAIOSFODNN7EXAMPLE"`)},
		{"J16", "an address", head, good("email", `"a@example.com"`, "email_verified", "true")},
		{"J16", "a card", head, good("n", `"4111 1111 1111 1111"`)},
		{"J17", "milliseconds", head, good("exp", in(540)+"000")},
		{"J18", "ends before it begins", head, good("nbf", in(600))},
		{"J19", "from the future", head, good("iat", in(300))},
		{"J20", "large", head, good("groups", `"`+strings.Repeat("g", 5000)+`"`)},
		{"J21", "cty", with(`"cty":"JWT"`), good()},
		{"J21", "a token as a claim", head, good("upstream", `"`+guide+`"`)},
		{"J22", "email not confirmed", head, good("email", `"a@example.com"`)},
		{"J23", "iss by http", head, good("iss", `"http://id.example.com"`)},
		{"J24", "aud *", head, good("aud", `"*"`)},
		{"J25", "scope *", head, good("scope", `"orders:*"`)},
		{"J25", "role admin", head, good("roles", `["admin"]`)},
		{"J26", "cnf", head, good("cnf", `{"jkt":"x"}`)},
		{"J27", "alg of its own", `{"alg":"XX256","kid":"k1","typ":"at+jwt"}`, good()},
		{"T38", "too large", head, good("groups", `"`+strings.Repeat("g", 20000)+`"`)},
	} {
		t.Run(tc.id+" "+tc.name, func(t *testing.T) {
			if got := ids(look(signed(tc.header, tc.payload, 64))); !slices.Contains(got, tc.id) {
				t.Errorf("got %v", got)
			}
		})
	}
	for _, tc := range []struct{ id, name, token string }{
		{"T01", "alg none", b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(good())) + "."},
		{"T03", "no signature", strings.TrimRight(signed(head, good(), 64), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")},
		{"T10", "published secret", guide},
		{"T11", "empty secret", made(`{"alg":"HS256"}`, good(), "")},
		{"T31", "padding", signed(head, good(), 64) + "=="},
		{"T31", "bits that mean nothing", strings.TrimSuffix(signed(head, good(), 64), "g") + "h"},
		{"T33", "JSON serialization", `{"payload":"e30","protected":"e30","signature":"AA"}`},
		{"T36", "rounds", b64([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":2147483647}`)) + ".AA.AA.AA.AA"},
		{"J10", "HMAC", guide},
		{"J28", "base64 twice", b64([]byte(guide))},
		{"J29", "RSA1_5", b64([]byte(`{"alg":"RSA1_5","enc":"A256GCM"}`)) + ".AA.AA.AA.AA"},
	} {
		t.Run(tc.id+" "+tc.name, func(t *testing.T) {
			if got := ids(look(tc.token)); !slices.Contains(got, tc.id) {
				t.Errorf("got %v", got)
			}
		})
	}
	// An honest kid is none of these.
	for _, kid := range []string{"prod-3", "q-23faux", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "m4d3UpK1d=", "key.2026/01", "urn:example:key:1", "2026-01-01T00:00:00Z"} {
		if got := ids(look(signed(`{"alg":"ES256","kid":"`+kid+`","typ":"at+jwt"}`, good(), 64))); len(got) != 0 {
			t.Errorf("kid %q: %v", kid, got)
		}
	}
}

const schemaFile = "../../docs/reference/token-inspect.schema.json"

// Every report is valid by the published schema, and the schema can fail.
func TestSchema(t *testing.T) {
	content, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(content, &schema); err != nil {
		t.Fatal(err)
	}
	inputs := []string{"", "nothing here", guide, guide[:90], "2YotnFZFEjr1zCsicMWpAA", `{"kty":"EC"}`}
	for _, c := range corpus() {
		inputs = append(inputs, c.token)
	}
	for _, input := range inputs {
		for _, o := range []inspect.Options{{Now: noon}, {Now: noon, Keys: inspect.FromSecret([]byte(guideSecret), "s"), Reveal: true}} {
			text, err := json.Marshal(inspect.Inspect(input, o))
			if err != nil {
				t.Fatal(err)
			}
			var v any
			_ = json.Unmarshal(text, &v)
			for _, fault := range faults(schema, schema, v, "report") {
				t.Errorf("%.20q: %s", input, fault)
			}
		}
	}
	// The report of a comparison holds two of these.
	content, err = os.ReadFile("../../docs/reference/token-diff.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var diff map[string]any
	if err := json.Unmarshal(content, &diff); err != nil {
		t.Fatal(err)
	}
	for _, c := range corpus() {
		text, err := json.Marshal(inspect.Diff(guide, c.token, inspect.Options{Now: noon}))
		if err != nil {
			t.Fatal(err)
		}
		var v any
		_ = json.Unmarshal(text, &v)
		for _, fault := range append(faults(diff, diff, v, "diff"), faults(schema, schema, v.(map[string]any)["after"], "after")...) {
			t.Errorf("%.20q: %s", c.token, fault)
		}
	}
	for _, wrong := range []string{`{}`, `{"schema":"token-inspect/2"}`, `[]`} {
		var v any
		_ = json.Unmarshal([]byte(wrong), &v)
		if len(faults(schema, schema, v, "report")) == 0 {
			t.Errorf("the schema takes %s", wrong)
		}
	}
}

// faults checks the part of JSON Schema that the file uses.
func faults(root, schema map[string]any, v any, at string) []string {
	if ref, ok := schema["$ref"].(string); ok {
		schema = root["$defs"].(map[string]any)[filepath.Base(ref)].(map[string]any)
	}
	if want, ok := schema["const"]; ok && want != v {
		return []string{fmt.Sprintf("%s is %v, want %v", at, v, want)}
	}
	if list, ok := schema["enum"].([]any); ok && !slices.Contains(list, v) {
		return []string{fmt.Sprintf("%s is %v, want one of %v", at, v, list)}
	}
	var all []string
	switch want := schema["type"]; want {
	case "object":
		object, ok := v.(map[string]any)
		if !ok {
			return []string{at + " is no object"}
		}
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range list(schema["required"]) {
			if _, ok := object[name]; !ok {
				all = append(all, at+" lacks "+name)
			}
		}
		for name, value := range object {
			if property, ok := properties[name].(map[string]any); ok {
				all = append(all, faults(root, property, value, at+"."+name)...)
			} else if schema["additionalProperties"] == false {
				all = append(all, at+" has the unknown "+name)
			}
		}
	case "array":
		items, ok := v.([]any)
		if !ok {
			return []string{at + " is no list"}
		}
		for i, item := range items {
			all = append(all, faults(root, schema["items"].(map[string]any), item, fmt.Sprint(at, "[", i, "]"))...)
		}
	case "string":
		if _, ok := v.(string); !ok {
			all = append(all, at+" is no text")
		}
	case "integer":
		if n, ok := v.(float64); !ok || n != float64(int64(n)) {
			all = append(all, at+" is no whole number")
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			all = append(all, at+" is neither true nor false")
		}
	}
	return all
}

func list(v any) []string {
	var all []string
	items, _ := v.([]any)
	for _, item := range items {
		all = append(all, item.(string))
	}
	return all
}
