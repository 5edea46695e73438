package oauth_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

func TestPKCE(t *testing.T) {
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 appendix B
	parse := func(method, challenge string) (oauth.PKCEChallenge, error) {
		form, err := oauth.ParseForm(url.Values{"code_challenge": {challenge}, "code_challenge_method": {method}}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		return oauth.ParsePKCE(form)
	}
	c, err := parse("S256", challenge)
	if err != nil || c.CheckVerifier(verifier) != nil {
		t.Fatalf("the RFC's example: %v", err)
	}
	for _, bad := range [][2]string{{"plain", challenge}, {"", challenge}, {"s256", challenge}, {"S256", ""}, {"S256", challenge[:42]}, {"S256", challenge + "A"}, {"S256", challenge + "="}, {"S256", verifier + "!"}} {
		if _, err := parse(bad[0], bad[1]); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for name, v := range map[string]string{
		"another": strings.Repeat("a", 43), "42 characters": verifier[:42], "129 characters": strings.Repeat("a", 129), "empty": "", "the challenge itself": challenge,
		"a space": verifier[:42] + " ", "a slash": verifier[:42] + "/",
	} {
		if c.CheckVerifier(v) == nil {
			t.Errorf("verifier %s is taken", name)
		}
	}
	if oauth.PKCEChallenge("").CheckVerifier(verifier) == nil {
		t.Error("a code without a challenge takes any verifier")
	}
	for n, ok := range map[int]bool{43: true, 128: true} {
		v := strings.Repeat("b", n)
		form, _ := oauth.ParseForm(url.Values{"code_challenge": {challenge}, "code_challenge_method": {"S256"}}.Encode())
		_ = form
		if err := c.CheckVerifier(v); (err != nil) != ok || strings.Contains(err.Error(), "43 to 128") {
			t.Errorf("%d characters are of the right length: %v", n, err)
		}
	}
}

func TestErrorsCarryTwoTexts(t *testing.T) {
	cause := errors.New("row 7 is damaged")
	err := fmt.Errorf("redeem: %w", oauth.InvalidGrant("The code has expired.").Because(cause))
	var known *oauth.Error
	if !errors.As(err, &known) || known.Code != "invalid_grant" || strings.Contains(known.Description, "row") || !errors.Is(err, cause) || !strings.Contains(err.Error(), "row 7") {
		t.Errorf("got %v", err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	text := fmt.Sprintf("%v %+v %#v", oauth.Credentials{ClientID: "a", Secret: "hunter2"}, oauth.ChallengeRequest{Password: "hunter2"}, oauth.Credentials{Secret: "hunter2"})
	if strings.Contains(text, "hunter2") {
		t.Errorf("got %s", text)
	}
}

func TestChallengeHeaderCannotBeBrokenOutOf(t *testing.T) {
	c := oauth.Challenge{Realm: "api", Code: "invalid_token", Description: "x\", scope=\"admin\r\nX-Injected: 1 ü", Scope: "a b"}.String()
	if c != `Bearer realm="api", error="invalid_token", error_description="x', scope='admin''X-Injected: 1 '", scope="a b"` {
		t.Errorf("got %s", c)
	}
}

func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{"", "a=b", "a=b&a=c", "a=%zz", "grant_type=client_credentials&scope=x+y", "a=%ff", "&&&", "=", "a;b=c", "%61=1&a=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := oauth.ParseForm(body)
		if err != nil {
			var known *oauth.Error
			if !errors.As(err, &known) || known.Description == "" {
				t.Fatalf("a refusal without a code: %v", err)
			}
			return
		}
		// What we read is what the standard library reads.
		values, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("taken, and the standard library refuses it: %v", err)
		}
		for name, list := range values {
			if len(list) != 1 || form.Get(name) != list[0] {
				t.Fatalf("%q is %q, the standard library reads %q", name, form.Get(name), list)
			}
		}
		oauth.ParseTokenRequest(form)
		oauth.ParseChallengeRequest(form)
		oauth.ParseCredentials(nil, form)
	})
}

func FuzzParseBearer(f *testing.F) {
	for _, seed := range []string{"", "Bearer x", "bearer x", "Bearer  x", "Bearer x,y", "Basic eDp5", "Bearer\tx"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token, err := oauth.ParseBearer([]string{header})
		if err != nil {
			return
		}
		if len(header) != len("Bearer ")+len(token) || !strings.HasSuffix(header, token) || strings.ContainsAny(token, " \t,") {
			t.Fatalf("%q gives %q", header, token)
		}
	})
}
