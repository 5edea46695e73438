package page

import (
	"bytes"
	"net/http"
	"strconv"
)

// Setup is the form that makes the first administrator, or what came of it.
type Setup struct {
	Username string
	Fault    string // why it did not work, for people
	Done     bool
}

// ShowSetup writes the page.
func ShowSetup(w http.ResponseWriter, status int, view Setup) {
	showPlain(w, status, "setup.html", view)
}

// show writes a page that nobody keeps.
func showPlain(w http.ResponseWriter, status int, name string, view any) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, view); err != nil {
		panic("page: a template of ours does not fit its view: " + err.Error())
	}
	policy{}.set(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	w.Write(body.Bytes())
}
