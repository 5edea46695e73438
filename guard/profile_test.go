package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// The tokens of other products below have the claims that their manuals and
// sources describe, signed by a key of the test.

const (
	entraTenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"
	entraAPI    = "6731de76-14a6-49ae-97bc-6eba6914391e"
	entraApp    = "0e1a7b1e-3c9d-4c9b-8f6f-0d1a2b3c4d5e"
	entraObject = "690222be-ff1a-4d56-abd1-7e4f7d38e474"
	auth0Client = "Zk3mPq7RtXw2Yb9Lc4Nd8Vf1Hg6Js0Ae"
	auth0API    = "https://orders.example.com/"
	keycloakAPI = "orders-api"
)

func merge(all ...map[string]any) map[string]any {
	merged := map[string]any{}
	for _, one := range all {
		maps.Copy(merged, one)
	}
	maps.DeleteFunc(merged, func(_ string, value any) bool { return value == nil })
	return merged
}

// product is an issuer of another make: its access tokens and its ID tokens.
type product struct {
	profile  guard.Profile
	audience string
	algo     jose.Algorithm
	user     func(iss string) map[string]any
	service  func(iss string) map[string]any
	idToken  func(iss string) map[string]any
	scopes   []string // of the user
	roles    []string
	client   string
	tokenID  string
}

func times() map[string]any {
	now := time.Now().Unix()
	return map[string]any{"iat": now, "exp": now + 3600}
}

var products = map[string]product{
	"Auth0": {
		profile: guard.Auth0, audience: auth0API, algo: jose.RS256, client: auth0Client,
		scopes: []string{"openid", "profile", "read:orders"}, roles: []string{"read:orders", "delete:orders"},
		user: func(iss string) map[string]any {
			return merge(times(), map[string]any{"iss": iss, "sub": "auth0|507f1f77bcf86cd799439011", "aud": []string{auth0API, iss + "/userinfo"}, "azp": auth0Client,
				"scope": "openid profile read:orders", "permissions": []string{"read:orders", "delete:orders"}, "https://example.com/plan": "gold"})
		},
		service: func(iss string) map[string]any {
			return merge(times(), map[string]any{"iss": iss, "sub": auth0Client + "@clients", "aud": auth0API, "azp": auth0Client, "gty": "client-credentials", "scope": "read:orders"})
		},
		idToken: func(iss string) map[string]any {
			return merge(times(), map[string]any{"iss": iss, "sub": "auth0|507f1f77bcf86cd799439011", "aud": auth0Client, "nickname": "ada", "name": "Ada", "email": "ada@example.com",
				"email_verified": true, "sid": "s1", "nonce": "n-0S6_WzA2Mj", "updated_at": "2026-01-01T00:00:00.000Z"})
		},
	},
	"Keycloak": {
		profile: guard.Keycloak, audience: keycloakAPI, algo: jose.RS256, client: "web", tokenID: "e1ac2e55-a655-464b-9039-6874c52398e3",
		scopes: []string{"openid", "profile", "orders:read"}, roles: []string{"viewer", "realm:offline_access", "realm:staff"},
		user: func(iss string) map[string]any {
			return merge(times(), map[string]any{"iss": iss, "sub": "fd8fc3d3-0a39-41f7-9468-45926f658e41", "aud": []string{keycloakAPI, "account"}, "typ": "Bearer", "azp": "web",
				"jti": "e1ac2e55-a655-464b-9039-6874c52398e3", "auth_time": time.Now().Unix(), "sid": "c09af47f-db7c-4013-bff6-60b78b959786", "acr": "1", "allowed-origins": []string{"https://web.example.com"},
				"realm_access": map[string]any{"roles": []string{"offline_access", "staff"}}, "resource_access": map[string]any{keycloakAPI: map[string]any{"roles": []string{"viewer", "realm:admin"}}, "account": map[string]any{"roles": []string{"manage-account"}}},
				"scope": "openid profile orders:read", "email_verified": true, "preferred_username": "ada", "email": "ada@example.com"})
		},
		service: func(iss string) map[string]any {
			return merge(times(), map[string]any{"iss": iss, "sub": "ce9a046a-c546-486c-9ce0-4d7713a120ca", "aud": keycloakAPI, "typ": "Bearer", "azp": "Batch", "jti": "trrtcc:1", "acr": "1", "scope": "orders:read",
				"client_id": "Batch", "clientHost": "192.0.2.1", "preferred_username": "service-account-batch"})
		},
		idToken: func(iss string) map[string]any {
			return merge(times(), map[string]any{"iss": iss, "sub": "fd8fc3d3-0a39-41f7-9468-45926f658e41", "aud": "web", "typ": "ID", "azp": "web", "jti": "1", "auth_time": time.Now().Unix(),
				"at_hash": "bKVQ6bvG5Zq1mS1sVdmbrw", "sid": "c09af47f-db7c-4013-bff6-60b78b959786", "acr": "1", "preferred_username": "ada"})
		},
	},
	"Entra v2.0": {
		profile: guard.Entra, audience: entraAPI, algo: jose.RS256, client: entraApp, tokenID: "AQIDBAUGBwgJCgsMDQ4PEA",
		scopes: []string{"Orders.Read", "Orders.Write"}, roles: []string{"Orders.Approver"},
		user: func(iss string) map[string]any {
			return merge(times(), map[string]any{"aud": entraAPI, "iss": iss, "nbf": time.Now().Unix(), "aio": "AXQAi", "azp": entraApp, "azpacr": "0", "name": "Ada", "oid": entraObject,
				"preferred_username": "ada@example.com", "rh": "0.AX", "roles": []string{"Orders.Approver"}, "scp": "Orders.Read Orders.Write", "sid": "008f", "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", "tid": entraTenant, "uti": "AQIDBAUGBwgJCgsMDQ4PEA", "ver": "2.0"})
		},
		service: func(iss string) map[string]any {
			return merge(times(), map[string]any{"aud": entraAPI, "iss": iss, "nbf": time.Now().Unix(), "azp": entraApp, "azpacr": "1", "oid": entraObject, "sub": entraObject, "roles": []string{"Orders.Approver"}, "tid": entraTenant, "uti": "u", "ver": "2.0"})
		},
		idToken: func(iss string) map[string]any {
			return merge(times(), map[string]any{"aud": entraAPI, "iss": iss, "nbf": time.Now().Unix(), "name": "Ada", "nonce": "678910", "oid": entraObject, "preferred_username": "ada@example.com", "roles": []string{"Orders.Approver"},
				"sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", "tid": entraTenant, "uti": "u", "ver": "2.0"})
		},
	},
	"Entra v1.0": {
		profile: guard.Entra, audience: "api://" + entraAPI, algo: jose.RS256, client: entraApp, tokenID: "uti1",
		scopes: []string{"Orders.Read"},
		user: func(iss string) map[string]any {
			return merge(times(), map[string]any{"aud": "api://" + entraAPI, "iss": iss, "nbf": time.Now().Unix(), "acr": "1", "amr": []string{"pwd"}, "appid": entraApp, "appidacr": "0", "family_name": "L", "ipaddr": "192.0.2.1",
				"oid": entraObject, "scp": "Orders.Read", "sub": "l3_roISQU222bULS9yi2k0XpqpOiMz5H3ZACo1GeXA", "tid": entraTenant, "unique_name": "ada@example.com", "uti": "uti1", "ver": "1.0"})
		},
		service: func(iss string) map[string]any {
			return merge(times(), map[string]any{"aud": "api://" + entraAPI, "iss": iss, "appid": entraApp, "appidacr": "2", "idtyp": "app", "oid": entraObject, "sub": entraObject, "tid": entraTenant, "uti": "u", "ver": "1.0"})
		},
		idToken: func(iss string) map[string]any {
			return merge(times(), map[string]any{"aud": entraAPI, "iss": iss, "amr": []string{"pwd"}, "family_name": "L", "ipaddr": "192.0.2.1", "nonce": "n", "oid": entraObject,
				"sub": "l3_roISQU222bULS9yi2k0XpqpOiMz5H3ZACo1GeXA", "tid": entraTenant, "unique_name": "ada@example.com", "uti": "u", "ver": "1.0"})
		},
	},
}

// at starts an issuer of a product and the guard that is configured for it.
func (p product) at(t *testing.T) (*issuer, *guard.Guard) {
	t.Helper()
	i := newIssuer(t)
	i.signer = newSigner(t, p.algo)
	i.set(i.signer.Key())
	return i, i.guard(func(c *guard.Config) { c.Audience, c.Profile = p.audience, p.profile })
}

func TestC38ProfilesReadTheirTokens(t *testing.T) {
	for name, p := range products {
		t.Run(name, func(t *testing.T) {
			i, g := p.at(t)
			c, err := g.Verify(context.Background(), sign(t, i.signer, "JWT", p.user(i.url())))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(c.Scopes(), p.scopes) || !slices.Equal(c.Roles(), p.roles) || c.ClientID() != p.client || c.IsService() || c.TokenID() != p.tokenID || c.Subject() == "" {
				t.Errorf("the user: scopes %q, roles %q, client %q, service %v, token %q", c.Scopes(), c.Roles(), c.ClientID(), c.IsService(), c.TokenID())
			}
			if c, err = g.Verify(context.Background(), sign(t, i.signer, "JWT", p.service(i.url()))); err != nil || !c.IsService() {
				t.Errorf("the service: %v %v", c.IsService(), err)
			}
		})
	}
}

// An ID token of the same issuer, and the other classes, are refused: also when
// the API was configured with the client's id as its audience, or shares its
// registration with the client.
func TestT56ProfilesRefuseOtherClasses(t *testing.T) {
	for name, p := range products {
		t.Run(name, func(t *testing.T) {
			i, g := p.at(t)
			user, id := p.user(i.url()), p.idToken(i.url())
			with := func(base map[string]any, pairs ...any) map[string]any {
				changed := merge(base)
				for n := 0; n < len(pairs); n += 2 {
					changed[pairs[n].(string)] = pairs[n+1]
				}
				return merge(changed)
			}
			refused := map[string]map[string]any{
				"ID token":                        id,
				"ID token for our audience":       with(id, "aud", p.audience),
				"ID token that lists us":          with(id, "aud", []string{p.client, p.audience}),
				"ID token with azp":               with(id, "aud", p.audience, "azp", p.client),
				"ID token without nonce":          with(id, "aud", p.audience, "nonce", nil),
				"ID token with azp, our audience": with(id, "aud", p.audience, "azp", p.audience, "nonce", nil, "at_hash", nil),
				"bound to a key":                  with(user, "cnf", map[string]any{"jkt": "x"}),
				"no audience":                     with(user, "aud", nil),
				"another audience":                with(user, "aud", "https://other.example.com"),
				"no expiry":                       with(user, "exp", nil),
				"expired":                         with(user, "exp", time.Now().Unix()-3600),
				"another issuer":                  with(user, "iss", i.url()+"/"),
				"no subject":                      with(user, "sub", nil),
				"no client":                       with(user, "azp", nil, "appid", nil, "client_id", nil),
				"client a list":                   with(user, "azp", []string{p.client}, "appid", []string{p.client}),
				"scope a list":                    with(user, "scope", []string{"a"}, "scp", []string{"a"}),
				"roles a string":                  with(user, "roles", "admin", "permissions", "admin", "realm_access", map[string]any{"roles": "admin"}),
				"roles of numbers":                with(user, "roles", []int{1}, "permissions", []int{1}, "realm_access", []string{"admin"}),
			}
			if p.profile == guard.Auth0 {
				refused["issued to its audience"] = with(user, "azp", p.audience)
				refused["two clients"] = with(user, "client_id", "other")
			}
			if p.profile != guard.Keycloak {
				refused["a nonce"] = with(user, "nonce", "n")
				refused["a hash of a code"] = with(user, "c_hash", "x")
			}
			if p.profile == guard.Keycloak {
				for _, kind := range []any{"ID", "Refresh", "Offline", "Logout", "DPoP", "bearer", "", nil, 1} {
					refused["typ "+strings.TrimSpace(anyName(kind))] = with(user, "typ", kind)
				}
				refused["access of a client not an object"] = with(user, "resource_access", map[string]any{keycloakAPI: []string{"admin"}})
			}
			if p.profile == guard.Entra {
				refused["no scp, a user"] = with(user, "scp", nil)
				refused["a user that says so"] = with(p.service(i.url()), "idtyp", "user")
				refused["no version"] = with(user, "ver", nil)
				refused["version 3"] = with(user, "ver", "3.0")
			}
			for name, claims := range refused {
				if _, err := g.Verify(context.Background(), sign(t, i.signer, "JWT", claims)); !errors.Is(err, guard.ErrInvalid) {
					t.Errorf("%s: %v", name, err)
				}
			}
			for _, kind := range []string{"", "logout+jwt", "dpop+jwt", "rt+jwt", "secevent+jwt", "x/jwt"} {
				if _, err := g.Verify(context.Background(), sign(t, i.signer, kind, user)); !errors.Is(err, guard.ErrInvalid) {
					t.Errorf("header typ %q: %v", kind, err)
				}
			}
			// And nobody is taken under another profile's rules.
			plain := i.guard(func(c *guard.Config) { c.Audience = p.audience })
			if _, err := plain.Verify(context.Background(), sign(t, i.signer, "JWT", user)); !errors.Is(err, guard.ErrInvalid) {
				t.Errorf("RFC 9068 takes it: %v", err)
			}
		})
	}
}

func anyName(v any) string {
	if s, ok := v.(string); ok {
		return s + "."
	}
	return "of another type"
}

// Who registers under the name of a service account is still a user (T57).
func TestT57KeycloakServiceAccounts(t *testing.T) {
	p := products["Keycloak"]
	i, g := p.at(t)
	for name, claims := range map[string]map[string]any{
		"a user of that name":                 merge(p.user(i.url()), map[string]any{"preferred_username": "service-account-web"}),
		"and a mapper for client_id":          merge(p.user(i.url()), map[string]any{"preferred_username": "service-account-web", "client_id": "web"}),
		"another client's service account":    merge(p.service(i.url()), map[string]any{"client_id": "other"}),
		"a service account with another name": merge(p.service(i.url()), map[string]any{"preferred_username": "ada"}),
	} {
		if c, err := g.Verify(context.Background(), sign(t, i.signer, "JWT", claims)); err != nil || c.IsService() {
			t.Errorf("%s: service %v, %v", name, c.IsService(), err)
		}
	}
}

// unread are forged tokens that differ from a valid one only in what a product
// has not: they are taken, and give nothing.
var unread = map[guard.Profile][]string{
	guard.Auth0:    {"typ-id-token", "client-id-missing", "client-id-empty", "jti-empty", "roles-string", "roles-object", "roles-null", "roles-mixed", "roles-nested"},
	guard.Keycloak: {"typ-id-token", "client-id-missing", "client-id-empty", "jti-missing", "jti-empty", "roles-string", "roles-object", "roles-null", "roles-mixed", "roles-nested"},
	guard.Entra:    {"typ-id-token", "client-id-missing", "client-id-empty", "client-id-number", "jti-empty", "scope-list", "scope-null", "scope-object"},
}

func TestBCP8ProfilesRefuseEveryForgedToken(t *testing.T) {
	for name, p := range products {
		t.Run(name, func(t *testing.T) {
			i, g := p.at(t)
			valid := sign(t, i.signer, "at+jwt", p.user(i.url()))
			forged, err := forge.All(forge.Source{Valid: valid, Keys: jose.NewKeySet(i.signer.Key()), Lab: i.signer, Issuer: i.url(), Audience: p.audience, Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			if p.profile == guard.Entra {
				valid = sign(t, i.signer, "JWT", p.user(i.url()))
			}
			refused := 0
			for _, f := range forged {
				raw := f.Raw
				if p.profile == guard.Entra {
					raw = retyped(i.signer, raw)
				}
				c, err := g.Verify(context.Background(), raw)
				if errors.Is(err, guard.ErrInvalid) {
					refused++
					continue
				}
				if err != nil || !slices.Contains(unread[p.profile], f.Name) || !slices.Equal(c.Roles(), p.roles) || !slices.Equal(c.Scopes(), p.scopes) || c.ClientID() != p.client {
					t.Errorf("%s %s: %v: %s", f.ID, f.Name, err, f.Title)
				}
			}
			if _, err := g.Verify(context.Background(), valid); err != nil {
				t.Errorf("the valid token afterwards: %v", err)
			}
			t.Logf("%d of %d forged tokens refused", refused, len(forged))
		})
	}
}

// retyped signs a genuine token of type at+jwt again as JWT, so that it is not
// refused for its type before its claims are looked at.
func retyped(signer jose.Signer, raw string) string {
	token, err := jose.Parse(raw)
	if err != nil || token.Type() != "at+jwt" || token.Verify(signer.Key()) != nil {
		return raw
	}
	again, err := signer.Sign("JWT", json.RawMessage(token.Payload()))
	if err != nil {
		return raw
	}
	return again
}

func TestC38AnUnknownProfileIsAFault(t *testing.T) {
	for _, p := range []guard.Profile{-1, 4, 99} {
		if _, err := guard.New(guard.Config{Issuer: "https://auth.example.com", Audience: audience, Profile: p}); err == nil || !strings.Contains(err.Error(), "Profile") {
			t.Errorf("%v: %v", p, err)
		}
	}
}

// These products publish OpenID Connect metadata only, below the path of the
// issuer, and key sets with members and keys of other uses.
func TestC38ProfilesFindTheirKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		product      string
		issuer, jwks string // paths
		members      map[string]any
	}{
		"Auth0":      {"Auth0", "/", "/.well-known/jwks.json", map[string]any{"x5t": "abc", "x5c": []string{"MIIC"}}},
		"Keycloak":   {"Keycloak", "/realms/shop", "/realms/shop/protocol/openid-connect/certs", map[string]any{"x5c": []string{"MIIC"}, "x5t": "a", "x5t#S256": "b"}},
		"Entra v2.0": {"Entra v2.0", "/" + entraTenant + "/v2.0", "/" + entraTenant + "/discovery/v2.0/keys", map[string]any{"alg": nil, "x5t": "kid", "x5c": []string{"MIIC"}, "cloud_instance_name": "microsoftonline.com", "issuer": "https://login.microsoftonline.com/" + entraTenant + "/v2.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := products[tc.product]
			signer, encryption := newSigner(t, p.algo), newSigner(t, jose.RS256)
			jwk := func(k jose.Key, more map[string]any) map[string]any {
				raw, err := json.Marshal(k)
				if err != nil {
					t.Fatal(err)
				}
				var members map[string]any
				if err := json.Unmarshal(raw, &members); err != nil {
					t.Fatal(err)
				}
				return merge(members, more)
			}
			var asked []string
			mux := http.NewServeMux()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Path)
				mux.ServeHTTP(w, r)
			}))
			defer server.Close()
			iss := server.URL + tc.issuer
			mux.HandleFunc("GET "+strings.TrimSuffix(tc.issuer, "/")+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
				json.NewEncoder(w).Encode(map[string]any{"issuer": iss, "jwks_uri": server.URL + tc.jwks, "id_token_signing_alg_values_supported": []string{"RS256", "HS256"}})
			})
			mux.HandleFunc("GET "+tc.jwks, func(w http.ResponseWriter, _ *http.Request) {
				json.NewEncoder(w).Encode(map[string]any{"keys": []any{jwk(encryption.Key(), map[string]any{"use": "enc", "alg": "RSA-OAEP"}), jwk(signer.Key(), tc.members)}})
			})
			g, err := guard.New(guard.Config{Issuer: iss, Audience: p.audience, Profile: p.profile})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			if _, err := g.Verify(context.Background(), sign(t, signer, "JWT", p.user(iss))); err != nil {
				t.Errorf("%v, asked for %q", err, asked)
			}
			if _, err := g.Verify(context.Background(), sign(t, encryption, "JWT", p.user(iss))); !errors.Is(err, guard.ErrInvalid) {
				t.Errorf("signed with the key for encryption: %v", err)
			}
		})
	}
}
