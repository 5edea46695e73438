package page

import (
	"net/http"
	"time"
)

// Sample is a page with values of every kind, for checks of templates, for the
// preview and for the browser tests.
type Sample struct {
	Page string // the page's name, such as login
	Case string // what is special about it, "" the ordinary one
	Show func(p *Pages, w http.ResponseWriter, r *http.Request)
}

// Name is the page and the case, such as login-denied.
func (s Sample) Name() string {
	if s.Case == "" {
		return s.Page
	}
	return s.Page + "-" + s.Case
}

// Samples are all pages in all their states. Times lie before now.
func Samples(now time.Time) []Sample {
	const flow = "v1.k7f2.c2FtcGxlIG9mIGEgc2VhbGVkIGZsb3c"
	scopes := []ConsentScope{
		{Name: "openid"}, {Name: "profile"}, {Name: "email"}, {Name: "offline_access"},
		{Name: "orders:read", Sentence: "See your orders"}, {Name: "orders:write", Sentence: "Place and change orders"},
		{Name: "phone", Optional: true}, {Name: "invoices:read", Sentence: "See your invoices", Optional: true},
	}
	login := func(p *Pages, w http.ResponseWriter, r *http.Request, status int, v Login) {
		v.App, v.AppHost, v.Flow, v.Cancel = "Acme Orders", "orders.example.com", flow, true
		p.Login(w, r, status, v)
	}
	problem := func(v Problem) func(*Pages, http.ResponseWriter, *http.Request) {
		return func(p *Pages, w http.ResponseWriter, r *http.Request) {
			v.Reference = "7f3k22mq5x"
			p.Problem(w, r, v.Status, v)
		}
	}
	return append([]Sample{
		{"login", "", func(p *Pages, w http.ResponseWriter, r *http.Request) { login(p, w, r, 200, Login{}) }},
		{"login", "plain", func(p *Pages, w http.ResponseWriter, r *http.Request) { p.Login(w, r, 200, Login{Flow: flow}) }},
		{"login", "denied", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			login(p, w, r, 400, Login{Username: "ada", Fault: FaultDenied})
		}},
		{"login", "too-many", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			login(p, w, r, 429, Login{Username: "ada", Fault: FaultTooMany, Wait: 5 * time.Minute})
		}},
		{"login", "expired", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			login(p, w, r, 400, Login{Username: "ada", Fault: FaultExpired})
		}},
		{"login", "again", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			login(p, w, r, 200, Login{Username: "ada", Why: WhyAge})
		}},
		{"consent", "", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Consent(w, r, 200, Consent{App: "Acme Orders", RedirectHost: "orders.example.com", Flow: flow, Username: "ada", Scopes: scopes, API: "Orders API"})
		}},
		{"consent", "native", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Consent(w, r, 200, Consent{App: "acme", RedirectHost: "127.0.0.1", Flow: flow, Username: "ada", Scopes: scopes[:4], Native: true})
		}},
		{"device-code", "", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.DeviceCode(w, r, 200, DeviceCode{Flow: flow})
		}},
		{"device-code", "wrong", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.DeviceCode(w, r, 400, DeviceCode{Flow: flow, UserCode: "WDJB-MJHT", Fault: FaultCode})
		}},
		{"device-confirm", "", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.DeviceConfirm(w, r, 200, DeviceConfirm{Flow: flow, App: "Acme TV", UserCode: "WDJB-MJHT", Username: "ada", Address: "203.0.113.7", Scopes: scopes[:2]})
		}},
		{"device-done", "", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.DeviceDone(w, r, 200, DeviceDone{App: "Acme TV", Allowed: true})
		}},
		{"device-done", "denied", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.DeviceDone(w, r, 200, DeviceDone{App: "Acme TV"})
		}},
		{"continue", "", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Continue(w, r, 200, Continue{App: "Acme Orders", Target: "https://orders.example.com/callback?code=c1&state=s1"})
		}},
		{"continue", "native", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Continue(w, r, 200, Continue{App: "Acme for phones", Target: "com.example.acme:/callback?code=c1&state=s1"})
		}},
		{"form-post", "", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.FormPost(w, r, 200, FormPost{App: "Acme Orders", Action: "https://orders.example.com/callback", Fields: [][2]string{{"code", "c1"}, {"state", "s1"}}})
		}},
		{"logout", "", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Logout(w, r, 200, Logout{App: "Acme Orders", Username: "ada", Flow: flow})
		}},
		{"logged-out", "", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.LoggedOut(w, r, 200, LoggedOut{App: "Acme Orders", Target: "https://orders.example.com/", Apps: []string{"Acme Orders", "Acme Wiki"}})
		}},
		{"logged-out", "plain", func(p *Pages, w http.ResponseWriter, r *http.Request) { p.LoggedOut(w, r, 200, LoggedOut{}) }},
		{"account", "", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Account(w, r, 200, sampleAccount(now, flow, scopes))
		}},
		{"account", "empty", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Account(w, r, 200, Account{Username: "ada", Flow: flow, Sessions: []AccountSession{{ID: "ses_1", Current: true, Since: now, LastSeen: now}}})
		}},
		{"account", "fault", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			v := sampleAccount(now, flow, scopes)
			v.Notice, v.Fault = "", FaultExpired
			p.Account(w, r, 400, v)
		}},
		{"password", "", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Password(w, r, 200, Password{Flow: flow, Username: "ada"})
		}},
		{"password", "refused", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Password(w, r, 400, Password{Flow: flow, Username: "ada", NewFault: "The password has 9 characters; it needs at least 15.", Differs: true})
		}},
		{"password", "denied", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Password(w, r, 400, Password{Flow: flow, Username: "ada", Fault: FaultDenied})
		}},
		{"password", "done", func(p *Pages, w http.ResponseWriter, r *http.Request) {
			p.Password(w, r, 200, Password{Flow: flow, Done: true, SignedIn: true})
		}},
		{"problem", "", problem(Problem{Status: 400, AppAtFault: true, Detail: "redirect_uri: https://orders.example.com/cb is not registered for client acme-orders. Registered addresses are compared character by character."})},
		{"problem", "server", problem(Problem{Status: 500})},
		{"problem", "not-found", problem(Problem{Status: 404})},
	}, inspectSamples(flow)...)
}

func sampleAccount(now time.Time, flow string, scopes []ConsentScope) Account {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	return Account{
		Username: "ada", Name: "Ada Lovelace", Flow: flow, Notice: NoticeRevoked, Password: true,
		Apps: []AccountApp{
			{ClientID: "acme-orders", Name: "Acme Orders", Scopes: scopes[:6], Since: ago(80 * day), LastUsed: ago(3 * time.Hour)},
			{ClientID: "acme-wiki", Name: "Acme Wiki", Scopes: scopes[:2], Since: ago(12 * day), LastUsed: ago(5 * day)},
		},
		Sessions: []AccountSession{
			{ID: "ses_1", Current: true, Since: ago(2 * day), LastSeen: now, Browser: "Firefox on Linux", Apps: []string{"Acme Orders", "Acme Wiki"}},
			{ID: "ses_2", Since: ago(20 * day), LastSeen: ago(26 * time.Hour), Browser: "Safari on iPhone", Apps: []string{"Acme Orders"}},
		},
	}
}
