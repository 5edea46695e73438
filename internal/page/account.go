package page

import "net/http"

// Password is the form that changes a password, or what came of it. A fault
// stands beside the field it is about; Fault is about none.
type Password struct {
	Username     string
	Fault        string
	CurrentFault string
	NewFault     string
	AgainFault   string
	Done         bool
}

// Failed tells whether anything is wrong.
func (p Password) Failed() bool {
	return p.Fault != "" || p.CurrentFault != "" || p.NewFault != "" || p.AgainFault != ""
}

// ShowPassword writes the page.
func ShowPassword(w http.ResponseWriter, status int, view Password) {
	showPlain(w, status, "password.html", view)
}
