package demo

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/gatehouse-auth/gatehouse/guard"
)

// order is what the demo API sells.
type order struct {
	ID   int    `json:"id"`
	Item string `json:"item"`
}

// orders is a demo API as a user of guard would write it: the routes say what
// they need, and the handlers know who calls.
type orders struct {
	mu   sync.Mutex
	list []order
}

// maxOrders bounds what a demo can be made to remember.
const maxOrders = 100

// NewAPI returns the demo API behind g.
func NewAPI(g *guard.Guard) http.Handler {
	o := &orders{list: []order{{1, "lantern"}, {2, "drawbridge"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.Handle(g.ResourceMetadata(guard.Resource{Name: "Orders (demo)", Scopes: []string{"orders:read", "orders:write"}}))
	mux.Handle("GET /orders", g.Require("orders:read")(http.HandlerFunc(o.read)))
	mux.Handle("POST /orders", g.Require("orders:write")(http.HandlerFunc(o.write)))
	mux.Handle("GET /whoami", g.Authenticated()(http.HandlerFunc(whoami)))
	return mux
}

func (o *orders) read(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"orders": o.list})
}

func (o *orders) write(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Item string `json:"item"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&body)
	if r.ContentLength != 0 && (err != nil || len(body.Item) > 100) {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": `The body is JSON such as {"item":"lantern"}.`})
		return
	}
	if body.Item == "" {
		body.Item = "portcullis"
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.list) >= maxOrders {
		o.list = o.list[:2]
	}
	made := order{ID: len(o.list) + 1, Item: body.Item}
	o.list = append(o.list, made)
	answer(w, http.StatusCreated, made)
}

// whoami shows what guard knows about the caller.
func whoami(w http.ResponseWriter, r *http.Request) {
	caller := guard.MustFromContext(r.Context())
	answer(w, http.StatusOK, map[string]any{
		"subject": caller.Subject(), "client": caller.ClientID(), "service": caller.IsService(),
		"roles": caller.Roles(), "scopes": caller.Scopes(),
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
