package web_test

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// provesFeed reads the first message of the feed with the feed's keys (C19, C24).
func (h *house) provesFeed(t *testing.T, endpoint, keysAt string) {
	t.Helper()
	var answer *http.Response
	var err error
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		answer, err = http.Get(h.url + endpoint)
		h.must(err)
		defer answer.Body.Close()
		if answer.StatusCode == 200 || time.Now().After(end) {
			break
		}
	}
	keys, _, err := jose.ParseKeySet([]byte(h.browser().get(keysAt).body))
	h.must(err)
	e, err := feed.NewEvents(answer.Body).Next()
	if err != nil {
		t.Fatalf("%d: %v", answer.StatusCode, err)
	}
	if _, err := feed.Open(e.Data, keys, h.url); err != nil {
		t.Error(err)
	}
}

// words is a member of the discovery document that lists something.
func words(t *testing.T, value any) []string {
	t.Helper()
	var list []string
	all, ok := value.([]any)
	if !ok || len(all) == 0 {
		t.Fatalf("not a list: %v", value)
	}
	for _, v := range all {
		list = append(list, v.(string))
	}
	return list
}

// Every member of the discovery document is used as a client would, and what it
// does not list is tried and refused. A member that this test does not know
// fails it: a capability is advertised together with its proof.
func TestMETAEveryMemberIsTrue(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { h.parts.Feed.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	h.edit("wiki", func(c *iam.Client) { c.Scopes = append(c.Scopes, "roles") })
	var document map[string]any
	answer, err := http.Get(h.url + "/.well-known/openid-configuration")
	h.must(err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	h.must(err)
	h.must(json.Unmarshal(raw, &document))
	b := h.signedIn()
	exactly := func(member string, want ...string) []string {
		t.Helper()
		got := words(t, document[member])
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: %v, want %v", member, got, want)
		}
		return got
	}
	at := func(member string) string { return strings.TrimPrefix(document[member].(string), h.url) }
	token := func(pairs ...string) tokens {
		return h.call(at("token_endpoint"), append([]string{"client_id", "wiki", "client_secret", h.wiki}, pairs...)...)
	}
	known := map[string]func(t *testing.T){
		"issuer": func(t *testing.T) {
			if document["issuer"] != h.url || h.claims(b.tokensFor().ID, "jwt").Issuer != h.url {
				t.Error("not byte for byte the issuer")
			}
		},
		"authorization_endpoint": func(t *testing.T) {
			if sent := b.get(at("authorization_endpoint") + "?" + request().Encode()).sent(t); sent.Query().Get("code") == "" {
				t.Errorf("sent %s", sent)
			}
		},
		"token_endpoint": func(t *testing.T) {
			if got := token("grant_type", "authorization_code", "code", b.authorize().sent(t).Query().Get("code"), "code_verifier", verifier, "redirect_uri", callback); got.Status != 200 {
				t.Errorf("got %+v", got)
			}
		},
		"userinfo_endpoint": func(t *testing.T) {
			if got := h.call(at("userinfo_endpoint"), "access_token", b.tokensFor().Access); got.Status != 200 {
				t.Errorf("got %+v", got)
			}
		},
		"end_session_endpoint": func(t *testing.T) {
			out := h.signedIn()
			if p := out.get(at("end_session_endpoint") + "?id_token_hint=" + out.tokensFor().ID); p.StatusCode != 200 || out.in() {
				t.Errorf("got %d", p.StatusCode)
			}
		},
		"pushed_authorization_request_endpoint": func(t *testing.T) {
			if got := h.call(at("pushed_authorization_request_endpoint"), "client_id", "wiki"); got.Error != "invalid_client" {
				t.Errorf("got %+v", got)
			}
			h.push(request())
		},
		"device_authorization_endpoint": func(t *testing.T) {
			if got := h.call(at("device_authorization_endpoint"), "client_id", "native"); got.Status != 200 {
				t.Errorf("got %+v", got)
			}
		},
		"authorization_challenge_endpoint": func(t *testing.T) {
			h.edit("native", func(c *iam.Client) { c.Challenge = true })
			got := h.call(at("authorization_challenge_endpoint"), "client_id", "native", "scope", "openid", "username", "ada", "password", password, "code_challenge", request().Get("code_challenge"), "code_challenge_method", "S256")
			if got.Status != 200 {
				t.Errorf("got %+v", got)
			}
		},
		"revocation_endpoint": func(t *testing.T) {
			access := b.tokensFor().Access
			h.call(at("revocation_endpoint"), "client_id", "wiki", "client_secret", h.wiki, "token", access)
			if status, _, _ := h.userinfo("GET", access, nil); status != 401 {
				t.Errorf("got %d", status)
			}
		},
		"introspection_endpoint": func(t *testing.T) {
			if got := h.call(at("introspection_endpoint"), "client_id", "wiki", "client_secret", h.wiki, "token", b.tokensFor().Access); !strings.Contains(got.Body, `"active":true`) {
				t.Errorf("got %+v", got)
			}
		},
		"jwks_uri": func(t *testing.T) {
			id, err := jose.Parse(b.tokensFor().ID) // first: in a test its key is made when it is needed
			h.must(err)
			p := h.browser().get(at("jwks_uri"))
			set, skipped, err := jose.ParseKeySet([]byte(p.body))
			if _, found := set.Key(id.KeyID()); err != nil || len(skipped) > 0 || !found {
				t.Errorf("%v %v %s", err, skipped, p.body)
			}
		},
		"revocation_feed_endpoint": func(t *testing.T) { h.provesFeed(t, at("revocation_feed_endpoint"), at("revocation_feed_jwks_uri")) },
		"revocation_feed_jwks_uri": func(t *testing.T) { h.provesFeed(t, at("revocation_feed_endpoint"), at("revocation_feed_jwks_uri")) },
		"scopes_supported": func(t *testing.T) {
			for _, scope := range exactly("scopes_supported", "openid", "profile", "email", "address", "phone", "offline_access", "roles", "orders:read") {
				asked := "openid " + scope
				if scope == "openid" {
					asked = scope
				}
				if got := b.tokensFor("scope", asked); !slices.Contains(strings.Fields(got.Scope), scope) {
					t.Errorf("%s: got %q", scope, got.Scope)
				}
			}
			if code := b.authorize("scope", "openid groups").sentError(t, h); code != "invalid_scope" {
				t.Errorf("a scope that is not listed: %s", code)
			}
		},
		"response_types_supported": func(t *testing.T) {
			exactly("response_types_supported", "code")
			for _, kind := range []string{"token", "id_token", "code id_token", "code token", "none", "CODE"} {
				if code := b.authorize("response_type", kind).sentError(t, h); code != "unsupported_response_type" {
					t.Errorf("%s: %s", kind, code)
				}
			}
		},
		"response_modes_supported": func(t *testing.T) {
			exactly("response_modes_supported", "query", "form_post")
			if b.authorize("response_mode", "query").sent(t).Query().Get("code") == "" || b.authorize("response_mode", "form_post").field("code") == "" {
				t.Error("no code")
			}
			for _, mode := range []string{"fragment", "jwt", "query.jwt", "web_message"} {
				if code := b.authorize("response_mode", mode).sentError(t, h); code != "invalid_request" {
					t.Errorf("%s: %s", mode, code)
				}
			}
		},
		"grant_types_supported": func(t *testing.T) {
			exactly("grant_types_supported", "authorization_code", "client_credentials", "refresh_token", iam.DeviceCode)
			for _, grant := range []string{"password", "implicit", "urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:openid:params:grant-type:ciba"} {
				if got := token("grant_type", grant, "username", "ada", "password", password); got.Error != "unsupported_grant_type" {
					t.Errorf("%s: %+v", grant, got)
				}
			}
		},
		"token_endpoint_auth_methods_supported": func(t *testing.T) {
			exactly("token_endpoint_auth_methods_supported", "client_secret_basic", "client_secret_post", "private_key_jwt", "none") // each in TestOIDC1BasicPlan and api.TestC20…
			if got := token("grant_type", "refresh_token", "refresh_token", "x", "client_secret", "", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "client_assertion", "x"); got.Error != "invalid_request" {
				t.Errorf("SAML: %+v", got)
			}
		},
		"revocation_endpoint_auth_methods_supported": func(t *testing.T) {
			exactly("revocation_endpoint_auth_methods_supported", "client_secret_basic", "client_secret_post", "private_key_jwt", "none")
			if got := h.call(at("revocation_endpoint"), "client_id", "native", "token", "x"); got.Status != 200 {
				t.Errorf("none: %+v", got)
			}
		},
		"introspection_endpoint_auth_methods_supported": func(t *testing.T) {
			exactly("introspection_endpoint_auth_methods_supported", "client_secret_basic", "client_secret_post", "private_key_jwt")
			if got := h.call(at("introspection_endpoint"), "client_id", "native", "token", "x"); got.Error != "invalid_client" {
				t.Errorf("none: %+v", got)
			}
		},
		// That each of these signs an assertion which is taken, and no other, is
		// api.TestDiscoveryTellsTheTruthAboutAssertions.
		"token_endpoint_auth_signing_alg_values_supported":      func(t *testing.T) { noSymmetric(t, document["token_endpoint_auth_signing_alg_values_supported"]) },
		"revocation_endpoint_auth_signing_alg_values_supported": func(t *testing.T) { noSymmetric(t, document["revocation_endpoint_auth_signing_alg_values_supported"]) },
		"introspection_endpoint_auth_signing_alg_values_supported": func(t *testing.T) {
			noSymmetric(t, document["introspection_endpoint_auth_signing_alg_values_supported"])
		},
		"code_challenge_methods_supported": func(t *testing.T) {
			exactly("code_challenge_methods_supported", "S256")
			if code := b.authorize("code_challenge_method", "plain").sentError(t, h); code != "invalid_request" {
				t.Errorf("plain: %s", code)
			}
		},
		"subject_types_supported": func(t *testing.T) {
			exactly("subject_types_supported", "public")
			p := b.authorize(guestRequest...)
			p.asksFor(t, "/consent")
			guest := h.redeem(b.follow(b.post("/consent", url.Values{"flow": {p.field("flow")}, "decision": {"allow"}})).sent(t), "client_id", "guest", "client_secret", h.guest, "redirect_uri", "https://guest.example.com/cb")
			if h.claims(guest.ID, "jwt").Subject != h.claims(b.tokensFor().ID, "jwt").Subject {
				t.Error("two apps see two subjects")
			}
		},
		"id_token_signing_alg_values_supported": func(t *testing.T) {
			for _, algorithm := range exactly("id_token_signing_alg_values_supported", "RS256", "ES256", "EdDSA") {
				h.edit("wiki", func(c *iam.Client) { c.IDTokenAlgorithm = algorithm })
				got := b.tokensFor()
				id, err := jose.Parse(got.ID)
				h.must(err)
				short := sha256.Sum256([]byte(got.Access))
				want := short[:16]
				if algorithm == "EdDSA" {
					long := sha512.Sum512([]byte(got.Access))
					want = long[:32]
				}
				if hash, _ := h.claims(got.ID, "jwt").String("at_hash"); string(id.Algorithm()) != algorithm || hash != base64.RawURLEncoding.EncodeToString(want) {
					t.Errorf("%s: signed with %s, at_hash %s", algorithm, id.Algorithm(), hash)
				}
			}
			for _, algorithm := range []string{"none", "HS256", "PS256", "ES384"} {
				if (iam.Client{ID: "x", Type: iam.Public, Auth: iam.AuthNone, IDTokenAlgorithm: algorithm}).Check() == nil {
					t.Errorf("%s can be registered", algorithm)
				}
			}
			h.edit("wiki", func(c *iam.Client) { c.IDTokenAlgorithm = "" })
		},
		"prompt_values_supported": func(t *testing.T) {
			exactly("prompt_values_supported", "none", "login", "consent", "select_account")
			b.authorize("prompt", "login").asksFor(t, "/login")
			b.authorize("prompt", "select_account").asksFor(t, "/login")
			b.authorize("prompt", "consent").asksFor(t, "/consent")
			if b.authorize("prompt", "none").sent(t).Query().Get("code") == "" {
				t.Error("none: no code")
			}
			if code := b.authorize("prompt", "create").sentError(t, h); code != "invalid_request" {
				t.Errorf("create: %s", code)
			}
		},
		"claims_supported": func(t *testing.T) {
			h.parts.Directory.EditUser(t.Context(), "test", h.ada.ID, func(u *iam.User) error {
				u.Profile = map[string]string{}
				for _, name := range []string{"given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale"} {
					u.Profile[name] = "x"
				}
				return nil
			})
			got := b.tokensFor("scope", "openid profile email address phone")
			_, info, _ := h.userinfo("GET", got.Access, nil)
			id := h.claims(got.ID, "jwt")
			for _, name := range words(t, document["claims_supported"]) {
				if info[name] == nil && !id.Has(name) {
					t.Errorf("%s is in neither", name)
				}
			}
			for name := range info {
				if !slices.Contains(words(t, document["claims_supported"]), name) {
					t.Errorf("%s is not listed", name)
				}
			}
		},
		"claim_types_supported": func(t *testing.T) { exactly("claim_types_supported", "normal") },
		"acr_values_supported": func(t *testing.T) {
			exactly("acr_values_supported", "pwd")
			ask := func(acr string) page {
				return b.authorize("claims", fmt.Sprintf(`{"id_token":{"acr":{"essential":true,"value":%q}}}`, acr))
			}
			if ask("pwd").sent(t).Query().Get("code") == "" || ask("mfa").sentError(t, h) != "unmet_authentication_requirements" {
				t.Error("not so")
			}
		},
		"ui_locales_supported": func(t *testing.T) {
			for _, tag := range words(t, document["ui_locales_supported"]) {
				if p := h.browser().authorize("ui_locales", tag); p.Header.Get("Content-Language") != tag {
					t.Errorf("%s: %s", tag, p.Header.Get("Content-Language"))
				}
			}
			if p := h.browser().authorize("ui_locales", "fr"); p.StatusCode != 200 || p.Header.Get("Content-Language") == "fr" {
				t.Errorf("fr: %d %s", p.StatusCode, p.Header.Get("Content-Language"))
			}
		},
		"claims_parameter_supported": func(t *testing.T) {
			_, info, _ := h.userinfo("GET", b.tokensFor("claims", `{"userinfo":{"email":null}}`).Access, nil)
			if document["claims_parameter_supported"] != true || info["email"] == nil {
				t.Errorf("got %v", info)
			}
		},
		"request_parameter_supported": func(t *testing.T) {
			if document["request_parameter_supported"] != false || b.authorize("request", "a.b.c").sentError(t, h) != "request_not_supported" {
				t.Error("not so")
			}
		},
		"request_uri_parameter_supported": func(t *testing.T) {
			if document["request_uri_parameter_supported"] != false || b.authorize("request_uri", "https://wiki.example.com/r").sentError(t, h) != "request_uri_not_supported" {
				t.Error("not so")
			}
		},
		"authorization_response_iss_parameter_supported": func(t *testing.T) {
			if document["authorization_response_iss_parameter_supported"] != true || b.authorize().sent(t).Query().Get("iss") != h.url {
				t.Error("not so")
			}
			b.authorize("response_type", "").sentError(t, h) // looks for iss
		},
		// The deliveries themselves are server.TestOIDC2….
		"backchannel_logout_supported": func(t *testing.T) {
			if document["backchannel_logout_supported"] != true {
				t.Error("not so")
			}
		},
		"backchannel_logout_session_supported": func(t *testing.T) {
			if document["backchannel_logout_session_supported"] != true || !h.claims(b.tokensFor().ID, "jwt").Has("sid") {
				t.Error("no sid")
			}
		},
	}
	for member := range document {
		prove, ok := known[member]
		if !ok {
			t.Errorf("%s is advertised and nothing proves it", member)
			continue
		}
		t.Run(member, prove)
	}
	for member := range known {
		if _, ok := document[member]; !ok {
			t.Errorf("%s works and is not advertised", member)
		}
	}
	// What is not advertised does nothing.
	plain := b.tokensFor()
	for name, pairs := range map[string][]string{
		"DPoP": {"dpop_jkt", strings.Repeat("A", 43)}, "RAR": {"authorization_details", `[{"type":"x"}]`}, "display": {"display", "wap"},
	} {
		got := b.tokensFor(pairs...)
		if got.Scope != plain.Scope || h.claims(got.Access, "at+jwt").Has("cnf") || strings.Contains(got.Body, "authorization_details") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, path := range []string{"/oauth/register", "/connect/register", "/oauth/checksession", "/oauth/frontchannel", "/.well-known/webfinger", "/oauth/bc-authorize"} {
		if p := b.get(path); p.StatusCode != 404 {
			t.Errorf("%s: %d", path, p.StatusCode)
		}
	}
	h.clock.Advance(time.Second)
}

func noSymmetric(t *testing.T, value any) {
	t.Helper()
	for _, name := range words(t, value) {
		if strings.HasPrefix(name, "HS") || strings.EqualFold(name, "none") {
			t.Errorf("%s is listed", name)
		}
	}
}
