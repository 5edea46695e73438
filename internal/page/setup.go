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
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// Stylesheet serves /assets/gatehouse.css.
func Stylesheet() http.Handler {
	style, err := assets.ReadFile("assets/gatehouse.css")
	if err != nil {
		panic("page: the embedded stylesheet is gone: " + err.Error())
	}
	return serve("text/css; charset=utf-8", "public, max-age=300", style)
}
