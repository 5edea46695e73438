package api

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

// cacheable documents are public; cors lets every page read them (C21).
func cacheable(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
}

// metadata is the discovery document, the same at both addresses (RFC 8414).
func (h handler) metadata(w http.ResponseWriter, r *http.Request) error {
	apis, err := h.records.APIs(r.Context())
	if err != nil {
		return fmt.Errorf("read APIs: %w", err)
	}
	scopes := iam.IdentityScopes()
	for _, a := range apis {
		for _, s := range a.Scopes {
			if !a.Disabled && !slices.Contains(scopes, s.Name) {
				scopes = append(scopes, s.Name)
			}
		}
	}
	cacheable(w)
	return respond.JSON(w, http.StatusOK, oauth.NewMetadata(h.issuer, oauth.Capabilities{
		Scopes: scopes, Claims: iam.StandardClaims(), IDTokenAlgorithms: iam.IDTokenAlgorithms(), ACRValues: []string{iam.ACRPassword}, Locales: h.locales,
	}))
}

// jwks is the public key set (RFC 7517 §5, C24).
func (h handler) jwks(w http.ResponseWriter, _ *http.Request) error {
	cacheable(w)
	return respond.JSON(w, http.StatusOK, h.keys.Published())
}

// feedKeys are the public keys that verify the revocation feed, and no token (C24).
func (h handler) feedKeys(w http.ResponseWriter, _ *http.Request) error {
	cacheable(w)
	return respond.JSON(w, http.StatusOK, h.keys.PublishedFeed())
}

// healthz says that the process runs; readyz that it can issue.
func (h handler) healthz(w http.ResponseWriter, _ *http.Request) error {
	return respond.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness is the answer of a server that can issue.
type readiness struct {
	Status     string   `json:"status"`
	Durability string   `json:"durability,omitempty"`
	Trouble    []string `json:"trouble,omitempty"`
}

func (h handler) readyz(w http.ResponseWriter, r *http.Request) error {
	if err := h.records.Ping(r.Context()); err != nil {
		return oauth.Refuse(oauth.CodeTemporarilyUnavailable, "The database cannot be read or written. The log says why.").Because(err)
	}
	if err := h.keys.Ready(r.Context()); err != nil {
		return oauth.Refuse(oauth.CodeTemporarilyUnavailable, "The signing keys cannot be used. The log says why.").Because(err)
	}
	answer := readiness{Status: "ready"}
	if h.trouble != nil {
		answer.Trouble, answer.Durability = h.trouble.Troubles(), h.trouble.Durability()
	}
	return respond.JSON(w, http.StatusOK, answer)
}
