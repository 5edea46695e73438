package cli_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/cli"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// wrapped breaks a text into lines.
func wrapped(text, begin string, width int) string {
	var b strings.Builder
	for len(text) > width {
		b.WriteString(begin + text[:width] + "\n")
		text = text[width:]
	}
	return b.String() + begin + text + "\n"
}

// Whatever people paste: the token is found in it, what was done is said, and
// nothing of the token is shown again.
func TestTokenInspectIsForgiving(t *testing.T) {
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	raw, err := signer.Sign("at+jwt", map[string]any{"iss": "https://id.example.com", "sub": "usr_1", "aud": "orders", "exp": now + 600, "iat": now, "jti": "1", "client_id": "shop", "scope": "orders:read"})
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndexByte(raw, '.')
	const found = "NOT CHECKED"
	for _, tc := range []struct{ name, text, verdict, says string }{
		{"itself", raw, found, "access token (RFC 9068)"},
		{"Bearer", "Bearer " + raw, found, `"Bearer" in front of it was left out`},
		{"a header", "Authorization: Bearer " + raw + "\n", found, `"Authorization:" in front of it was left out`},
		{"a header in other letters", "authorization: bearer " + raw, found, "left out"},
		{"quotes", `"` + raw + `"`, found, "quotes around it were left out"},
		{"typographic quotes", "“" + raw + "”", found, "found in a text"},
		{"space around", "  \t" + raw + "\r\n\r\n", found, "access token"},
		{"line wraps", wrapped(raw, "", 60), found, "the lines were joined"},
		{"a quoted mail", wrapped(raw, "> ", 60), found, "the lines were joined"},
		{"percent-encoding", strings.ReplaceAll(raw, ".", "%2E"), found, "percent-encoding was undone"},
		{"a Cookie header", "Cookie: a=b; session=" + raw + "; x=y", found, "found in a cookie"},
		{"a Set-Cookie header", "Set-Cookie: session=" + raw + "; HttpOnly; Secure", found, "found in a cookie"},
		{"a curl command", "curl -H 'Authorization: Bearer " + raw + "' \\\n  https://api.example.com/orders", found, "found in a curl command"},
		{"an address", "https://app.example.com/cb#access_token=" + raw + "&token_type=Bearer", found, "found in an address"},
		{"a token response", `{"access_token":"` + raw + `","token_type":"Bearer","expires_in":600}`, found, "found in the access_token of a JSON document"},
		{"a HAR file", `{"log":{"entries":[{"request":{"headers":[{"name":"Authorization","value":"Bearer ` + raw + `"}]}}]}}`, found, "found in a JSON document"},
		{"base64 twice", base64.StdEncoding.EncodeToString([]byte(raw)), found, "decoded once"},
		{"no signature", raw[:at], "INVALID", "its signature is missing"},
		{"no signature, with its dot", raw[:at+1], "INVALID", "its signature is missing"},
		{"cut off in the payload", raw[:at-40], "INVALID", "^ payload, character"},
		{"cut off in the header", raw[:30], "INVALID", "^ header, character"},
		{"encrypted", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.YQ.YQ.YQ.YQ", found, "only the holder of the key"},
		{"an opaque token", "gho_1234567890abcdefghij", found, "introspection endpoint"},
		{"PASETO", "v4.public.eyJzdWIiOiJhIn0", found, "another format than JWT"},
	} {
		for _, way := range []string{"the argument", "@FILE", "FILE", "-"} {
			t.Run(tc.name+" as "+way, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "pasted")
				if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
					t.Fatal(err)
				}
				arg := map[string]string{"the argument": tc.text, "@FILE": "@" + file, "FILE": file, "-": "-"}[way]
				var out, errs bytes.Buffer
				code := cli.Run(t.Context(), []string{"token", "inspect", arg}, cli.Streams{In: strings.NewReader(tc.text), Out: &out, Err: &errs})
				text := strings.Join(strings.Fields(out.String()), " ")
				if want := map[string]int{"INVALID": 3}[tc.verdict]; code != want || !strings.HasPrefix(text, tc.verdict) || !strings.Contains(text, tc.says) {
					t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
				}
				if at := strings.LastIndexByte(raw, '.'); strings.Contains(out.String(), raw[at+1:]) || strings.Contains(text, "VERIFIED") {
					t.Errorf("the signature is shown, or it counts as verified:\n%s", out.String())
				}
			})
		}
	}
	for _, nothing := range []string{"", " \n", "no token here"} {
		var out, errs bytes.Buffer
		if code := cli.Run(t.Context(), []string{"token", "inspect", "-"}, cli.Streams{In: strings.NewReader(nothing), Out: &out, Err: &errs}); code != 2 || !strings.Contains(errs.String(), "no token") {
			t.Errorf("%q: %d %s", nothing, code, errs.String())
		}
	}
}

// --at judges for another time, in all the forms that its error names.
func TestTokenInspectAt(t *testing.T) {
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	raw, err := signer.Sign("at+jwt", map[string]any{"iss": "https://id.example.com", "sub": "usr_1", "aud": "orders", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	for at, says := range map[string]string{
		"": "left of 1 h", "+30m": "left of 1 h", "+2h": "ago, after 1 h", "-2h": "is issued in ", "2099-01-01": "expired 7", "2099-01-01T00:00:00Z": "expired 7", "2099-01-01 00:00:00": "expired 7", "4070908800": "expired 7",
	} {
		code, out, errs := run(t, "token", "inspect", raw, "--at", at)
		if code != 0 || !strings.Contains(out, says) {
			t.Errorf("--at %q: %d %s%s", at, code, out, errs)
		}
	}
	for _, at := range []string{"2h", "never", "2099-13-01", "-1"} {
		if code, _, errs := run(t, "token", "inspect", raw, "--at="+at); code != 2 || !strings.Contains(errs, "-2h or +10m") {
			t.Errorf("--at %q: %d %s", at, code, errs)
		}
	}
}
