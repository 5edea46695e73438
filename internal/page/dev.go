package page

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

// templates are the pages that stand for themselves: setup and dev. The layout
// lends them its mark and icons.
var templates = template.Must(template.New("").Funcs(functions).ParseFS(assets, "assets/layout.html", "assets/setup.html", "assets/dev.html"))

// Dev is what `gatehouse dev` has to say: the same on the screen and at /.
type Dev struct {
	Issuer    string
	API       string
	Service   string
	Gateway   string   // before an API that knows nothing of tokens
	Desk      string   // an app behind a gateway that signs browsers in
	Apps      []DevApp // two: to sign in to, and to be signed in to
	Data      string
	Temporary bool // the folder is deleted at the end
	Users     []DevUser
	Tries     []Try
}

// DevApp is a demo web app.
type DevApp struct{ Name, URL string }

// DevUser is a demo user; the password is a random one of this start.
type DevUser struct{ Name, Password, Roles string }

// Try is a command to paste and the answer it gives.
type Try struct{ Command, Answer string }

// Last is the last line of the screen.
func (d Dev) Last() string {
	if d.Temporary {
		return "Ctrl-C deletes everything. Keep it with --data ./gatehouse-data."
	}
	return "Ctrl-C stops. Everything stays in " + d.Data + "; each start sets new passwords."
}

// Screen is the page for a terminal of 80 columns and 24 rows.
func (d Dev) Screen() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Gatehouse runs on this machine only.\n\n")
	for i, a := range d.Apps {
		what, say := "Open", "sign in as "+d.Users[0].Name
		if i > 0 {
			what, say = "then", "in without a password"
		}
		fmt.Fprintf(&b, "  %-9s %-24s %s: %s\n", what, a.URL, a.Name, say)
	}
	fmt.Fprintf(&b, "  then      %-24s Desk: in too; its gateway has the tokens\n", d.Desk)
	fmt.Fprintf(&b, "  Issuer    %-24s open it in a browser: it shows this page\n", d.Issuer)
	fmt.Fprintf(&b, "  Demo API  %-24s guarded by package guard\n", d.API)
	fmt.Fprintf(&b, "  Gateway   %-24s the same rules before any other API\n", d.Gateway)
	for _, u := range d.Users {
		fmt.Fprintf(&b, "  User      %-5s %-32s role %s\n", u.Name, u.Password, u.Roles)
	}
	fmt.Fprintf(&b, "\nPaste a line; after the # stands its answer:\n\n")
	fmt.Fprintf(&b, "D=%s A=%s\n", d.Data, d.API)
	for _, t := range d.Tries {
		fmt.Fprintf(&b, "%-46s # %s\n", t.Command, t.Answer)
	}
	fmt.Fprintf(&b, "\n%s\n", d.Last())
	return b.String()
}

// DevHome serves the page at / and what it fetches; anything else is 404.
func DevHome(view Dev) http.Handler {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, "dev.html", view); err != nil {
		panic("page: a template of ours does not fit its view: " + err.Error())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		policy{}.set(w.Header())
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(body.Bytes())
	})
	mux.Handle("GET /assets/", Assets())
	return mux
}
