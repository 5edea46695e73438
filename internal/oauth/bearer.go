package oauth

import (
	"errors"
	"strings"
)

// ErrNoToken says that a request carries no bearer token at all: the answer is
// a challenge without an error code (RFC 6750 §3).
var ErrNoToken = errors.New("no bearer token")

// ParseBearer reads the token from all Authorization header values of a
// request (RFC 6750 §2.1). The scheme is case-insensitive, exactly one space
// follows it, and exactly one header may be present: two tokens, or a list,
// are an *Error with invalid_request, because gateway and API could otherwise
// choose different ones.
func ParseBearer(authorization []string) (string, error) {
	if len(authorization) == 0 {
		return "", ErrNoToken
	}
	if len(authorization) > 1 {
		return "", InvalidRequest("The request has more than one Authorization header.")
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		if strings.HasPrefix(strings.ToLower(authorization[0]), "bearer") {
			return "", InvalidRequest("The Authorization header is not of the form: Bearer TOKEN, with one space.")
		}
		return "", ErrNoToken
	}
	if token == "" || strings.ContainsAny(token, " \t,\"") || strings.Contains(token, "\u00a0") {
		return "", InvalidRequest("The Authorization header is not of the form: Bearer TOKEN, with one space and one token.")
	}
	return token, nil
}

// Challenge is the value of a WWW-Authenticate header (RFC 6750 §3).
type Challenge struct {
	Realm            string
	Code             string // empty when the request carried no token
	Description      string
	Scope            string // the scopes that the route needs
	ACRValues        string // RFC 9470 §3
	MaxAge           string // RFC 9470 §3, in seconds
	ResourceMetadata string // RFC 9728 §5.1
}

// String renders the header value; characters that a quoted string cannot
// carry are replaced, so that no value can begin another parameter or header.
func (c Challenge) String() string {
	var b strings.Builder
	b.WriteString("Bearer")
	separator := " "
	for _, p := range []struct{ name, value string }{
		{"realm", c.Realm}, {"error", c.Code}, {"error_description", c.Description}, {"scope", c.Scope},
		{"acr_values", c.ACRValues}, {"max_age", c.MaxAge}, {"resource_metadata", c.ResourceMetadata},
	} {
		if p.value == "" {
			continue
		}
		b.WriteString(separator + p.name + `="` + quotable(p.value) + `"`)
		separator = ", "
	}
	return b.String()
}

func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}
