package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// appPage is a browser app that knows nothing of tokens.
const appPage = `<!doctype html><html lang="en"><title>App</title><h1>…</h1><p id="out"></p>
<button id="order">Order</button> <button id="bare">Order without the header</button> <button id="leave">Sign out</button>
<script>
const out = (text) => document.getElementById('out').textContent = text;
const order = (headers) => fetch('/orders/1', {method: 'POST', headers}).then(async (r) => out(r.status + ' ' + await r.text()));
fetch('/.gatehouse/session').then((r) => r.json()).then((s) => document.querySelector('h1').textContent = 'Hello, ' + s.name);
document.getElementById('order').onclick = () => order({'Gatehouse-CSRF': '1'});
document.getElementById('bare').onclick = () => order({});
document.getElementById('leave').onclick = () => fetch('/.gatehouse/logout', {method: 'POST', headers: {'Gatehouse-CSRF': '1'}}).then((r) => r.json()).then((a) => location = a.continue);
</script>`

// A person signs in through the gateway, the page calls the API, and signs out
// here and at the issuer. Gateway and issuer are two sites to the browser, so
// the Strict cookie and the way back are put to the test.
func TestBFFInABrowser(t *testing.T) {
	b := openTab(t)
	d := startDev(t, "--data", t.TempDir())
	defer d.stop(syscall.SIGTERM)
	address := "127.0.0.1:" + freePort(t)
	site := "http://" + address
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/app" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, appPage)
			return
		}
		fmt.Fprintf(w, "for %s, cookie %q, token %q", r.Header.Get("X-User-Id"), r.Header.Get("Cookie"), r.Header.Get("Authorization"))
	}))
	defer upstream.Close()
	out, err := exec.Command(binary, "client", "create", "app", "--confidential", "--first-party", "--redirect-uri", site+"/.gatehouse/callback",
		"--post-logout-redirect-uri", site+"/.gatehouse/signed-out", "--backchannel-logout-uri", site+"/.gatehouse/backchannel-logout",
		"--scope", "openid", "--scope", "profile", "--scope", "orders:read", "--json", "--data", d.Data).CombinedOutput()
	var client struct {
		Secret string `json:"client_secret"`
	}
	if err != nil || json.Unmarshal(out, &client) != nil || client.Secret == "" {
		t.Fatalf("client create: %v %s", err, out)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(client.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, stop, _ := startGateway(t, "--listen", address, "--to", upstream.URL, "--issuer", d.Issuer, "--audience", d.Audience, "--data", t.TempDir(),
		"--bff", "--client-id", "app", "--client-secret-file", secret, "--external-url", site, "--scope", "openid,profile,orders:read")
	defer stop()

	h := mouse{b}
	b.visit(site + "/app")
	b.arrives("Sign in")
	h.fill("username", "ada")
	h.fill("password", d.Users[0].Password)
	h.press("Sign in")
	b.arrives("Hello, Ada Lovelace")
	if at := value[string](b, `location.href`); at != site+"/app" {
		t.Errorf("came back to %s", at)
	}
	if seen := value[string](b, `document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)`); seen != "{}{}" {
		t.Errorf("a script sees %q", seen)
	}
	h.press("Order")
	b.shows(`200 for usr_`)
	b.shows(`cookie "", token ""`)
	b.clean("signed in")
	h.click(`document.getElementById('bare')`)
	b.shows(`403 {"error":"csrf"`)
	if faults := b.drain(); len(faults) != 1 || !strings.Contains(faults[0], "403") {
		t.Errorf("beside the refusal: %q", faults)
	}
	// From another site by a link the cookie stays behind at first; the session
	// goes on, and is not begun anew.
	before := b.cookie("gatehouse-app-", site)
	b.visit(d.Issuer)
	b.arrives("Gatehouse")
	b.followLink(site + "/app")
	b.arrives("Hello, Ada Lovelace")
	if after := b.cookie("gatehouse-app-", site); before == "" || after != before {
		t.Errorf("the cookie was %q and is %q", before, after)
	}
	h.press("Sign out")
	b.arrives("Sign out")
	h.press("Sign out")
	b.arrives("You are signed out")
	h.press("Continue to app")
	b.wait("way back from the issuer", fmt.Sprintf(`location.href === %q && document.body.innerText.includes('You are signed out')`, site+"/.gatehouse/signed-out"))
	b.visit(site + "/app")
	b.arrives("Sign in")
	b.clean("the whole way")
}

// followLink follows a link of the page that is open.
func (b *tab) followLink(address string) {
	b.t.Helper()
	value[bool](b, fmt.Sprintf(`(() => { const a = document.createElement('a'); a.href = %q; document.body.append(a); setTimeout(() => a.click(), 0); return true })()`, address))
}

// cookie is what the browser keeps for a site under a name that begins so.
func (b *tab) cookie(begins, site string) (value string) {
	b.t.Helper()
	b.do(chromedp.ActionFunc(func(ctx context.Context) error {
		all, err := network.GetCookies().WithURLs([]string{site}).Do(ctx)
		for _, c := range all {
			if strings.HasPrefix(c.Name, begins) {
				value = c.Value
				if !c.HTTPOnly || c.SameSite != network.CookieSameSiteStrict {
					b.t.Errorf("the cookie %s is not HttpOnly and Strict", c.Name)
				}
			}
		}
		return err
	}))
	return value
}
