package oauth

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
)

// Credentials are what a client presented to prove who it is. The secret must
// never be printed; String hides it.
type Credentials struct {
	ClientID  string
	Secret    string
	Assertion Assertion // of MethodKey
	Method    string    // client_secret_basic, client_secret_post, private_key_jwt or none
}

const (
	MethodBasic = "client_secret_basic"
	MethodPost  = "client_secret_post"
	MethodKey   = "private_key_jwt"
	MethodNone  = "none"
)

func (c Credentials) String() string   { return c.ClientID + " by " + c.Method }
func (c Credentials) GoString() string { return c.String() }

var errBasic = errors.New("malformed Basic header")

// ParseCredentials reads client authentication from all Authorization values
// and the form (RFC 6749 §2.3). Two methods at once are invalid_request.
func ParseCredentials(authorization []string, form Form) (Credentials, error) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if len(authorization) > 1 {
		return Credentials{}, InvalidRequest("The request has more than one Authorization header.")
	}
	if form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "" {
		if len(authorization) == 1 || secret != "" {
			return Credentials{}, InvalidRequest("The client authenticates twice: with a client_assertion and with a secret.")
		}
		return assertedCredentials(form, id)
	}
	if len(authorization) == 1 {
		return basicCredentials(authorization[0], id, secret)
	}
	switch {
	case id == "":
		return Credentials{}, InvalidClient("The request does not say which client it comes from.")
	case secret == "":
		return Credentials{ClientID: id, Method: MethodNone}, nil
	}
	return Credentials{ClientID: id, Secret: secret, Method: MethodPost}, nil
}

// assertedCredentials reads RFC 7521 §4.2. A client_id is optional there, and
// must be the assertion's when it is given.
func assertedCredentials(form Form, id string) (Credentials, error) {
	raw, err := form.Require("client_assertion")
	if err != nil {
		return Credentials{}, err
	}
	if form.Get("client_assertion_type") != AssertionType {
		return Credentials{}, InvalidRequest("The client_assertion_type must be %s.", AssertionType)
	}
	assertion, err := ParseAssertion(raw)
	if err != nil {
		return Credentials{}, err
	}
	if id != "" && id != assertion.ClientID() {
		return Credentials{}, InvalidRequest("The client_id in the form is not the one in the client_assertion.")
	}
	return Credentials{ClientID: assertion.ClientID(), Assertion: assertion, Method: MethodKey}, nil
}

func basicCredentials(header, formID, formSecret string) (Credentials, error) {
	if formSecret != "" {
		return Credentials{}, InvalidRequest("The client authenticates twice: in the Authorization header and in the form.")
	}
	id, secret, err := decodeBasic(header)
	if err != nil {
		return Credentials{}, InvalidClient("The Authorization header is not of the form: Basic CREDENTIALS.").Because(err)
	}
	if formID != "" && formID != id {
		return Credentials{}, InvalidRequest("The client_id in the form is not the one in the Authorization header.")
	}
	if secret == "" {
		return Credentials{ClientID: id, Method: MethodNone}, nil
	}
	return Credentials{ClientID: id, Secret: secret, Method: MethodBasic}, nil
}

// decodeBasic undoes Basic and then the form encoding of both halves, which
// RFC 6749 §2.3.1 adds and RFC 7617 does not have. An empty secret is none: it
// is how some public clients say their id, oidc-agent among them.
func decodeBasic(header string) (id, secret string, err error) {
	scheme, encoded, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Basic") {
		return "", "", errBasic
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", errBasic
	}
	rawID, rawSecret, found := strings.Cut(string(decoded), ":")
	id, err1 := url.QueryUnescape(rawID)
	secret, err2 := url.QueryUnescape(rawSecret)
	if !found || err1 != nil || err2 != nil || id == "" {
		return "", "", errBasic
	}
	return id, secret, nil
}
