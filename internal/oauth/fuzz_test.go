package oauth_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// FuzzTokenRequest: what the token endpoint takes is what the standard library
// reads, complete for its grant type, and written again it is the same request.
func FuzzTokenRequest(f *testing.F) {
	for _, seed := range []string{
		"grant_type=client_credentials", "grant_type=client_credentials&scope=a+b+a&resource=https://api.example.com",
		"grant_type=authorization_code&code=v1.k.s&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb",
		"grant_type=refresh_token&refresh_token=v1.k.g.1.m&scope=orders%3Aread", "grant_type=refresh_token", "grant_type=authorization_code&code=x",
		"grant_type=password&username=ada&password=x", "grant_type=client_credentials&grant_type=refresh_token", "grant_type=client_credentials&scope=a++b",
		"grant_type=client_credentials&scope=%22", "grant_type=client_credentials&resource=/relative", "grant_type=client_credentials&resource=https://a%23b",
		"grant_type=client_credentials&resource=https://a&resource=https://b", "GRANT_TYPE=client_credentials", "grant_type=client_credentials%00", "grant_type=&scope=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := oauth.ParseForm(body)
		if err != nil {
			return // FuzzParseForm looks at those
		}
		r, err := oauth.ParseTokenRequest(form)
		if err != nil {
			var refusal *oauth.Error
			if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Description == "" {
				t.Fatalf("a refusal without code or sentence: %v", err)
			}
			return
		}
		values, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("taken, and the standard library refuses it: %v", err)
		}
		complete := map[string]bool{"client_credentials": r.Code == "" && r.RefreshToken == "", "authorization_code": r.Code != "" && r.Verifier != "" && r.RefreshToken == "",
			"refresh_token": r.RefreshToken != "" && r.Code == ""}
		if !complete[r.GrantType] {
			t.Fatalf("taken, and not complete: %+v", r)
		}
		for name, got := range map[string]string{"grant_type": r.GrantType, "resource": r.Resource, "redirect_uri": r.RedirectURI} {
			if got != values.Get(name) {
				t.Fatalf("%s is %q, the standard library reads %q", name, got, values.Get(name))
			}
		}
		sameScopes(t, r.Scopes, values.Get("scope"))
		again(t, r)
	})
}

// sameScopes compares with the standard library's reading of the same list.
func sameScopes(t *testing.T, got []string, raw string) {
	t.Helper()
	var want []string
	for _, name := range strings.Fields(raw) {
		if !slices.Contains(want, name) {
			want = append(want, name)
		}
	}
	if !slices.Equal(got, want) || len(got) > 64 {
		t.Fatalf("scope %q is read as %q", raw, got)
	}
}

// again writes a request as a form and reads it back.
func again(t *testing.T, r oauth.TokenRequest) {
	t.Helper()
	values := url.Values{}
	for name, value := range map[string]string{"grant_type": r.GrantType, "scope": oauth.JoinScope(r.Scopes), "resource": r.Resource, "code": r.Code,
		"code_verifier": r.Verifier, "redirect_uri": r.RedirectURI, "refresh_token": r.RefreshToken} {
		if value != "" {
			values.Set(name, value)
		}
	}
	form, err := oauth.ParseForm(values.Encode())
	if len(values.Encode()) > oauth.MaxFormBytes {
		return // escapes made it too long
	}
	if err != nil {
		t.Fatal(err)
	}
	back, err := oauth.ParseTokenRequest(form)
	if err != nil || !slices.Equal(back.Scopes, r.Scopes) {
		t.Fatalf("%+v is read back as %+v %v", r, back, err)
	}
	back.Scopes, r.Scopes = nil, nil
	if back.GrantType != r.GrantType || back.Resource != r.Resource || back.Code != r.Code || back.Verifier != r.Verifier || back.RedirectURI != r.RedirectURI || back.RefreshToken != r.RefreshToken {
		t.Fatalf("%+v is read back as %+v", r, back)
	}
}

// FuzzCredentials: one client, by one method, and as the standard library
// reads the header (RFC 6749 §2.3).
func FuzzCredentials(f *testing.F) {
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, seed := range [][2]string{
		{"", "client_id=a"}, {"", "client_id=a&client_secret=b"}, {basic("a:b"), ""}, {basic("a:b"), "client_id=a"}, {basic("a:b"), "client_id=c"}, {basic("a:b"), "client_secret=b"}, {basic("a:"), ""}, {basic("a:"), "client_id=a"},
		{basic("a%3Ab:c+d"), ""}, {basic(":"), ""}, {basic("a"), ""}, {basic("%zz:b"), ""}, {"basic YTpi", ""}, {"Basic  YTpi", ""}, {"Basic YTpi\n", ""}, {"Bearer x", "client_id=a"},
		{basic("a\n:b"), ""}, {basic("\xff:b"), ""}, {"", "client_assertion=x&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		form, err := oauth.ParseForm(body)
		if err != nil {
			return
		}
		var authorization []string
		if header != "" {
			authorization = []string{header}
		}
		c, err := oauth.ParseCredentials(authorization, form)
		if err != nil {
			var refusal *oauth.Error
			if !errors.As(err, &refusal) {
				t.Fatalf("a refusal without a code: %v", err)
			}
			return
		}
		if c.ClientID == "" || (c.Secret != "") != (c.Method == oauth.MethodBasic || c.Method == oauth.MethodPost) {
			t.Fatalf("taken: %s with method %s", c, c.Method)
		}
		if header == "" && c.Method == oauth.MethodBasic || header != "" && c.Method != oauth.MethodBasic && c.Method != oauth.MethodNone {
			t.Fatalf("method %s with the header %q", c.Method, header)
		}
		if header != "" {
			sameAsBasicAuth(t, header, c)
		}
	})
}

func sameAsBasicAuth(t *testing.T, header string, c oauth.Credentials) {
	t.Helper()
	id, secret, ok := (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	if !ok || err1 != nil || err2 != nil || id != c.ClientID || secret != c.Secret {
		t.Fatalf("%q is read as %q, the standard library reads %q (%v)", header, c.ClientID, id, ok)
	}
}
