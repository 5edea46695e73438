package api

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// readForm reads a bounded form body. Parameters in the URL are refused: they
// would stand in the logs of everything between client and server.
func readForm(w http.ResponseWriter, r *http.Request) (oauth.Form, error) {
	if r.URL.RawQuery != "" {
		return oauth.Form{}, oauth.InvalidRequest("Parameters belong in the request body, not in the URL.")
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return oauth.Form{}, oauth.InvalidRequest("The Content-Type must be application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, oauth.MaxFormBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return oauth.Form{}, oauth.InvalidRequest("The request body is larger than %d bytes.", oauth.MaxFormBytes)
	}
	if err != nil {
		return oauth.Form{}, oauth.InvalidRequest("The request body could not be read.").Because(err)
	}
	return oauth.ParseForm(string(body))
}
