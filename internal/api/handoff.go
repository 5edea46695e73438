package api

import (
	"encoding/json"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

// redeemHandoff spends a hand-off for an app that runs in several processes, or
// that would rather not check a signature itself, and answers its claims (C33).
func (h handler) redeemHandoff(w http.ResponseWriter, r *http.Request) error {
	form, client, err := h.from(w, r, h.tokens.Authenticate)
	if err != nil {
		return err
	}
	raw, err := form.Require(oauth.HandoffParameter)
	if err != nil {
		return err
	}
	nonce, err := form.Require("nonce")
	if err != nil {
		return err
	}
	claims, err := h.tokens.RedeemHandoff(r.Context(), client, raw, nonce)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, json.RawMessage(claims))
}
