package demo

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/gateway"
)

// newGateway is a gateway before the echo, by the policy that `gatehouse
// gateway` prints for one line, with the demo API's scopes.
func (r *run) newGateway() (*gateway.Gateway, error) {
	return gateway.New(gateway.Config{
		Policy: fmt.Appendf(nil, `version: 1
tokens:
  - issuer: %s
    audience: %s
identity_headers: { X-User-Id: token.sub, X-Client-Id: token.client_id, X-Roles: token.roles }
routes:
  - GET /: { public: true }
  - GET,HEAD /orders/**: { scope: orders:read }
  - POST,PUT,PATCH,DELETE /orders/**: { scope: orders:write }
`, r.issuer, r.audience),
		Upstream: localhost(r.ports.echo),
		Logger:   r.logger,
	})
}

// echo stands for an API that knows nothing of tokens: it answers what it saw.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.Encode(map[string]any{"method": r.Method, "target": r.RequestURI, "headers": r.Header})
}
