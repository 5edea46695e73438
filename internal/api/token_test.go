package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

func TestC3ClaimsOfAUser(t *testing.T) {
	h := newHouse(t)
	raw := h.login("ada", "").str("access_token")
	token, err := jose.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if token.Type() != "at+jwt" || token.Algorithm() != jose.ES256 {
		t.Errorf("got typ %s alg %s", token.Type(), token.Algorithm())
	}
	claims := claimsOf(t, raw)
	want := []string{"acr", "amr", "aud", "auth_time", "ce", "client_id", "exp", "gid", "iat", "iss", "jti", "roles", "scope", "sid", "sub", "tenant", "ue"}
	if got := slices.Sorted(maps.Keys(claims)); !slices.Equal(got, want) {
		t.Errorf("got claims %v, want %v", got, want)
	}
	if claims["sub"] != string(h.ada.ID) || claims["tenant"] != "t1" || claims["acr"] != "pwd" || claims["exp"].(float64)-claims["iat"].(float64) != 600 {
		t.Errorf("got %v", claims)
	}
}

func TestC3ClaimsOfAServiceAccount(t *testing.T) {
	h := newHouse(t)
	a := h.service()
	claims := claimsOf(t, a.str("access_token"))
	want := []string{"aud", "ce", "client_id", "exp", "gid", "iat", "iss", "jti", "roles", "scope", "sub"}
	if got := slices.Sorted(maps.Keys(claims)); !slices.Equal(got, want) {
		t.Errorf("got claims %v, want %v", got, want)
	}
	if claims["sub"] != "robot" || claims["aud"] != audience || claims["scope"] != "orders:read" {
		t.Errorf("got %v", claims)
	}
	if a.str("refresh_token") != "" || a.str("token_type") != "Bearer" || a.json["expires_in"] != float64(600) || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s %v", a.body, a.header)
	}
	if second := claimsOf(t, h.service().str("access_token")); second["gid"] != claims["gid"] || second["jti"] == claims["jti"] {
		t.Error("a service account has one standing grant, and each token its own id")
	}
}

func TestClientAuthentication(t *testing.T) {
	h := newHouse(t)
	const form = "application/x-www-form-urlencoded"
	basic := func(id, secret string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}}
	}
	grant := values("grant_type", "client_credentials").Encode()
	for _, tc := range []struct {
		name   string
		body   string
		header http.Header
		status int
		code   string
	}{
		{"client_secret_basic", grant, basic("robot", h.serviceSecret), 200, ""},
		{"client_secret_post", values("grant_type", "client_credentials", "client_id", "robot", "client_secret", h.serviceSecret).Encode(), nil, 200, ""},
		{"lower-case scheme", grant, http.Header{"Authorization": {"basic " + base64.StdEncoding.EncodeToString([]byte("robot:"+h.serviceSecret))}}, 200, ""},
		{"a wrong secret", grant, basic("robot", h.serviceSecret+"x"), 401, "invalid_client"},
		{"the start of the secret", grant, basic("robot", h.serviceSecret[:len(h.serviceSecret)-1]), 401, "invalid_client"},
		{"no secret", values("grant_type", "client_credentials", "client_id", "robot").Encode(), nil, 401, "invalid_client"},
		{"nobody", grant, basic("nobody", "x"), 401, "invalid_client"},
		{"no client", grant, nil, 401, "invalid_client"},
		{"both methods", values("grant_type", "client_credentials", "client_secret", h.serviceSecret).Encode(), basic("robot", h.serviceSecret), 400, "invalid_request"},
		{"two ids", values("grant_type", "client_credentials", "client_id", "other").Encode(), basic("robot", h.serviceSecret), 400, "invalid_request"},
		{"two headers", grant, http.Header{"Authorization": append(basic("robot", h.serviceSecret)["Authorization"], "Basic eDp5")}, 400, "invalid_request"},
		{"an assertion that is no token", values("grant_type", "client_credentials", "client_id", "robot", "client_assertion", "x.y.z", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer").Encode(), nil, 401, "invalid_client"},
		{"a public client with a secret", values("grant_type", "refresh_token", "client_id", "app", "client_secret", "x", "refresh_token", "x").Encode(), nil, 401, "invalid_client"},
		{"a client that acts for users", values("grant_type", "client_credentials", "client_id", "portal", "client_secret", h.portalSecret).Encode(), nil, 400, "unauthorized_client"},
		{"a bearer header", grant, http.Header{"Authorization": {"Bearer x"}}, 401, "invalid_client"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := h.do(http.MethodPost, "/oauth/token", form, tc.body, tc.header)
			if tc.code == "" && a.status != 200 {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if tc.code != "" {
				wantError(t, a, tc.status, tc.code)
			}
			if a.status == 401 && a.header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate (RFC 6749 §5.2)")
			}
		})
	}
}

func TestADisabledClientIsNobody(t *testing.T) {
	h := newHouse(t)
	token := h.service().str("access_token")
	for _, id := range []iam.ClientID{"orders-api", "app", "robot"} {
		if err := h.parts.Directory.SetClient(context.Background(), "test", id, directory.Disabled); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, h.post("/oauth/introspect", values("client_id", "orders-api", "client_secret", h.readerSecret, "token", token)), 401, "invalid_client")
	wantError(t, h.post("/oauth/authorize-challenge", challengeForm("ada")), 401, "invalid_client")
	wantError(t, h.post("/oauth/revoke", values("client_id", "app", "token", token)), 401, "invalid_client")
	wantError(t, h.post("/oauth/token", values("grant_type", "client_credentials", "client_id", "robot", "client_secret", h.serviceSecret)), 401, "invalid_client")
}

func TestBadRequests(t *testing.T) {
	h := newHouse(t)
	const form = "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		name, method, path, kind, body string
		status                         int
		code                           string
	}{
		{"GET", "GET", "/oauth/token", "", "", 405, "invalid_request"},
		{"JSON", "POST", "/oauth/token", "application/json", "{}", 400, "invalid_request"},
		{"no content type", "POST", "/oauth/token", "", "grant_type=x", 400, "invalid_request"},
		{"parameters in the URL", "POST", "/oauth/token?client_secret=x", form, "grant_type=client_credentials", 400, "invalid_request"},
		{"a parameter twice", "POST", "/oauth/token", form, "grant_type=client_credentials&client_id=a&client_id=b", 400, "invalid_request"},
		{"a parameter twice, escaped", "POST", "/oauth/token", form, "grant_type=client_credentials&client_id=a&client%5Fid=b", 400, "invalid_request"},
		{"a broken escape", "POST", "/oauth/token", form, "grant_type=%zz", 400, "invalid_request"},
		{"not UTF-8", "POST", "/oauth/token", form, "grant_type=%ff", 400, "invalid_request"},
		{"a control character", "POST", "/oauth/token", form, "client_id=a%00&grant_type=client_credentials", 400, "invalid_request"},
		{"a semicolon", "POST", "/oauth/token", form, "grant_type=client_credentials;client_id=a", 400, "invalid_request"},
		{"too many parameters", "POST", "/oauth/token", form, strings.Repeat("a=b&", 100), 400, "invalid_request"},
		{"oversized", "POST", "/oauth/token", form, "a=" + strings.Repeat("x", 70_000), 400, "invalid_request"},
		{"empty", "POST", "/oauth/token", form, "", 401, "invalid_client"},
		{"no grant type", "POST", "/oauth/token", form, "client_id=app", 400, "invalid_request"},
		{"the password grant", "POST", "/oauth/token", form, "client_id=app&grant_type=password&username=ada&password=x", 400, "unsupported_grant_type"},
		{"the implicit grant", "POST", "/oauth/token", form, "client_id=app&grant_type=implicit", 400, "unsupported_grant_type"},
		{"a scope with a quote", "POST", "/oauth/token", form, "client_id=app&grant_type=client_credentials&scope=a%22b", 400, "invalid_scope"},
		{"two spaces in a scope", "POST", "/oauth/token", form, "client_id=app&grant_type=client_credentials&scope=a++b", 400, "invalid_scope"},
		{"a relative resource", "POST", "/oauth/token", form, "client_id=app&grant_type=client_credentials&resource=%2Fx", 400, "invalid_target"},
		{"a resource with a fragment", "POST", "/oauth/token", form, "client_id=app&grant_type=client_credentials&resource=https%3A%2F%2Fa%23b", 400, "invalid_target"},
		{"nothing here", "GET", "/nothing", "", "", 404, "not_found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := h.do(tc.method, tc.path, tc.kind, tc.body, nil)
			wantError(t, a, tc.status, tc.code)
			if a.str("request_id") == "" || a.str("request_id") != a.header.Get("X-Request-Id") {
				t.Error("an answer names its request")
			}
		})
	}
}

// The classes of tokens never stand in for each other (BCP-9): each acceptor
// takes its own only. The one exception is named: userinfo takes a user's
// access token for any API, if it has the scope openid (C4).
func TestBCP9TokenClassMatrix(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = "auth.example.com" // keys are fetched from here under the issuer's name
		h.parts.Handler.ServeHTTP(w, r)
	}))
	defer served.Close()
	g, err := guard.New(guard.Config{Issuer: issuer, Audience: audience, KeysURL: served.URL + "/.well-known/jwks.json"})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	other := newHouse(t)
	for _, x := range []*house{h, other} {
		_, err := x.parts.Directory.EditClient(ctx, "test", "app", func(c *iam.Client) error {
			c.Scopes = append(c.Scopes, "openid")
			c.GrantTypes = append(c.GrantTypes, iam.DeviceCode)
			c.RedirectURIs, c.IDTokenAlgorithm = []string{"https://app.example.com/cb"}, "ES256"
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	signer, err := h.parts.Keys.Signer(ctx, "ES256")
	if err != nil {
		t.Fatal(err)
	}
	login := h.login("ada", "openid orders:read")
	claims := claimsOf(t, login.str("access_token"))
	sign := func(kind string) string {
		raw, err := signer.Sign(kind, claims)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	app, err := h.parts.Store.Client(ctx, "app")
	if err != nil {
		t.Fatal(err)
	}
	logout, err := h.parts.Tokens.LogoutToken(ctx, app, iam.LogoutDelivery{UserID: h.ada.ID, SessionID: iam.SessionID(claims["sid"].(string))})
	if err != nil {
		t.Fatal(err)
	}
	pushed := h.post("/oauth/par", values("client_id", "app", "redirect_uri", "https://app.example.com/cb", "response_type", "code", "scope", "openid",
		"code_challenge", challengeOf(verifier), "code_challenge_method", "S256"))
	device := h.post("/oauth/device_authorization", values("client_id", "app", "scope", "openid"))
	flow := strings.SplitN(strings.SplitN(h.do("GET", "/device", "", "", nil).body, `name="flow" value="`, 2)[1], `"`, 2)[0]
	_, err = h.parts.Directory.EditClient(ctx, "test", "portal", func(c *iam.Client) error {
		c.FirstParty, c.Handoff = true, &iam.Handoff{URL: "https://portal.example.com/in", Mode: iam.HandoffForm}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	portal, err := h.parts.Store.Client(ctx, "portal")
	if err != nil {
		t.Fatal(err)
	}
	now := h.clock.Now()
	session, err := h.parts.Store.BeginSession(ctx, iam.NewSession{UserEpoch: h.ada.Epoch, Event: iam.Event{ID: iam.NewEventID(), Actor: "test"}, Session: iam.Session{ID: iam.NewSessionID(), UserID: h.ada.ID, AuthTime: now, ACR: "pwd",
		CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour), CookieHash: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	handoff, err := h.parts.Tokens.IssueHandoff(ctx, portal, session, h.ada, oauth.NonceHash("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	id := func(h *house) string { return h.login("ada", "openid").str("id_token") }
	tokens := map[string]string{
		"access": login.str("access_token"), "refresh": login.str("refresh_token"), "code": h.code("ada", ""), "id": login.str("id_token"), "logout": logout, "hand-off": handoff,
		"service access": h.service().str("access_token"), "pushed request": pushed.str("request_uri"), "device code": device.str("device_code"), "user code": device.str("user_code"), "flow": flow,
		"access claims as an ID token": sign("JWT"), "access claims as a logout token": sign("logout+jwt"), "access claims as a client assertion": sign("client-authentication+jwt"), "access claims as a hand-off": sign("handoff+jwt"),
		"access claims as a request object": sign("oauth-authz-req+jwt"), "access claims without a type": sign(""),
		"access of another audience": h.post("/oauth/token", redeemForm(h.code("ada", "stock:read"))).str("access_token"), "access without openid": h.login("ada", "orders:read").str("access_token"),
		"access of another issuer": other.login("ada", "openid orders:read").str("access_token"), "refresh of another issuer": other.login("ada", "").str("refresh_token"), "code of another issuer": other.code("ada", ""), "id of another issuer": id(other),
	}
	for class, raw := range tokens {
		if raw == "" {
			t.Fatalf("no %s to try", class)
		}
	}
	all := []string{"access", "access without openid", "service access"}
	acceptors := []struct {
		name  string
		takes []string
		try   func(raw string) bool
	}{
		{"guard", all, func(raw string) bool { _, err := g.Verify(ctx, raw); return err == nil }},
		{"introspection", all, h.active},
		{"introspection by the client", []string{"access", "access without openid", "access of another audience", "refresh"}, func(raw string) bool {
			i, err := h.parts.Tokens.Introspect(ctx, app, raw)
			return err == nil && i.Active
		}},
		{"userinfo", []string{"access"}, func(raw string) bool {
			return h.do("GET", "/oauth/userinfo", "", "", http.Header{"Authorization": {"Bearer " + raw}}).status == 200
		}},
		{"userinfo by form", []string{"access"}, func(raw string) bool { return h.post("/oauth/userinfo", values("access_token", raw)).status == 200 }},
		{"hint", []string{"id"}, func(raw string) bool { _, err := h.parts.Tokens.ReadHint(raw); return err == nil }},
		{"authorize with a hint", []string{"id"}, func(raw string) bool {
			form, fault := oauth.ParseForm(values("client_id", "app", "redirect_uri", "https://app.example.com/cb", "response_type", "code", "scope", "openid", "code_challenge", challengeOf(verifier), "code_challenge_method", "S256", "id_token_hint", raw).Encode())
			if fault != nil {
				t.Fatal(fault)
			}
			_, err := h.parts.Tokens.Push(ctx, app, "", form)
			return err == nil
		}},
		{"client assertion", nil, func(raw string) bool {
			return h.post("/oauth/token", values("grant_type", "client_credentials", "client_id", "robot", "client_assertion", raw,
				"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")).status == 200
		}},
		{"client secret", nil, func(raw string) bool {
			return h.post("/oauth/token", values("grant_type", "client_credentials", "client_id", "robot", "client_secret", raw)).status == 200
		}},
		{"hand-off redemption", []string{"hand-off"}, func(raw string) bool {
			return h.post("/oauth/handoff/redeem", values("client_id", "portal", "client_secret", h.portalSecret, "handoff", raw, "nonce", "nonce")).status == 200
		}},
		{"session cookie", nil, func(raw string) bool {
			a := h.do("GET", "/account", "", "", http.Header{"Cookie": {"__Host-gatehouse-session=" + raw}})
			return a.status == 200 && !strings.Contains(a.body, `action="/login"`)
		}},
		{"flow", nil, func(raw string) bool { // also the flow itself: this browser is another
			return h.do("GET", "/continue?flow="+url.QueryEscape(raw), "", "", nil).status != 400
		}},
		{"device page", []string{"user code"}, func(raw string) bool { _, _, err := h.parts.Tokens.FindDevice(ctx, raw); return err == nil }},
		{"request_uri", []string{"pushed request"}, func(raw string) bool {
			_, err := h.parts.Tokens.Pull(ctx, oauth.Where{ClientID: "app", RequestURI: raw})
			return err == nil
		}},
		{"device poll", []string{"device code"}, func(raw string) bool {
			return h.post("/oauth/token", values("grant_type", iam.DeviceCode, "client_id", "app", "device_code", raw)).str("error") == "authorization_pending"
		}},
		{"code redemption", []string{"code"}, func(raw string) bool { return h.post("/oauth/token", redeemForm(raw)).status == 200 }},
		{"refresh", []string{"refresh"}, func(raw string) bool { return h.refresh(raw).status == 200 }},
	}
	count := 0
	for _, acceptor := range acceptors {
		for class, raw := range tokens {
			count++
			if got, want := acceptor.try(raw), slices.Contains(acceptor.takes, class); got != want {
				t.Errorf("%s takes %s: %v, want %v", acceptor.name, class, got, want)
			}
		}
	}
	t.Logf("%d pairs", count)
}

func TestC15Revoke(t *testing.T) {
	h := newHouse(t)
	login := h.login("ada", "orders:read offline_access")
	access, refreshToken := login.str("access_token"), login.str("refresh_token")
	for _, form := range [][]string{{"client_id", "other-app", "token", access}, {"client_id", "other-app", "token", refreshToken}, {"client_id", "app", "token", "nonsense"}, {"client_id", "app", "token", "v1.a.b.c.d"}} {
		if a := h.post("/oauth/revoke", values(form...)); a.status != 200 || a.body != "" {
			t.Errorf("%v: %d %s: the answer must not tell whose token it was", form, a.status, a.body)
		}
	}
	if !h.active(access) {
		t.Fatal("another client ended the token")
	}
	h.post("/oauth/revoke", values("client_id", "app", "token", access, "token_type_hint", "refresh_token"))
	if h.active(access) {
		t.Error("a revoked access token is live")
	}
	next := h.refresh(refreshToken)
	if next.status != 200 {
		t.Fatalf("revoking an access token must not end the grant: %s", next.body)
	}
	h.post("/oauth/revoke", values("client_id", "app", "token", refreshToken)) // an old generation
	if h.active(next.str("access_token")) || h.refresh(next.str("refresh_token")).status == 200 {
		t.Error("revoking a refresh token ends the grant and its access tokens")
	}
	wantError(t, h.post("/oauth/revoke", values("client_id", "app")), 400, "invalid_request")
	wantError(t, h.post("/oauth/revoke", values("token", access)), 401, "invalid_client")
}

func TestC19WhoMayIntrospect(t *testing.T) {
	h := newHouse(t)
	orders := h.login("ada", "").str("access_token")
	stock := h.login("ada", "stock:read").str("access_token")
	own := h.service().str("access_token")
	ask := func(id, secret, token string) answer {
		return h.post("/oauth/introspect", values("client_id", id, "client_secret", secret, "token", token))
	}
	a := ask("orders-api", h.readerSecret, orders)
	if a.json["active"] != true || a.str("username") != "ada" || a.str("sub") != string(h.ada.ID) || a.str("aud") != audience || a.str("scope") != "orders:read orders:write" {
		t.Errorf("a reader of the audience: %s", a.body)
	}
	if a := ask("robot", h.serviceSecret, own); a.json["active"] != true {
		t.Errorf("the client it was issued to: %s", a.body)
	}
	for name, a := range map[string]answer{
		"a reader of another API": ask("orders-api", h.readerSecret, stock),
		"no reader":               ask("robot", h.serviceSecret, orders),
		"nonsense":                ask("orders-api", h.readerSecret, "x"),
		"cut":                     ask("orders-api", h.readerSecret, orders[:len(orders)-1]),
	} {
		if a.status != 200 || strings.TrimSpace(a.body) != `{"active":false}` {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	wantError(t, h.post("/oauth/introspect", values("client_id", "app", "token", orders)), 401, "invalid_client")
	h.clock.Advance(iam.AccessTokenLife)
	if h.active(orders) {
		t.Error("an expired token is live")
	}
}

func TestDiscoveryIsTruthful(t *testing.T) {
	h := newHouse(t)
	a := h.do("GET", "/.well-known/oauth-authorization-server", "", "", nil)
	b := h.do("GET", "/.well-known/openid-configuration", "", "", nil)
	if a.body != b.body || a.str("issuer") != issuer || a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("got %s", a.body)
	}
	for name := range a.json {
		path, isEndpoint := strings.CutPrefix(a.str(name), issuer)
		if isEndpoint && path != "" {
			if got := h.do("GET", path, "", "", nil).status; got == 404 {
				t.Errorf("%s is advertised and not there", name)
			}
		}
	}
	for _, grant := range a.json["grant_types_supported"].([]any) {
		got := h.post("/oauth/token", values("grant_type", fmt.Sprint(grant), "client_id", "app", "code", "x", "code_verifier", "x", "refresh_token", "x"))
		if got.str("error") == "unsupported_grant_type" {
			t.Errorf("%s is advertised and refused", grant)
		}
	}
	keys := h.do("GET", "/.well-known/jwks.json", "", "", nil)
	if set, skipped, err := jose.ParseKeySet([]byte(keys.body)); err != nil || len(skipped) > 0 || set.Len() != 2 {
		t.Errorf("JOSE-6: one active and one pending key: %v %v %s", skipped, err, keys.body)
	}
	for _, private := range []string{`"d"`, `"p"`, `"k"`, `"oct"`} {
		if strings.Contains(keys.body, private) {
			t.Errorf("JOSE-6: the published set holds %s", private)
		}
	}
}

func TestC22Host(t *testing.T) {
	h := newHouse(t)
	for host, want := range map[string]int{"auth.example.com": 200, "AUTH.example.com:443": 200, "evil.example.com": 421, "auth.example.com.evil.example": 421, "127.0.0.1": 421, "": 421} {
		r := httptest.NewRequest("GET", "/.well-known/jwks.json", nil)
		r.Host = host
		r.Header.Set("X-Forwarded-Host", "auth.example.com")
		w := httptest.NewRecorder()
		h.parts.Handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
	r := httptest.NewRequest("GET", "/healthz", nil)
	r.Host = "10.0.0.1:8080"
	w := httptest.NewRecorder()
	h.parts.Handler.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("health checks come by address: %d", w.Code)
	}
}

// After everything that this authority was made to do, no secret is in its log.
func TestNoSecretInTheLog(t *testing.T) {
	h := newHouse(t)
	login, service := h.login("ada", ""), h.service()
	code := h.code("ada", "")
	h.post("/oauth/token", redeemForm(code))
	h.post("/oauth/token", redeemForm(code))
	h.post("/oauth/token", with(redeemForm(code), "client_id", "other-app"))
	h.refresh(login.str("refresh_token"))
	h.clock.Advance(iam.RefreshGrace)
	h.refresh(login.str("refresh_token"))
	h.post("/oauth/authorize-challenge", with(challengeForm("ada"), "password", "hunter2-hunter2-hunter2"))
	h.post("/oauth/token", values("grant_type", "client_credentials", "client_id", "robot", "client_secret", h.serviceSecret+"x"))
	h.active(service.str("access_token"))
	log := h.log.String()
	if !strings.Contains(log, "request refused") {
		t.Fatal("the log is empty: this test would see nothing")
	}
	for name, secret := range map[string]string{"password": password, "wrong password": "hunter2", "client secret": h.serviceSecret, "access token": login.str("access_token")[60:100],
		"refresh token": login.str("refresh_token")[40:], "code": code[50:90], "verifier": verifier} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
	events, err := h.parts.Store.Events(context.Background(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	journal := fmt.Sprintf("%+v", events)
	for _, secret := range []string{password, h.serviceSecret, login.str("refresh_token"), "hunter2"} {
		if strings.Contains(journal, secret) {
			t.Error("the journal holds a secret")
		}
	}
}
