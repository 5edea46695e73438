package e2e_test

import (
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

// person uses the issuer's pages by their forms, with cookies and without a
// browser, as a test of a client library needs it.
type person struct {
	t                  *testing.T
	issuer             string
	username, password string
	client             *http.Client
	seen               []string // headings of the pages on the way
	body               string   // of the last page
}

func newPerson(t *testing.T, issuer, username, password string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t: t, issuer: issuer, username: username, password: password,
		client: &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

var (
	headingOf = regexp.MustCompile(`(?s)<h1>(.*?)</h1>`)
	tags      = regexp.MustCompile(`<[^>]*>`)
	refreshOf = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)
	flowOf    = regexp.MustCompile(`<input type="hidden" name="flow" value="([^"]*)">`)
	actionOf  = regexp.MustCompile(`<form method="post" action="(/[a-z/]+)">`)
)

// opens a URL of the issuer and does what its pages ask, until the browser is
// sent elsewhere: that address is returned. "" when a page asks nothing more.
func (p *person) opens(address string) string {
	p.t.Helper()
	response, err := p.client.Get(address)
	for range 20 {
		if err != nil {
			p.t.Fatal(err)
		}
		body, failed := io.ReadAll(response.Body)
		response.Body.Close()
		if failed != nil {
			p.t.Fatal(failed)
		}
		p.body = string(body)
		to := response.Header.Get("Location")
		if m := refreshOf.FindSubmatch(body); m != nil {
			to = html.UnescapeString(string(m[1]))
		}
		if to != "" {
			target, err := response.Request.URL.Parse(to)
			if err != nil {
				p.t.Fatal(err)
			}
			if !strings.HasPrefix(target.String(), p.issuer+"/") {
				return target.String()
			}
			response, err = p.client.Get(target.String())
			if err != nil {
				p.t.Fatal(err)
			}
			continue
		}
		if response.StatusCode != http.StatusOK {
			p.t.Fatalf("%s answers %d\n%s", response.Request.URL, response.StatusCode, body)
		}
		if m := headingOf.FindSubmatch(body); m != nil {
			p.seen = append(p.seen, html.UnescapeString(tags.ReplaceAllString(string(m[1]), "")))
		}
		form, action := p.fill(body)
		if action == "" {
			return ""
		}
		response, err = p.client.PostForm(p.issuer+action, form)
	}
	p.t.Fatalf("the pages never end: %q", p.seen)
	return ""
}

// ends is opens, on and on until a page is the end.
func (p *person) ends(address string) {
	p.t.Helper()
	for range 10 {
		if address = p.opens(address); address == "" {
			return
		}
	}
	p.t.Fatalf("redirects never end, the last is %s", address)
}

// fill answers the form of a page: sign in, allow, and go on.
func (p *person) fill(body []byte) (url.Values, string) {
	flow, action := flowOf.FindSubmatch(body), actionOf.FindSubmatch(body)
	if flow == nil || action == nil {
		return nil, ""
	}
	form := url.Values{"flow": {html.UnescapeString(string(flow[1]))}}
	switch string(action[1]) {
	case "/login":
		form.Set("username", p.username)
		form.Set("password", p.password)
	case "/consent", "/device/confirm":
		form.Set("decision", "allow")
	case "/device":
		m := regexp.MustCompile(`name="user_code"[^>]* value="([^"]*)"`).FindSubmatch(body)
		if m == nil {
			p.t.Fatalf("the page of the code has no code:\n%s", body)
		}
		form.Set("user_code", string(m[1]))
	default:
		return nil, ""
	}
	return form, string(action[1])
}
