package guardtest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatehouse-auth/gatehouse/guardtest"
)

// An API is attacked in its own tests: the test fails for each forged token
// that the API accepts.
func ExampleIssuer_Attack() {
	var t *testing.T // the one of your test

	iss := guardtest.NewIssuer(t)
	g := iss.Guard(t, "https://orders.example.com")
	api := g.Require("orders:read")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("lanterns"))
	}))
	iss.Attack(t, api, httptest.NewRequest("GET", "/orders", nil), guardtest.Token{Scopes: []string{"orders:read"}})
}
