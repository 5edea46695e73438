package demo

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse/internal/page"
)

// view is what the screen and the page at / show.
func (r *run) view() page.Dev {
	v := page.Dev{Issuer: r.issuer, API: r.audience, Service: r.service, Gateway: localhost(r.ports.gateway), Desk: r.desk, Data: r.folder.dir, Temporary: r.folder.temporary}
	for _, p := range r.seeded.people {
		v.Users = append(v.Users, page.DevUser{Name: p.username, Password: p.password, Roles: strings.Join(p.roles, ", ")})
	}
	for _, a := range r.seeded.apps {
		v.Apps = append(v.Apps, page.DevApp{Name: a.Name, URL: a.URL})
	}
	try := func(answer, header, extra string) {
		v.Tries = append(v.Tries, page.Try{Command: fmt.Sprintf("curl -H @$D/%s %s$A/orders", header, extra), Answer: answer})
	}
	try("200", "ada", "")
	try("201", "ada", "-X POST ")
	try("403 bob may only read", "bob", "-X POST ")
	try("401 no signature", "forged/alg-none", "")
	try("401 public key as secret", "forged/hs256-public-key", "")
	try("401 for another API", "forged/wrong-audience", "")
	try("401 too old", "forged/expired", "")
	v.Tries = append(v.Tries, page.Try{Command: "curl " + r.service + "/report", Answer: "200 with its own token"})
	return v
}

// home is the page at /. It has nothing to show until the demo is ready.
type home struct{ page atomic.Pointer[http.Handler] }

func (h *home) show(v page.Dev) {
	handler := page.DevHome(v)
	h.page.Store(&handler)
}

func (h *home) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler := h.page.Load()
	if handler == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Gatehouse is starting.", http.StatusServiceUnavailable)
		return
	}
	(*handler).ServeHTTP(w, r)
}
