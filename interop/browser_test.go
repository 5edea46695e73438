package interop_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browser is a person's browser without script: it keeps cookies.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{t: t, client: &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type page struct {
	*http.Response
	body string
}

func (b *browser) send(method, target string, form url.Values) page {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, target, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	answer, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{answer, string(text)}
}

var (
	hidden  = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
	action  = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	onwards = regexp.MustCompile(`http-equiv="refresh" content="[0-9]+; ?url=([^"]+)"|<a class="button primary" href="([^"]+)"`)
)

// signIn opens an address as a person does, signs in on the way, agrees to
// what is asked, and returns where the browser is sent in the end: the first
// address that does not begin with the issuer's.
func (b *browser) signIn(issuer, start, username, password string) string {
	b.t.Helper()
	p := b.send("GET", start, nil)
	for range 10 {
		to := p.Header.Get("Location")
		if m := onwards.FindStringSubmatch(p.body); to == "" && m != nil {
			to = html.UnescapeString(m[1] + m[2])
		}
		if to != "" {
			next, err := p.Request.URL.Parse(to)
			if err != nil {
				b.t.Fatal(err)
			}
			if !strings.HasPrefix(next.String(), issuer+"/") {
				return next.String()
			}
			p = b.send("GET", next.String(), nil)
			continue
		}
		p = b.submit(p, username, password)
	}
	b.t.Fatalf("%s leads nowhere", start)
	return ""
}

// submit fills in the one form of a page: the login, or the consent.
func (b *browser) submit(p page, username, password string) page {
	b.t.Helper()
	m := action.FindStringSubmatch(p.body)
	if m == nil || p.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: no form, status %d\n%s", p.Request.URL, p.StatusCode, p.body)
	}
	to, err := p.Request.URL.Parse(html.UnescapeString(m[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	form := url.Values{}
	for _, field := range hidden.FindAllStringSubmatch(p.body, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	if strings.Contains(p.body, `name="password"`) {
		form.Set("username", username)
		form.Set("password", password)
	}
	if m := regexp.MustCompile(`name="user_code" type="text" value="([^"]*)"`).FindStringSubmatch(p.body); m != nil {
		form.Set("user_code", m[1])
	}
	if strings.Contains(p.body, `name="decision" value="allow"`) {
		form.Set("decision", "allow")
	}
	return b.send("POST", to.String(), form)
}

// tokens is what the token endpoint answers.
type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Error   string
}

func (d *dev) token(form url.Values) tokens {
	d.t.Helper()
	answer, err := client.PostForm(d.Issuer+"/oauth/token", form)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	var got tokens
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		d.t.Fatal(err)
	}
	return got
}

// serviceToken is a new token of the service account.
func (d *dev) serviceToken() string {
	d.t.Helper()
	id, secret, _ := d.service()
	got := d.token(url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}})
	if got.Access == "" {
		d.t.Fatalf("no token: %+v", got)
	}
	return got.Access
}

// login gets a user's tokens by code and PKCE, with no library between.
func (d *dev) login(app, username string) tokens {
	d.t.Helper()
	const verifier, redirect = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "http://127.0.0.1:9/cb"
	digest := sha256.Sum256([]byte(verifier))
	password, _ := d.user(username)
	landed := newBrowser(d.t).signIn(d.Issuer, d.Issuer+"/oauth/authorize?"+url.Values{"client_id": {app}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid orders:read"},
		"state": {"s"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(digest[:])}, "code_challenge_method": {"S256"}}.Encode(), username, password)
	u, err := url.Parse(landed)
	if err != nil || u.Query().Get("code") == "" {
		d.t.Fatalf("no code: %s", landed)
	}
	got := d.token(url.Values{"grant_type": {"authorization_code"}, "client_id": {app}, "code": {u.Query().Get("code")}, "code_verifier": {verifier}, "redirect_uri": {redirect}})
	if got.ID == "" {
		d.t.Fatalf("no ID token: %+v", got)
	}
	return got
}

// kid is the key that a token names.
func kid(t *testing.T, token string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ Kid string }
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatal(err)
	}
	return header.Kid
}
