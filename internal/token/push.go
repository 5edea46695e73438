package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// requestURIPrefix is of RFC 9126 §2.2.
const requestURIPrefix = "urn:ietf:params:oauth:request_uri:"

// PushedResponse is the answer of the PAR endpoint.
type PushedResponse struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
}

// Push keeps an authorization request that a client sent in advance (RFC 9126).
// It is judged now, so that the client hears of its faults directly. network is
// where it came from.
func (s *Service) Push(ctx context.Context, client iam.Client, network string, form oauth.Form) (PushedResponse, error) {
	if form.Get("request_uri") != "" {
		return PushedResponse{}, oauth.InvalidRequest("A pushed request cannot name another one (RFC 9126 §2.1).")
	}
	if id := form.Get("client_id"); id != "" && id != string(client.ID) {
		return PushedResponse{}, oauth.InvalidRequest("The client_id is not the one that authenticated.")
	}
	w := oauth.ParseWhere(form)
	w.ClientID = string(client.ID)
	if _, err := s.Destination(ctx, w); err != nil {
		if !errors.Is(err, ErrNowhere) {
			return PushedResponse{}, err
		}
		return PushedResponse{}, oauth.InvalidRequest("The redirect_uri is missing or not registered for this client.").Because(err)
	}
	r, err := oauth.ParseAuthorize(form)
	if err != nil {
		return PushedResponse{}, err
	}
	if _, err := s.Examine(ctx, client, r); err != nil {
		return PushedResponse{}, err
	}
	id := rand.Text() + rand.Text()
	// Credentials are not part of the request and are not kept.
	request := form.Encode("client_secret", "client_assertion", "client_assertion_type", "client_id")
	if len(request) > oauth.MaxQueryBytes {
		return PushedResponse{}, oauth.InvalidRequest("The request has more than %d bytes.", oauth.MaxQueryBytes)
	}
	err = s.requests.PutPushed(ctx, digest(id), client.ID, strangers(client, network), request)
	if errors.Is(err, iam.ErrConflict) {
		return PushedResponse{}, oauth.Refuse(oauth.CodeTemporarilyUnavailable, "Too many requests of this client are waiting. Try again in a moment.")
	}
	if err != nil {
		return PushedResponse{}, fmt.Errorf("keep pushed request: %w", err)
	}
	return PushedResponse{RequestURI: requestURIPrefix + id, ExpiresIn: int64(iam.PushedLife / time.Second)}, nil
}

var errPushed = oauth.Refuse(oauth.CodeInvalidRequestURI, "The request_uri is not one of this client, or was used, or has expired.")

// Pull takes a pushed request, once. Parameters of the front channel beside it
// do not count (RFC 9126 §4).
func (s *Service) Pull(ctx context.Context, w oauth.Where) (oauth.Form, error) {
	id, ours := strings.CutPrefix(w.RequestURI, requestURIPrefix)
	if !ours || len(id) > 64 {
		return oauth.Form{}, oauth.Refuse(oauth.CodeRequestURINotSupported, "Only a request_uri of the PAR endpoint is taken (RFC 9126).")
	}
	request, err := s.requests.TakePushed(ctx, digest(id), iam.ClientID(w.ClientID))
	if errors.Is(err, iam.ErrNotFound) {
		return oauth.Form{}, errPushed
	}
	if err != nil {
		return oauth.Form{}, fmt.Errorf("take pushed request: %w", err)
	}
	form, err := oauth.ParseForm(request)
	if err != nil {
		return oauth.Form{}, fmt.Errorf("read pushed request: %w", err)
	}
	return form.With("client_id", w.ClientID), nil
}

// strangers is the network by which a request is counted: of a public client
// anybody can send one, of any other only who has its credential.
func strangers(client iam.Client, network string) string {
	if client.Type == iam.Public {
		return network
	}
	return ""
}

func digest(id string) string {
	d := sha256.Sum256([]byte(id))
	return hex.EncodeToString(d[:])
}
