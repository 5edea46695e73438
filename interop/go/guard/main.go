// An API with guard.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/gatehouse-auth/gatehouse/guard"
)

func main() {
	// [guide: verify]
	g, err := guard.New(guard.Config{Issuer: os.Getenv("ISSUER"), Audience: os.Getenv("AUDIENCE")})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	mux := http.NewServeMux()
	mux.Handle("GET /orders", g.Require("orders:read")(http.HandlerFunc(orders)))
	mux.Handle("POST /orders", g.Require("orders:write")(http.HandlerFunc(place)))
	// [end]
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux))
}

// [guide: routes]
func orders(w http.ResponseWriter, r *http.Request) {
	json.NewEncoder(w).Encode(map[string]any{"orders": []string{}, "for": guard.MustFromContext(r.Context()).Subject()})
}

func place(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]string{"by": guard.MustFromContext(r.Context()).Subject()})
}

// [end]
