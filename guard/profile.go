package guard

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Profile says what the access tokens of an issuer look like. The zero Profile
// is RFC 9068, which Gatehouse issues; the others are for tokens of other
// products, whose `typ` does not tell an access token from an ID token, so that
// claims have to (docs/guides/other-providers.md). Whatever the profile, the
// signature, issuer, audience and expiry are checked alike, and only with
// asymmetric keys. There is no mapping of one's own.
type Profile int

const (
	// RFC9068 takes `typ: at+jwt`, scopes from `scope`, roles from `roles`.
	RFC9068 Profile = iota
	// Auth0 takes tokens of an Auth0 API in either of its dialects: scopes from
	// `scope`, roles from `permissions`.
	Auth0
	// Keycloak takes tokens of a Keycloak realm: scopes from `scope`, roles of
	// this API from `resource_access.<audience>.roles`, and those of the realm
	// with the prefix "realm:".
	Keycloak
	// Entra takes tokens of Microsoft Entra ID, v1.0 and v2.0: scopes from `scp`,
	// roles from `roles`.
	Entra
)

// String is the profile's name.
func (p Profile) String() string {
	if form, ok := forms[p]; ok {
		return form.name
	}
	return fmt.Sprintf("Profile(%d)", int(p))
}

// form is how a profile's tokens are told from others and read.
type form struct {
	name  string
	types []string // of the header, normalised
	read  func(v *verified, audience string) error
	feeds bool // the issuer may have a feed of revocations that speaks about them
}

var forms = map[Profile]form{
	RFC9068:  {"RFC 9068", []string{"at+jwt"}, readRFC9068, true},
	Auth0:    {"Auth0", []string{"jwt", "at+jwt"}, readAuth0, false},
	Keycloak: {"Keycloak", []string{"jwt", "at+jwt"}, readKeycloak, false},
	Entra:    {"Entra", []string{"jwt"}, readEntra, false},
}

// expected is the one of the profile's types that a token has, or the first.
func (f form) expected(kind string) string {
	if slices.Contains(f.types, kind) {
		return kind
	}
	return f.types[0]
}

// readAll takes the claims of an access token. A claim of the wrong type refuses
// the token: half a token is no token.
func (f form) readAll(claims jose.Claims, key jose.Key, audience string) (*verified, error) {
	// A token that is bound to a key proves nothing to whoever does not check
	// the proof (C9).
	if claims.Has("cnf") {
		return nil, fmt.Errorf("%w: cnf: tokens bound to a key are not supported", jose.ErrClaim)
	}
	v := &verified{claims: claims, key: key, tokenID: claims.ID}
	if claims.Subject == "" || !claims.Has("iat") {
		return nil, fmt.Errorf("%w: sub and iat are required", jose.ErrClaim)
	}
	for _, p := range []struct {
		name string
		into *string
	}{{"acr", &v.acr}, {"sid", &v.sid}} {
		var err error
		if *p.into, err = claims.String(p.name); err != nil {
			return nil, err
		}
	}
	var err error
	if v.authTime, err = claims.Time("auth_time"); err != nil {
		return nil, err
	}
	return v, f.read(v, audience)
}

// readRFC9068 is RFC 9068 §2.2 and the contract (C3).
func readRFC9068(v *verified, _ string) error {
	if v.tokenID == "" {
		return fmt.Errorf("%w: jti is missing", jose.ErrClaim)
	}
	if err := v.readClient("client_id"); err != nil {
		return err
	}
	v.service = v.claims.Subject == v.client
	v.readSubject()
	if err := v.readScopes("scope"); err != nil {
		return err
	}
	return v.readRoles("roles")
}

// readSubject takes what a revocation may name (C15, C16). An epoch that is
// absent is the oldest. A wrong type refuses the token only where there is a
// feed: other issuers may mean something else by these names.
func (v *verified) readSubject() {
	grant, grantFault := v.claims.String("gid")
	user, userFault := v.claims.Int("ue")
	client, clientFault := v.claims.Int("ce")
	v.fault = errors.Join(grantFault, userFault, clientFault)
	v.subject = feed.Subject{TokenID: v.tokenID, GrantID: grant, SessionID: v.sid, UserID: v.claims.Subject, ClientID: v.client,
		KeyID: v.key.ID(), UserEpoch: user, ClientEpoch: client}
}

// readAuth0: an ID token has the client id as its audience, which is also its
// `azp` where it has one, and answers a login, so it carries `nonce` or a hash.
// An API identifier that is also a client's id would blur that, so it is refused.
func readAuth0(v *verified, audience string) error {
	if err := v.refuseIDToken(); err != nil {
		return err
	}
	if err := v.readClient("azp", "client_id"); err != nil {
		return err
	}
	if v.client == audience {
		return fmt.Errorf("%w: the audience is the client itself, as in an ID token", jose.ErrType)
	}
	// A user's id always begins with its connection and "|".
	v.service = v.claims.Subject == v.client+"@clients"
	if err := v.readScopes("scope"); err != nil {
		return err
	}
	return v.readRoles("permissions")
}

// readKeycloak: the realm writes into the payload what a token is: "Bearer" is
// an access token, and "ID", "Refresh", "Offline", "Logout" and "DPoP" are not
// what we take.
func readKeycloak(v *verified, audience string) error {
	kind, err := v.claims.String("typ")
	if err != nil {
		return err
	}
	if kind != "Bearer" {
		return fmt.Errorf("%w: the claim typ is %.20q, not \"Bearer\"", jose.ErrType, kind)
	}
	if err := v.readClient("azp"); err != nil {
		return err
	}
	if err := v.readScopes("scope"); err != nil {
		return err
	}
	if err := v.readKeycloakRoles(audience); err != nil {
		return err
	}
	// A service account is a user of the realm with a name that anybody might
	// register, so the signs of a login must be absent as well. Whatever is not
	// clearly a service counts as a user.
	name, err := v.claims.String("preferred_username")
	if err != nil {
		return err
	}
	client, err := v.claims.String("client_id")
	v.service = client == v.client && strings.EqualFold(name, "service-account-"+v.client) && v.sid == "" && v.authTime.IsZero()
	return err
}

// realmPrefix keeps a role of the realm apart from one of the API that has the
// same name.
const realmPrefix = "realm:"

func (v *verified) readKeycloakRoles(audience string) error {
	realm, err := v.claims.Strings("realm_access", "roles")
	if err != nil {
		return err
	}
	own, err := v.claims.Strings("resource_access", audience, "roles")
	if err != nil {
		return err
	}
	for _, role := range own {
		if !strings.HasPrefix(role, realmPrefix) { // it would pass for one of the realm
			v.roles = append(v.roles, role)
		}
	}
	for _, role := range realm {
		v.roles = append(v.roles, realmPrefix+role)
	}
	return nil
}

// readEntra: an ID token has neither the application that calls (`azp`, in v1.0
// tokens `appid`) nor `scp`. A token of an application for itself has no `scp`
// either: it says `idtyp: app`, or its subject is its own object.
func readEntra(v *verified, _ string) error {
	if err := v.refuseIDToken(); err != nil {
		return err
	}
	version, err := v.claims.String("ver")
	if err != nil {
		return err
	}
	if version != "1.0" && version != "2.0" {
		return fmt.Errorf("%w: ver is %.20q, not \"1.0\" or \"2.0\"", jose.ErrClaim, version)
	}
	if err := v.readClient("azp", "appid"); err != nil {
		return err
	}
	if v.tokenID, err = v.claims.String("uti"); err != nil {
		return err
	}
	if err := v.readScopes("scp"); err != nil {
		return err
	}
	if v.service, err = entraApplication(v.claims); err != nil {
		return err
	}
	if !v.claims.Has("scp") && !v.service {
		return fmt.Errorf("%w: neither scp nor the marks of an application, as in an ID token", jose.ErrType)
	}
	return v.readRoles("roles")
}

func entraApplication(claims jose.Claims) (bool, error) {
	kind, err := claims.String("idtyp")
	if err != nil {
		return false, err
	}
	object, err := claims.String("oid")
	if err != nil {
		return false, err
	}
	if claims.Has("scp") {
		return false, nil
	}
	return kind == "app" || kind == "" && object == claims.Subject, nil
}

// refuseIDToken refuses what only an ID token carries (OpenID Connect Core
// §2, §3.3.2.11).
func (v *verified) refuseIDToken() error {
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash"} {
		if v.claims.Has(name) {
			return fmt.Errorf("%w: it has %s, as an ID token", jose.ErrType, name)
		}
	}
	return nil
}

// readClient takes the client's id from the first of the claims that is there;
// where there are several they must agree.
func (v *verified) readClient(names ...string) error {
	for _, name := range names {
		id, err := v.claims.String(name)
		if err != nil {
			return err
		}
		if id != "" && v.client != "" && id != v.client {
			return fmt.Errorf("%w: %s contradict each other", jose.ErrClaim, strings.Join(names, " and "))
		}
		if id != "" {
			v.client = id
		}
	}
	if v.client == "" {
		return fmt.Errorf("%w: %s is missing", jose.ErrClaim, strings.Join(names, " or "))
	}
	return nil
}

func (v *verified) readScopes(name string) error {
	scope, err := v.claims.String(name)
	v.scopes = strings.Fields(scope)
	return err
}

func (v *verified) readRoles(name string) (err error) {
	v.roles, err = v.claims.Strings(name)
	return err
}
