package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/oauth2/clientcredentials"
)

// NewService returns a service that calls the demo API with a token of its
// own: x/oauth2 obtains it, keeps it and renews it (RFC 6749 §4.4).
func NewService(ctx context.Context, issuer, api, secret string) http.Handler {
	config := clientcredentials.Config{
		ClientID:     serviceID,
		ClientSecret: secret,
		TokenURL:     issuer + "/oauth/token",
		Scopes:       []string{"orders:read"},
	}
	client := config.Client(ctx)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, r *http.Request) {
		body, err := report(r.Context(), client, api)
		if err != nil {
			answer(w, http.StatusBadGateway, map[string]string{"error": "bad_gateway", "error_description": err.Error()})
			return
		}
		answer(w, http.StatusOK, body)
	})
	return mux
}

// report asks the demo API who we are and what it sells.
func report(ctx context.Context, client *http.Client, api string) (map[string]any, error) {
	result := map[string]any{}
	for name, path := range map[string]string{"as": "/whoami", "saw": "/orders"} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, api+path, nil)
		if err != nil {
			return nil, err
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, fmt.Errorf("call the demo API: %w", err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the demo API answered %s", response.Status)
		}
		var part any
		if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&part); err != nil {
			return nil, fmt.Errorf("read the demo API's answer: %w", err)
		}
		result[name] = part
	}
	return result, nil
}
