package oauth

import "slices"

// Metadata is the discovery document of RFC 8414 and OpenID Connect
// Discovery. It lists exactly what works: a capability is added here in the
// change that makes it work and tests it.
type Metadata struct {
	Issuer                            string   `json:"issuer"`
	AuthorizationEndpoint             string   `json:"authorization_endpoint"`
	TokenEndpoint                     string   `json:"token_endpoint"`
	UserInfoEndpoint                  string   `json:"userinfo_endpoint"`
	EndSessionEndpoint                string   `json:"end_session_endpoint"`
	PushedRequestEndpoint             string   `json:"pushed_authorization_request_endpoint"`
	DeviceAuthorizationEndpoint       string   `json:"device_authorization_endpoint"`
	AuthorizationChallengeEndpoint    string   `json:"authorization_challenge_endpoint"`
	RevocationEndpoint                string   `json:"revocation_endpoint"`
	IntrospectionEndpoint             string   `json:"introspection_endpoint"`
	JWKSURI                           string   `json:"jwks_uri"`
	RevocationFeedEndpoint            string   `json:"revocation_feed_endpoint"`
	RevocationFeedJWKSURI             string   `json:"revocation_feed_jwks_uri"`
	ScopesSupported                   []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported            []string `json:"response_types_supported"`
	GrantTypesSupported               []string `json:"grant_types_supported"`
	TokenAuthMethodsSupported         []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethodsSupported    []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuthMethodsSupported []string `json:"introspection_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms               []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthAlgorithms          []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthAlgorithms       []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	CodeChallengeMethodsSupported     []string `json:"code_challenge_methods_supported"`
	SubjectTypesSupported             []string `json:"subject_types_supported"`
	ResponseModesSupported            []string `json:"response_modes_supported"`
	IDTokenAlgorithms                 []string `json:"id_token_signing_alg_values_supported"`
	PromptValuesSupported             []string `json:"prompt_values_supported"`
	ClaimsSupported                   []string `json:"claims_supported"`
	ClaimTypesSupported               []string `json:"claim_types_supported"`
	ACRValuesSupported                []string `json:"acr_values_supported"`
	UILocalesSupported                []string `json:"ui_locales_supported"`
	ClaimsParameterSupported          bool     `json:"claims_parameter_supported"`
	RequestParameterSupported         bool     `json:"request_parameter_supported"`
	RequestURIParameterSupported      bool     `json:"request_uri_parameter_supported"`
	IssuerInAnswer                    bool     `json:"authorization_response_iss_parameter_supported"`
	BackchannelLogout                 bool     `json:"backchannel_logout_supported"`
	BackchannelLogoutSession          bool     `json:"backchannel_logout_session_supported"`
}

// Where the revocation feed and its keys are, below the issuer.
const (
	FeedPath     = "/revocations"
	FeedKeysPath = "/.well-known/feed-keys.json"
)

// Capabilities are what the discovery document says about this installation.
type Capabilities struct {
	Scopes            []string // of the APIs and of OpenID Connect
	Claims            []string // standard claims of users
	IDTokenAlgorithms []string
	ACRValues         []string // that a login can reach
	Locales           []string // that the pages speak
}

// NewMetadata describes the authorization server at issuer.
func NewMetadata(issuer string, c Capabilities) Metadata {
	return Metadata{
		Issuer:                            issuer,
		AuthorizationEndpoint:             issuer + "/oauth/authorize",
		TokenEndpoint:                     issuer + "/oauth/token",
		UserInfoEndpoint:                  issuer + "/oauth/userinfo",
		EndSessionEndpoint:                issuer + "/oauth/logout",
		PushedRequestEndpoint:             issuer + "/oauth/par",
		DeviceAuthorizationEndpoint:       issuer + "/oauth/device_authorization",
		AuthorizationChallengeEndpoint:    issuer + "/oauth/authorize-challenge",
		RevocationEndpoint:                issuer + "/oauth/revoke",
		IntrospectionEndpoint:             issuer + "/oauth/introspect",
		JWKSURI:                           issuer + "/.well-known/jwks.json",
		RevocationFeedEndpoint:            issuer + FeedPath,
		RevocationFeedJWKSURI:             issuer + FeedKeysPath,
		ScopesSupported:                   c.Scopes,
		ResponseTypesSupported:            []string{"code"},
		GrantTypesSupported:               []string{"authorization_code", "client_credentials", "refresh_token", GrantDeviceCode},
		TokenAuthMethodsSupported:         []string{MethodBasic, MethodPost, MethodKey, MethodNone},
		RevocationAuthMethodsSupported:    []string{MethodBasic, MethodPost, MethodKey, MethodNone},
		IntrospectionAuthMethodsSupported: []string{MethodBasic, MethodPost, MethodKey},
		TokenAuthAlgorithms:               AssertionAlgorithms(),
		RevocationAuthAlgorithms:          AssertionAlgorithms(),
		IntrospectionAuthAlgorithms:       AssertionAlgorithms(),
		CodeChallengeMethodsSupported:     []string{"S256"},
		SubjectTypesSupported:             []string{"public"},
		ResponseModesSupported:            []string{ModeQuery, ModeFormPost},
		IDTokenAlgorithms:                 c.IDTokenAlgorithms,
		PromptValuesSupported:             PromptValues(),
		ClaimsSupported:                   slices.Concat([]string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}, c.Claims),
		ClaimTypesSupported:               []string{"normal"},
		ACRValuesSupported:                c.ACRValues,
		UILocalesSupported:                c.Locales,
		ClaimsParameterSupported:          true,
		RequestParameterSupported:         false,
		RequestURIParameterSupported:      false,
		IssuerInAnswer:                    true,
		BackchannelLogout:                 true,
		BackchannelLogoutSession:          true,
	}
}
