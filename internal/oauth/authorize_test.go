package oauth_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

const goodQuery = "client_id=app&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb&response_type=code&scope=openid&state=s&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"

// A fault of one parameter must not hide the others: with a proven redirect URI
// the client is told. And a parameter at fault must not be believed.
func TestOA211ParseQueryForgetsWhatIsAtFault(t *testing.T) {
	for name, tc := range map[string]struct {
		more, lost, kept string
	}{
		"twice":                 {"&state=t", "state", "client_id"},
		"twice the same":        {"&state=s", "state", "client_id"},
		"first empty":           {"&nonce=&nonce=n", "nonce", "state"},
		"three times":           {"&x=1&x=2&x=3", "x", "state"},
		"escaped name":          {"&%73tate=t", "state", "client_id"},
		"client_id twice":       {"&client_id=evil", "client_id", "state"},
		"redirect_uri twice":    {"&redirect_uri=https%3A%2F%2Fevil.example", "redirect_uri", "state"},
		"control characters":    {"&nonce=a%00b", "nonce", "state"},
		"not UTF-8":             {"&nonce=%ff", "nonce", "state"},
		"broken escape":         {"&nonce=%zz", "nonce", "state"},
		"semicolon":             {"&nonce=a;b", "nonce", "state"},
		"a very long parameter": {"&nonce=" + strings.Repeat("x", 13<<10), "client_id", ""},
		"sixty-five parameters": {strings.Repeat("&a=b", 60), "client_id", ""},
		"response_type twice":   {"&response_type=token", "response_type", "state"},
		"code_challenge twice":  {"&code_challenge=x", "code_challenge", "state"},
		"prompt twice":          {"&prompt=none&prompt=login", "prompt", "state"},
		"request_uri twice":     {"&request_uri=a&request_uri=b", "request_uri", "state"},
	} {
		form, fault := oauth.ParseQuery(goodQuery + tc.more)
		if fault == nil || fault.Code != oauth.CodeInvalidRequest || form.Get(tc.lost) != "" || tc.kept != "" && form.Get(tc.kept) == "" {
			t.Errorf("%s: %v, lost %q, kept %q", name, fault, form.Get(tc.lost), form.Get(tc.kept))
		}
	}
	if form, fault := oauth.ParseQuery(goodQuery + "&empty=&a=b%20c&tab=%09"); fault != nil || form.Get("a") != "b c" || form.Has("empty") {
		t.Errorf("a good one: %v", fault)
	}
}

func TestOIDC1ClaimsParameter(t *testing.T) {
	c, err := oauth.ParseClaimsRequest(`{"userinfo":{"email":null,"name":{"essential":true}},"id_token":{"acr":{"essential":true,"values":["mfa","phr"]},"sub":{"value":"usr_a"}},"other":{"x":1}}`)
	if err != nil || !slices.Equal(c.UserInfo, []string{"email", "name"}) || !slices.Equal(c.IDToken, []string{"acr", "sub"}) || !slices.Equal(c.ACR, []string{"mfa", "phr"}) || c.Subject != "usr_a" {
		t.Errorf("got %+v %v", c, err)
	}
	if back := oauth.StoredClaimsRequest(c.Text()); !slices.Equal(back.UserInfo, c.UserInfo) || !slices.Equal(back.IDToken, c.IDToken) || back.Subject != "" || len(back.ACR) != 0 {
		t.Errorf("stored %+v", back)
	}
	for name, text := range map[string]string{
		"a list": `[]`, "a string": `"userinfo"`, "twice": `{"userinfo":{},"userinfo":{}}`, "twice inside": `{"userinfo":{"a":null,"a":null}}`, "in two cases": `{"userinfo":{"a":null,"A":null}}`,
		"trailing": `{}{}`, "a claim that is true": `{"userinfo":{"email":true}}`, "essential as text": `{"id_token":{"acr":{"essential":"true"}}}`, "not JSON": `{`, "too long": `{"a":"` + strings.Repeat("x", 2048) + `"}`,
		"two subs": `{"id_token":{"sub":{"values":["a","b"]}}}`, "sub against sub": `{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}`,
	} {
		var refusal *oauth.Error
		if _, err := oauth.ParseClaimsRequest(text); !errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := oauth.ParseClaimsRequest(`{"id_token":{"acr":{"values":["phr"]}}}`); err != nil || len(c.ACR) != 0 {
		t.Errorf("a wish is not a condition: %+v %v", c, err)
	}
}

func TestISSInEveryAnswer(t *testing.T) {
	for _, a := range []oauth.AuthorizeAnswer{{Code: "c"}, {Code: "c", State: "s"}, {Err: oauth.InvalidRequest("no")}, {Err: oauth.Refuse(oauth.CodeLoginRequired, "no"), State: "s"}} {
		fields := a.Fields("https://i.example/")
		if last := fields[len(fields)-1]; last != [2]string{"iss", "https://i.example/"} {
			t.Errorf("%+v ends with %v", a, last)
		}
		u, err := url.Parse(a.URL("https://app.example.com/cb?x=y", "https://i.example/"))
		if err != nil || u.Query().Get("iss") != "https://i.example/" || u.Query().Get("x") != "y" || u.Query().Has("code") == u.Query().Has("error") {
			t.Errorf("%+v: %s", a, u)
		}
	}
	odd := oauth.AuthorizeAnswer{Err: oauth.InvalidRequest("%s", "a\"b\\c\r\nd\u00e9")}
	if text := odd.Fields("i")[1][1]; text != "a'b'c''d'" {
		t.Errorf("RFC 6749 §4.1.2.1: %q", text)
	}
}

func FuzzParseAuthorize(f *testing.F) {
	for _, query := range []string{goodQuery, goodQuery + "&state=t", goodQuery + "&claims=%7B%22userinfo%22%3A%7B%22email%22%3Anull%7D%7D&max_age=10&prompt=login%20consent&ui_locales=de&response_mode=form_post", "a=b;c", "%", "client_id=a&client_id=b", goodQuery + "&resource=https%3A%2F%2Fa.example&acr_values=x"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		form, fault := oauth.ParseQuery(query)
		where := oauth.ParseWhere(form)
		for _, name := range []string{"client_id", "redirect_uri", "state"} {
			// Whatever is believed stood there exactly once.
			if values, err := url.ParseQuery(query); err == nil && form.Get(name) != "" && (len(values[name]) != 1 || values.Get(name) != form.Get(name)) {
				t.Fatalf("%s: %v became %q", name, values[name], form.Get(name))
			}
		}
		if len(where.State) > oauth.MaxState || where.Mode != oauth.ModeQuery && where.Mode != oauth.ModeFormPost {
			t.Fatalf("%+v", where)
		}
		if fault != nil {
			return
		}
		r, err := oauth.ParseAuthorize(form)
		var refusal *oauth.Error
		switch {
		case err != nil && !errors.As(err, &refusal):
			t.Fatalf("a refusal without a code: %v", err)
		case err == nil && (len(r.Challenge) != 43 || r.Asks("none") && len(r.Prompt) > 1 || r.State != form.Get("state") || len(r.Locales) > 8 || r.MaxAge != nil && *r.MaxAge < 0 || r.ResponseMode == ""):
			t.Fatalf("accepted %+v", r)
		}
	})
}

func FuzzClaimsRequest(f *testing.F) {
	for _, text := range []string{`{"userinfo":{"email":null}}`, `{"id_token":{"acr":{"essential":true,"values":["mfa"]},"sub":{"value":"x"}}}`, `{"userinfo":{"a#b":null}}`, `{"USERINFO":{}}`, `[]`, `{"id_token":null}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := oauth.ParseClaimsRequest(text)
		var refusal *oauth.Error
		if err != nil {
			if !errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidRequest {
				t.Fatalf("a refusal without a code: %v", err)
			}
			return
		}
		back := oauth.StoredClaimsRequest(c.Text())
		if !slices.Equal(back.UserInfo, c.UserInfo) || !slices.Equal(back.IDToken, c.IDToken) || len(c.Names()) > 64 || slices.ContainsFunc(c.Names(), func(n string) bool { return len(n) > 64 || strings.Contains(n, "#") }) {
			t.Fatalf("%q became %+v and then %+v", text, c, back)
		}
	})
}
