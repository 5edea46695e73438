package oauth

// Metadata is the discovery document of RFC 8414 and OpenID Connect
// Discovery. It lists exactly what works: a capability is added here in the
// change that makes it work and tests it.
type Metadata struct {
	Issuer                            string   `json:"issuer"`
	TokenEndpoint                     string   `json:"token_endpoint"`
	AuthorizationChallengeEndpoint    string   `json:"authorization_challenge_endpoint"`
	RevocationEndpoint                string   `json:"revocation_endpoint"`
	IntrospectionEndpoint             string   `json:"introspection_endpoint"`
	JWKSURI                           string   `json:"jwks_uri"`
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
}

// NewMetadata describes the authorization server at issuer, whose APIs define scopes.
func NewMetadata(issuer string, scopes []string) Metadata {
	return Metadata{
		Issuer:                            issuer,
		TokenEndpoint:                     issuer + "/oauth/token",
		AuthorizationChallengeEndpoint:    issuer + "/oauth/authorize-challenge",
		RevocationEndpoint:                issuer + "/oauth/revoke",
		IntrospectionEndpoint:             issuer + "/oauth/introspect",
		JWKSURI:                           issuer + "/.well-known/jwks.json",
		ScopesSupported:                   scopes,
		ResponseTypesSupported:            []string{"code"},
		GrantTypesSupported:               []string{"authorization_code", "client_credentials", "refresh_token"},
		TokenAuthMethodsSupported:         []string{MethodBasic, MethodPost, MethodKey, MethodNone},
		RevocationAuthMethodsSupported:    []string{MethodBasic, MethodPost, MethodKey, MethodNone},
		IntrospectionAuthMethodsSupported: []string{MethodBasic, MethodPost, MethodKey},
		TokenAuthAlgorithms:               AssertionAlgorithms(),
		RevocationAuthAlgorithms:          AssertionAlgorithms(),
		IntrospectionAuthAlgorithms:       AssertionAlgorithms(),
		CodeChallengeMethodsSupported:     []string{"S256"},
		SubjectTypesSupported:             []string{"public"},
	}
}
