package demo

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gatehouse-auth/gatehouse/internal/gateway"
)

// deskID is the client of the gateway before the desk.
const deskID = "demo-desk"

// maxNotes bounds what the desk remembers.
const maxNotes = 50

// newDeskGateway is a gateway that signs browsers in before the desk, an app that
// knows nothing of tokens and of cookies.
func (r *run) newDeskGateway() (*gateway.Gateway, error) {
	return gateway.New(gateway.Config{
		Policy: fmt.Appendf(nil, `version: 1
tokens:
  - issuer: %s
    audience: %s
identity_headers: { X-User-Id: token.sub, X-Roles: token.roles }
routes:
  - GET /desk.js: { public: true }
  - GET /app.css: { public: true }
  - GET /icon.svg: { public: true }
  - GET /: { scope: orders:read }
  - POST /notes: { scope: orders:write }
`, r.issuer, r.audience),
		Upstream: localhost(r.ports.deskApp),
		Data:     filepath.Join(r.folder.dir, "desk-gateway"),
		BFF:      &gateway.BFF{ExternalURL: r.desk, ClientID: deskID, ClientSecret: r.seeded.deskSecret, Scopes: deskScopes},
		Logger:   r.logger,
	})
}

var deskScopes = []string{"openid", "profile", "orders:read", "orders:write"}

var deskPage = template.Must(template.ParseFS(appAssets, "assets/desk.html"))

// desk is a small app that believes the headers of the gateway before it.
type desk struct {
	issuer string
	mu     sync.Mutex
	notes  []note
}

type note struct{ User, Text string }

func newDesk(issuer string) http.Handler {
	d := &desk{issuer: issuer}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.page)
	mux.HandleFunc("POST /notes", d.write)
	mux.HandleFunc("GET /app.css", appAsset("app.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /desk.js", appAsset("desk.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /icon.svg", appAsset("desk.svg", "image/svg+xml"))
	return mux
}

// page shows the user's own notes, and what the app heard with the request.
func (d *desk) page(w http.ResponseWriter, r *http.Request) {
	view := struct {
		User, Roles, Issuer string
		Cookie, Token       bool
		Notes               []note
	}{User: r.Header.Get("X-User-Id"), Roles: r.Header.Get("X-Roles"), Issuer: d.issuer, Cookie: r.Header.Get("Cookie") != "", Token: r.Header.Get("Authorization") != ""}
	d.mu.Lock()
	for _, n := range d.notes {
		if n.User == view.User {
			view.Notes = append(view.Notes, n)
		}
	}
	d.mu.Unlock()
	var body bytes.Buffer
	if err := deskPage.Execute(&body, view); err != nil {
		panic("demo: a template of ours does not fit its view: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.Write(body.Bytes())
}

func (d *desk) write(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	text := strings.TrimSpace(r.PostFormValue("text"))
	if text == "" || len([]rune(text)) > 100 {
		http.Error(w, "A note has 1 to 100 characters.", http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, note{r.Header.Get("X-User-Id"), text})
	d.notes = d.notes[max(0, len(d.notes)-maxNotes):]
	w.WriteHeader(http.StatusCreated)
}
