package oauth

// GrantDeviceCode is the grant type of RFC 8628 §3.4.
const GrantDeviceCode = "urn:ietf:params:oauth:grant-type:device_code"

// TokenRequest is what a client asked of the token endpoint, parsed and
// bounded; nothing in it is trusted yet.
type TokenRequest struct {
	GrantType    string
	Scopes       []string
	Resource     string
	Code         string // authorization_code
	Verifier     string
	RedirectURI  string
	RefreshToken string // refresh_token
	DeviceCode   string // urn:ietf:params:oauth:grant-type:device_code
}

// ParseTokenRequest reads the form of RFC 6749 §4.1.3, §4.4.2 and §6.
func ParseTokenRequest(form Form) (TokenRequest, error) {
	grantType, err := form.Require("grant_type")
	if err != nil {
		return TokenRequest{}, err
	}
	r := TokenRequest{GrantType: grantType, RedirectURI: form.Get("redirect_uri")}
	if r.Scopes, err = ParseScope(form.Get("scope")); err != nil {
		return TokenRequest{}, err
	}
	if r.Resource, err = ParseResource(form); err != nil {
		return TokenRequest{}, err
	}
	switch grantType {
	case "client_credentials":
	case "authorization_code":
		if r.Code, err = form.Require("code"); err != nil {
			return TokenRequest{}, err
		}
		r.Verifier, err = form.Require("code_verifier")
	case "refresh_token":
		r.RefreshToken, err = form.Require("refresh_token")
	case GrantDeviceCode:
		r.DeviceCode, err = form.Require("device_code")
	case "password":
		err = Refuse(CodeUnsupportedGrantType, "The password grant is not supported: OAuth 2.1 removed it. A first-party app may use the challenge endpoint.")
	default:
		err = Refuse(CodeUnsupportedGrantType, "The grant_type is not one of authorization_code, client_credentials, refresh_token, "+GrantDeviceCode+".")
	}
	if err != nil {
		return TokenRequest{}, err
	}
	return r, nil
}

// ChallengeRequest is a first-party login without a browser (C11).
type ChallengeRequest struct {
	ClientID  string
	Username  string
	Password  string
	Scopes    []string
	Resource  string
	Challenge PKCEChallenge
}

// String hides the password.
func (r ChallengeRequest) String() string   { return "challenge request of " + r.ClientID }
func (r ChallengeRequest) GoString() string { return r.String() }

// ParseChallengeRequest reads the form of the challenge endpoint.
func ParseChallengeRequest(form Form) (ChallengeRequest, error) {
	r := ChallengeRequest{}
	if t := form.Get("response_type"); t != "" && t != "code" {
		return r, Refuse(CodeUnsupportedResponseType, "The response_type must be code.")
	}
	if form.Get("client_secret") != "" || form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "" {
		return r, InvalidRequest("The challenge endpoint is for public clients and takes no client authentication.")
	}
	var err error
	for _, p := range []struct {
		name string
		into *string
	}{{"client_id", &r.ClientID}, {"username", &r.Username}, {"password", &r.Password}} {
		if *p.into, err = form.Require(p.name); err != nil {
			return ChallengeRequest{}, err
		}
	}
	if r.Challenge, err = ParsePKCE(form); err != nil {
		return ChallengeRequest{}, err
	}
	if r.Scopes, err = ParseScope(form.Get("scope")); err != nil {
		return ChallengeRequest{}, err
	}
	if r.Resource, err = ParseResource(form); err != nil {
		return ChallengeRequest{}, err
	}
	return r, nil
}

// TokenResponse is the answer of RFC 6749 §5.1. Scope is always present, so
// that a narrowed grant is never a surprise.
type TokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	IDToken      string `json:"id_token,omitempty"`
}

// Introspection is the answer of RFC 7662 §2.2. The zero value is the only
// answer to a token that is not live or not the asker's: {"active":false}.
type Introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  string   `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	TokenID   string   `json:"jti,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	GrantID   string   `json:"gid,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
}
