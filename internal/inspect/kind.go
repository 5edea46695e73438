package inspect

import (
	"encoding/json"
	"strings"
)

// Kind is what sort of token it is and who made it, as far as the token says.
type Kind struct {
	Form   string `json:"form"`             // the outer shape: jws, jwe, sd-jwt, …
	ID     string `json:"id"`               // access, id, refresh, logout, …; "" unknown
	Title  string `json:"title"`            // in words
	Maker  string `json:"maker,omitempty"`  // the product that makes such tokens
	Advice string `json:"advice,omitempty"` // what to do with what is no JWT
}

// types are the values of typ that name a kind by themselves.
var types = map[string]Kind{
	"at+jwt":                    {ID: "access", Title: "access token (RFC 9068)"},
	"logout+jwt":                {ID: "logout", Title: "logout token (OpenID Connect Back-Channel Logout)"},
	"dpop+jwt":                  {ID: "dpop", Title: "DPoP proof (RFC 9449)"},
	"secevent+jwt":              {ID: "event", Title: "security event token (RFC 8417)"},
	"token-introspection+jwt":   {ID: "introspection", Title: "answer of an introspection endpoint (RFC 9701)"},
	"oauth-authz-req+jwt":       {ID: "request", Title: "request object (RFC 9101)"},
	"client-authentication+jwt": {ID: "assertion", Title: "client assertion (RFC 7523)"},
	"jwt-bearer+jwt":            {ID: "assertion", Title: "authorization assertion (RFC 7523)"},
	"handoff+jwt":               {ID: "handoff", Title: "hand-off token of Gatehouse"},
	"gatehouse-identity+jwt":    {ID: "identity", Title: "identity header of the Gatehouse gateway"},
	"dc+sd-jwt":                 {ID: "credential", Title: "verifiable credential (SD-JWT)"},
	"vc+sd-jwt":                 {ID: "credential", Title: "verifiable credential (SD-JWT)"},
	"kb+jwt":                    {ID: "key-binding", Title: "key binding of an SD-JWT"},
	"passport":                  {ID: "passport", Title: "PASSporT, a caller's identity (RFC 8225)"},
	"entity-statement+jwt":      {ID: "statement", Title: "entity statement (OpenID Federation)"},
	"openid4vci-proof+jwt":      {ID: "proof", Title: "proof for a credential (OpenID4VCI)"},
	"id_token+jwt":              {ID: "id", Title: "ID token (OpenID Connect)"},
	"rt+jwt":                    {ID: "refresh", Title: "refresh token"},
}

// normalType folds what RFC 7515 §4.1.9 calls equal.
func normalType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

func (t *parsed) kind() Kind {
	k, known := types[normalType(t.header.str("typ"))]
	if !known {
		k = t.kindByClaims()
	}
	k.Form, k.Maker = t.form, t.maker()
	if t.form == FormSDJWT && !known {
		k.ID, k.Title = "credential", "SD-JWT, a token with claims that are disclosed one by one"
	}
	return k
}

// kindByClaims goes by what only one kind carries.
func (t *parsed) kindByClaims() Kind {
	c := t.payload
	access := Kind{ID: "access", Title: "access token"}
	id := Kind{ID: "id", Title: "ID token (OpenID Connect)"}
	switch c.str("token_use") { // Cognito
	case "access":
		return access
	case "id":
		return id
	}
	switch c.str("typ") { // Keycloak
	case "Bearer":
		return access
	case "ID":
		return id
	case "Refresh", "Offline":
		return Kind{ID: "refresh", Title: "refresh token"}
	case "Logout":
		return types["logout+jwt"]
	}
	switch {
	case strings.Contains(string(c.raw("events")), "backchannel-logout"):
		return types["logout+jwt"]
	case c.has("htm") && c.has("htu"):
		return types["dpop+jwt"]
	case c.has("kubernetes.io"):
		return Kind{ID: "access", Title: "service account token of a cluster"}
	case c.has("response_type") && c.has("client_id"):
		return types["oauth-authz-req+jwt"]
	case c.has("nonce"), c.has("at_hash"), c.has("c_hash"), c.has("auth_time") && !c.has("scope") && !c.has("scp"), c.has("firebase"):
		return id
	case c.has("scope"), c.has("scp"), c.has("permissions"), c.has("client_id"), c.has("appid"), c.has("idtyp"), c.has("roles") && c.has("azp"):
		return access
	case c.str("iss") != "" && c.str("iss") == c.str("sub"):
		return types["client-authentication+jwt"]
	case c.has("vc"):
		return Kind{ID: "credential", Title: "verifiable credential"}
	}
	return Kind{Title: "token of no particular kind"}
}

// makers are recognised by their issuer's address.
var makers = []struct{ part, name string }{
	{"://login.microsoftonline.", "Microsoft Entra ID"}, {"://sts.windows.net/", "Microsoft Entra ID"}, {".ciamlogin.com/", "Microsoft Entra External ID"}, {".b2clogin.com/", "Azure AD B2C"},
	{".auth0.com/", "Auth0"}, {"://cognito-idp.", "Amazon Cognito"}, {".okta.com", "Okta"}, {".oktapreview.com", "Okta"},
	{"://securetoken.google.com/", "Firebase"}, {"accounts.google.com", "Google"}, {"://appleid.apple.com", "Apple"},
	{"://token.actions.githubusercontent.com", "GitHub Actions"}, {"://gitlab.com", "GitLab"}, {"kubernetes/serviceaccount", "Kubernetes"}, {"://kubernetes.default.svc", "Kubernetes"}, {"/realms/", "Keycloak"},
}

func (t *parsed) maker() string {
	c, issuer := t.payload, t.payload.str("iss")
	if c.has("gid") && c.has("ce") {
		return "Gatehouse"
	}
	if c.has("kubernetes.io") {
		return "Kubernetes"
	}
	for _, m := range makers {
		if strings.Contains(issuer, m.part) {
			return m.name
		}
	}
	switch {
	case c.has("realm_access"), c.has("resource_access"):
		return "Keycloak"
	case c.has("token_use"), c.has("cognito:groups"):
		return "Amazon Cognito"
	case c.has("tid") && c.has("oid"):
		return "Microsoft Entra ID"
	case c.has("gty"):
		return "Auth0"
	case c.has("cid") && c.has("uid"):
		return "Okta"
	}
	return ""
}

// nested tells whether the payload is a token again.
func (t *parsed) nested() bool {
	if strings.EqualFold(t.header.str("cty"), "jwt") {
		return true
	}
	for _, m := range t.payload.members {
		var s string
		if json.Unmarshal(m.raw, &s) == nil && strings.Count(s, ".") >= 2 && compactPattern.FindString(s) == s {
			return true
		}
	}
	return false
}
