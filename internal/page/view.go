package page

import (
	"net/http"
	"net/url"
	"time"
)

// Fault is a message key: what went wrong, in words that leak nothing and scold
// nobody. The empty Fault is none.
type Fault string

const (
	FaultDenied   Fault = "denied"    // wrong user, wrong password, disabled, locked: one sentence for all
	FaultTooMany  Fault = "too-many"  // with Wait: how long until the next try
	FaultBusy     Fault = "busy"      // the server has too much to do
	FaultExpired  Fault = "expired"   // the page was open too long
	FaultCookies  Fault = "cookies"   // the browser sent no cookie
	FaultCode     Fault = "code"      // no such device code, or not any more
	FaultForm     Fault = "form"      // the form could not be read
	FaultRequired Fault = "required"  // a field was left empty
	FaultSession  Fault = "session"   // the session ended meanwhile
	FaultApp      Fault = "app"       // the app that sent the person here is set up wrongly
	FaultServer   Fault = "server"    // our side
	FaultNotFound Fault = "not-found" // nothing at this address
	FaultCross    Fault = "cross"     // a form that came from another site
	FaultTarget   Fault = "target"    // the address to continue at cannot be used
	FaultStep     Fault = "step"      // the step was already taken, as after going back
	FaultPassword Fault = "password"  // the new password cannot be taken: the field says why
	FaultChanged  Fault = "elsewhere" // the password was changed elsewhere in the same moment
	FaultNoAccess Fault = "no-access" // the person may not use this app
)

// Why is a message key: why a person who was signed in is asked again.
type Why string

const (
	WhyNone     Why = ""
	WhyPrompt   Why = "prompt"   // the app asks for it
	WhyAge      Why = "age"      // the last sign-in is too long ago for the app
	WhySwitch   Why = "switch"   // for another account
	WhyStronger Why = "stronger" // the app asks for a stronger way
)

// Notices of the account page, for Account.Notice.
const (
	NoticeRevoked     = "revoked"      // an app lost its access
	NoticeEnded       = "ended"        // one session was ended
	NoticeOthersEnded = "others-ended" // all sessions but this one were ended
	NoticePassword    = "password"     // the password was changed
)

// Login asks for username and password. It posts flow, username and password
// to /login; the button back to the app posts flow and cancel.
type Login struct {
	Common
	App, AppHost string // whom it is for: name, and host of its redirect address
	Flow         string `page:"raw"`
	Username     string // kept after a fault, or hinted by the app
	Fault        Fault
	Why          Why
	Wait         time.Duration // with FaultTooMany and FaultBusy
	Cancel       bool          // show the button back to App
}

// Mismatch tells whether what was typed is at fault, so that its fields are
// marked.
func (v Login) Mismatch() bool { return v.Fault == FaultDenied || v.Fault == FaultRequired }

// Consent asks whether an app may have what it asks for. It posts flow,
// decision (allow, deny) and, for each optional scope that is ticked, scope to
// /consent.
type Consent struct {
	Common
	App, RedirectHost string
	Flow              string `page:"raw"`
	Username          string
	Scopes            []ConsentScope
	API               string // the name of the API whose scopes these are
	Native            bool   // runs on the person's computer, so nobody knows what it is
}

// ConsentScope is one permission. Sentence is what the API says about it; the
// scopes of OpenID Connect have sentences of ours.
type ConsentScope struct {
	Name, Sentence string
	Optional       bool
}

// DeviceCode asks for the code that a device shows. It posts flow and user_code
// to /device.
type DeviceCode struct {
	Common
	Flow     string `page:"raw"`
	UserCode string
	Fault    Fault
	Wait     time.Duration
}

// DeviceConfirm asks the person to compare the code and to decide. It posts
// flow and decision (allow, deny) to /device/confirm.
type DeviceConfirm struct {
	Common
	Flow     string `page:"raw"`
	App      string
	UserCode string
	Username string
	Address  string // of the device that asks; "" unknown
	Scopes   []ConsentScope
}

// DeviceDone says what came of it.
type DeviceDone struct {
	Common
	App     string
	Allowed bool
}

// Continue ends a flow: it sends the browser to Target by itself, if that is a
// web address, and shows a link. Target is an absolute URI that the
// caller proved to be registered; one that could run code here is refused.
type Continue struct {
	Common
	App    string
	Target string `page:"raw"`
}

// Web tells whether the target is a web address. Browsers open another app only
// when a person presses something, so only web addresses are gone to by
// themselves.
func (v Continue) Web() bool {
	u, err := url.Parse(v.Target)
	return err == nil && web(u)
}

// FormPost carries the answer to the app as a form (response_mode=form_post).
// It submits itself, or by its button without script. Only Action's origin may
// be posted to.
type FormPost struct {
	Common
	App    string
	Action string      `page:"raw"`
	Fields [][2]string `page:"raw"` // names and values
}

// Logout asks whether to sign out. It posts flow and decision (logout, stay) to
// /oauth/logout/confirm.
type Logout struct {
	Common
	App      string // the app that asks, "" none
	Username string
	Flow     string `page:"raw"`
}

// LoggedOut says that the session has ended.
type LoggedOut struct {
	Common
	App    string
	Target string   `page:"raw"` // where the app wants the browser back, "" nowhere
	Apps   []string // apps that may show the person as signed in for a while
}

// Account is a person's own page. It posts flow and client_id to
// /account/apps/revoke, flow and id to /account/sessions/end, and flow to
// /account/sessions/end-others.
type Account struct {
	Common
	Username, Name string
	Flow           string `page:"raw"`
	Apps           []AccountApp
	Sessions       []AccountSession
	Notice         string // one of the Notice constants
	Fault          Fault
	Password       bool // link to the page that changes the password
}

// AccountApp is an app that holds a grant.
type AccountApp struct {
	ClientID        string `page:"raw"`
	Name            string
	Scopes          []ConsentScope
	Since, LastUsed time.Time
}

// AccountSession is a browser in which the person is signed in.
type AccountSession struct {
	ID              string `page:"raw"`
	Current         bool
	Since, LastSeen time.Time
	Browser         string
	Apps            []string
}

// Problem is the page of an error. Without Title and Message they follow from
// AppAtFault and Status.
type Problem struct {
	Common
	Status         int
	Title, Message Fault
	Detail         string // folded away, for the developer: which parameter, what is wrong
	Reference      string // the request id, which the log has too
	AppAtFault     bool
	Wait           time.Duration // with FaultTooMany and FaultBusy
}

// Login writes the page with status.
func (p *Pages) Login(w http.ResponseWriter, r *http.Request, status int, v Login) {
	v.frame = p.frame(r, "login", v.Locales, v.Fault)
	show(p, w, status, v, policy{script: true})
}

// Consent writes the page with status.
func (p *Pages) Consent(w http.ResponseWriter, r *http.Request, status int, v Consent) {
	v.frame = p.frame(r, "consent", v.Locales, "")
	show(p, w, status, v, policy{script: true})
}

// DeviceCode writes the page with status.
func (p *Pages) DeviceCode(w http.ResponseWriter, r *http.Request, status int, v DeviceCode) {
	v.frame = p.frame(r, "device-code", v.Locales, v.Fault)
	show(p, w, status, v, policy{script: true})
}

// DeviceConfirm writes the page with status.
func (p *Pages) DeviceConfirm(w http.ResponseWriter, r *http.Request, status int, v DeviceConfirm) {
	v.frame = p.frame(r, "device-confirm", v.Locales, "")
	show(p, w, status, v, policy{script: true})
}

// DeviceDone writes the page with status.
func (p *Pages) DeviceDone(w http.ResponseWriter, r *http.Request, status int, v DeviceDone) {
	v.frame = p.frame(r, "device-done", v.Locales, "")
	show(p, w, status, v, policy{})
}

// Continue writes the page with status (C30: 200). A target that could run code
// is answered with an error page instead.
func (p *Pages) Continue(w http.ResponseWriter, r *http.Request, status int, v Continue) {
	if _, err := proven(v.Target); err != nil {
		p.refuse(w, r, v.Locales)
		return
	}
	v.frame = p.frame(r, "continue", v.Locales, "")
	show(p, w, status, v, policy{})
}

// FormPost writes the page with status. An action that is not http or https is
// answered with an error page instead.
func (p *Pages) FormPost(w http.ResponseWriter, r *http.Request, status int, v FormPost) {
	origin, err := postOrigin(v.Action)
	if err != nil {
		p.refuse(w, r, v.Locales)
		return
	}
	v.frame = p.frame(r, "form-post", v.Locales, "")
	show(p, w, status, v, policy{script: true, formAction: origin})
}

// Logout writes the page with status.
func (p *Pages) Logout(w http.ResponseWriter, r *http.Request, status int, v Logout) {
	v.frame = p.frame(r, "logout", v.Locales, "")
	show(p, w, status, v, policy{script: true})
}

// LoggedOut writes the page with status. A target that could run code is left
// out.
func (p *Pages) LoggedOut(w http.ResponseWriter, r *http.Request, status int, v LoggedOut) {
	if _, err := proven(v.Target); err != nil {
		v.Target = ""
	}
	v.frame = p.frame(r, "logged-out", v.Locales, "")
	show(p, w, status, v, policy{})
}

// Account writes the page with status.
func (p *Pages) Account(w http.ResponseWriter, r *http.Request, status int, v Account) {
	v.frame = p.frame(r, "account", v.Locales, v.Fault)
	show(p, w, status, v, policy{script: true})
}

// Problem writes the page with its own Status.
func (p *Pages) Problem(w http.ResponseWriter, r *http.Request, status int, v Problem) {
	if v.Status == 0 {
		v.Status = status
	}
	v.Message = v.message()
	if v.Title == "" {
		v.Title = v.Message
	}
	v.frame = p.frame(r, "problem", v.Locales, v.Message)
	show(p, w, v.Status, v, policy{})
}

func (v Problem) message() Fault {
	switch {
	case v.Message != "":
		return v.Message
	case v.Title != "":
		return v.Title
	case v.AppAtFault:
		return FaultApp
	case v.Status == http.StatusNotFound:
		return FaultNotFound
	case v.Status == http.StatusTooManyRequests:
		return FaultTooMany
	case v.Status == http.StatusServiceUnavailable:
		return FaultBusy
	case v.Status >= 500:
		return FaultServer
	}
	return FaultForm
}

// refuse answers instead of a page whose address must not be used.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, locales []string) {
	p.Problem(w, r, http.StatusInternalServerError, Problem{Common: Common{Locales: locales}, Message: FaultTarget})
}
