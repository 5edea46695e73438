package page

import (
	"net/http"
	"time"
)

// Password is the form that changes a password, or what came of it. It posts
// username, current-password, new-password and new-password-again to
// /account/password.
type Password struct {
	Common
	Flow     string `page:"raw"` // for the switch of the language only
	Username string
	Fault    Fault
	Wait     time.Duration // with FaultTooMany and FaultBusy
	// NewFault says why the new password is not allowed, in a sentence that may
	// tell a part of it: it is shown here and nowhere else.
	NewFault string
	Differs  bool // the two new ones are not the same
	Done     bool
	SignedIn bool // this browser is, with a session of its own
}

// Mismatch tells whether username and current password are what is wrong.
func (p Password) Mismatch() bool { return p.Fault == FaultDenied }

// Password writes the page with status.
func (p *Pages) Password(w http.ResponseWriter, r *http.Request, status int, v Password) {
	if v.Fault == "" && (v.NewFault != "" || v.Differs) {
		v.Fault = FaultPassword
	}
	v.frame = p.frame(r, "password", v.Locales, v.Fault)
	show(p, w, status, v, policy{script: true})
}
