package token_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://orders.example.com"
)

var ctx = context.Background()

var errAway = errors.New("the store is away")

// faulty is a store of which single methods fail, or whose sessions are seen
// as changed: there is no way yet to log out.
type faulty struct {
	*store.DB
	fail    string
	session func(*iam.Session)
}

func (f *faulty) err(name string) error {
	if f.fail == name {
		return errAway
	}
	return nil
}

func (f *faulty) TokenRevoked(ctx context.Context, id iam.TokenID) (bool, error) {
	revoked, err := f.DB.TokenRevoked(ctx, id)
	return revoked, errors.Join(err, f.err("TokenRevoked"))
}

func (f *faulty) Grant(ctx context.Context, id iam.GrantID) (iam.Grant, error) {
	if err := f.err("Grant"); err != nil {
		return iam.Grant{}, err
	}
	return f.DB.Grant(ctx, id)
}

func (f *faulty) Session(ctx context.Context, id iam.SessionID) (iam.Session, error) {
	if err := f.err("Session"); err != nil {
		return iam.Session{}, err
	}
	s, err := f.DB.Session(ctx, id)
	if f.session != nil {
		f.session(&s)
	}
	return s, err
}

func (f *faulty) Client(ctx context.Context, id iam.ClientID) (iam.Client, error) {
	if err := f.err("Client"); err != nil {
		return iam.Client{}, err
	}
	return f.DB.Client(ctx, id)
}

func (f *faulty) User(ctx context.Context, id iam.UserID) (iam.User, error) {
	if err := f.err("User"); err != nil {
		return iam.User{}, err
	}
	return f.DB.User(ctx, id)
}

func (f *faulty) APIs(ctx context.Context) ([]iam.API, error) {
	if err := f.err("APIs"); err != nil {
		return nil, err
	}
	return f.DB.APIs(ctx)
}

// desk is the service on a real database with one user, a client that acts for
// the user, another one like it, and a service account.
type desk struct {
	*token.Service
	t      *testing.T
	db     *faulty
	ring   *keys.Service
	clock  *storetest.Clock
	pool   *jwks.Pool
	user   iam.User
	portal iam.Client
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, clock: storetest.NewClock()}
	db, err := store.Open(ctx, storetest.Config(t, t.TempDir(), d.clock.Now))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	d.db = &faulty{DB: db}
	must(t, db.CreateAPI(ctx, iam.API{Name: "orders", Audience: audience, Algorithm: "ES256", Scopes: []iam.Scope{{Name: "read"}}}))
	must(t, db.CreateRole(ctx, iam.Role{Name: "viewer", Scopes: []iam.RoleScope{{API: "orders", Scope: "read"}}}))
	d.user = iam.User{ID: iam.NewUserID(), Username: "ada", Roles: []string{"viewer"}}
	must(t, db.CreateUser(ctx, d.user))
	for _, id := range []iam.ClientID{"portal", "other"} {
		must(t, db.CreateClient(ctx, iam.Client{ID: id, Type: iam.Confidential, SecretHash: []byte{1}, GrantTypes: []string{iam.AuthorizationCode, iam.RefreshToken}, Scopes: []string{"read", "offline_access"}, DefaultScopes: []string{"read"}}))
	}
	must(t, db.CreateClient(ctx, iam.Client{ID: "robot", Type: iam.Service, SecretHash: []byte{1}, GrantTypes: []string{iam.ClientCredentials}, Roles: []string{"viewer"}}))
	kek, _ := keys.GenerateKEK()
	d.ring, err = keys.Open(ctx, keys.Config{Records: db, KEKs: []keys.KEK{kek}, Now: d.clock.Now})
	must(t, err)
	d.pool, err = jwks.NewPool(jwks.PoolConfig{HTTPClient: http.DefaultClient, Now: d.clock.Now})
	must(t, err)
	d.Service, err = token.New(token.Config{Issuer: issuer, People: d.db, Grants: d.db, Revocations: d.db, Requests: d.db, Proofs: d.db, ClientKeys: d.pool, Signer: d.ring, Sealer: d.ring, Grace: iam.RefreshGrace, Now: d.clock.Now})
	must(t, err)
	d.portal, d.user = d.client("portal"), d.again()
	return d
}

func (d *desk) client(id iam.ClientID) iam.Client {
	d.t.Helper()
	c, err := d.db.DB.Client(ctx, id)
	must(d.t, err)
	return c
}

func (d *desk) again() iam.User {
	d.t.Helper()
	u, err := d.db.DB.User(ctx, d.user.ID)
	must(d.t, err)
	return u
}

func challengeOf(verifier string) oauth.PKCEChallenge {
	digest := sha256.Sum256([]byte(verifier))
	return oauth.PKCEChallenge(base64.RawURLEncoding.EncodeToString(digest[:]))
}

func (d *desk) login(scopes ...string) oauth.TokenResponse {
	d.t.Helper()
	code, err := d.IssueCode(ctx, d.portal, token.Login{User: d.again(), At: d.clock.Now(), ACR: "pwd", AMR: []string{"pwd"}}, oauth.ChallengeRequest{Scopes: scopes, Challenge: challengeOf(verifier)})
	must(d.t, err)
	response, err := d.Redeem(ctx, d.portal, oauth.TokenRequest{Code: code, Verifier: verifier})
	must(d.t, err)
	return response
}

func (d *desk) active(raw string) bool {
	d.t.Helper()
	answer, err := d.Introspect(ctx, d.portal, raw)
	must(d.t, err)
	if said, _ := json.Marshal(answer); !answer.Active && string(said) != `{"active":false}` {
		d.t.Errorf("a dead token's answer says more than that: %s", said)
	}
	return answer.Active
}

// sign signs claims of a real token, some of them changed, with our own key:
// only the claims are wrong. A nil value takes one away.
func (d *desk) sign(raw string, change map[string]any) string {
	d.t.Helper()
	parsed, err := jose.Parse(raw)
	must(d.t, err)
	claims := map[string]any{}
	must(d.t, json.Unmarshal(parsed.Payload(), &claims))
	for _, name := range []string{"exp", "iat", "auth_time", "ue", "ce"} {
		if n, ok := claims[name].(float64); ok {
			claims[name] = int64(n)
		}
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	signer, err := d.ring.Signer(ctx, "ES256")
	must(d.t, err)
	signed, err := signer.Sign("at+jwt", claims)
	must(d.t, err)
	return signed
}

// Claims that do not fit the grant, the user or the client are a dead token,
// whoever signed them.
func TestIntrospectionComparesTheClaims(t *testing.T) {
	d := newDesk(t)
	good := d.login().AccessToken
	robot, err := d.ClientCredentials(ctx, d.client("robot"), oauth.TokenRequest{})
	must(t, err)
	u := d.again()
	u.Roles = nil
	must(t, d.db.UpdateUser(ctx, u, iam.EndAccess)) // epoch 2
	must(t, d.db.UpdateClient(ctx, d.client("portal"), iam.EndAccess))
	fresh := map[string]any{"ue": 2, "ce": 2}
	if !d.active(d.sign(good, fresh)) {
		t.Fatal("a token of today's epochs is not live: this test would see nothing")
	}
	for name, change := range map[string]map[string]any{
		"C16 an older epoch of the user":   {"ue": 1},
		"C16 no epoch of the user":         {"ue": nil},
		"C16 an epoch that is a text":      {"ue": "2"},
		"C16 an older epoch of the client": {"ce": 1},
		"C16 no epoch of the client":       {"ce": nil},
		"C9 bound to a key":                {"cnf": map[string]any{"jkt": "x"}},
		"C4 two audiences":                 {"aud": []string{audience, "https://stock.example.com"}},
		"no audience":                      {"aud": nil},
		"another subject":                  {"sub": "usr_other"},
		"the client as the subject":        {"sub": "portal"},
		"another client":                   {"client_id": "other"},
		"no client":                        {"client_id": nil},
		"no grant":                         {"gid": nil},
		"a grant that is not there":        {"gid": "gr_none"},
		"a grant that is a number":         {"gid": 7},
		"roles that are a text":            {"roles": "viewer"},
		"a scope that is a list":           {"scope": []string{"read"}},
		"another issuer":                   {"iss": issuer + "/"},
		"no expiry":                        {"exp": nil},
	} {
		claims := maps.Clone(fresh)
		maps.Copy(claims, change)
		if d.active(d.sign(good, claims)) {
			t.Errorf("%s: the token is live", name)
		}
	}
	if d.active(d.sign(robot.AccessToken, map[string]any{"client_id": "portal", "ue": 2, "ce": 2})) {
		t.Error("a service account's grant serves another client")
	}
	asRobot, err := d.Introspect(ctx, d.client("robot"), d.sign(robot.AccessToken, map[string]any{"sub": string(d.user.ID)}))
	if err != nil || asRobot.Active {
		t.Errorf("T57: a service account's token with a user as subject: %+v %v", asRobot, err)
	}
}

// The end of the session ends its tokens, for whoever asks us (C12).
func TestC12IntrospectionKnowsTheSession(t *testing.T) {
	d := newDesk(t)
	bound, free := d.login(), d.login("read", "offline_access")
	for name, change := range map[string]func(*iam.Session){
		"ended":   func(s *iam.Session) { s.EndedAt = d.clock.Now() },
		"idle":    func(s *iam.Session) { s.IdleExpires = d.clock.Now() },
		"expired": func(s *iam.Session) { s.Expires = d.clock.Now() },
	} {
		d.db.session = nil
		if !d.active(bound.AccessToken) || !d.active(bound.RefreshToken) {
			t.Fatal("the tokens are not live to begin with")
		}
		d.db.session = change
		if d.active(bound.AccessToken) || d.active(bound.RefreshToken) {
			t.Errorf("%s: the tokens of the session are live", name)
		}
		if !d.active(free.AccessToken) || !d.active(free.RefreshToken) {
			t.Errorf("%s: tokens with offline_access belong to no session", name)
		}
	}
}

// A store that does not answer is an error, never a verdict.
func TestAStoreThatIsAwayIsNoVerdict(t *testing.T) {
	d := newDesk(t)
	login := d.login()
	code, err := d.IssueCode(ctx, d.portal, token.Login{User: d.again(), At: d.clock.Now()}, oauth.ChallengeRequest{Challenge: challengeOf(verifier)})
	must(t, err)
	for name, tries := range map[string]map[string]func() error{
		"TokenRevoked": {"introspect": func() error { return second(d.Introspect(ctx, d.portal, login.AccessToken)) }},
		"Grant": {"introspect": func() error { return second(d.Introspect(ctx, d.portal, login.AccessToken)) },
			"introspect a refresh token": func() error { return second(d.Introspect(ctx, d.portal, login.RefreshToken)) },
			"revoke":                     func() error { return d.Revoke(ctx, d.portal, login.RefreshToken) },
			"refresh": func() error {
				return second(d.Refresh(ctx, d.portal, oauth.TokenRequest{RefreshToken: login.RefreshToken}))
			}},
		"Session": {"introspect": func() error { return second(d.Introspect(ctx, d.portal, login.AccessToken)) }},
		"Client": {"introspect": func() error { return second(d.Introspect(ctx, d.portal, login.AccessToken)) },
			"refresh": func() error {
				return second(d.Refresh(ctx, d.portal, oauth.TokenRequest{RefreshToken: login.RefreshToken}))
			},
			"prove": func() error { return second(d.Authenticate(ctx, oauth.Credentials{ClientID: "portal"})) }},
		"User": {"introspect": func() error { return second(d.Introspect(ctx, d.portal, login.AccessToken)) },
			"introspect a refresh token": func() error { return second(d.Introspect(ctx, d.portal, login.RefreshToken)) },
			"refresh": func() error {
				return second(d.Refresh(ctx, d.portal, oauth.TokenRequest{RefreshToken: login.RefreshToken}))
			},
			"redeem": func() error {
				return second(d.Redeem(ctx, d.portal, oauth.TokenRequest{Code: code, Verifier: verifier}))
			}},
		"APIs": {"introspect": func() error { return second(d.Introspect(ctx, d.client("other"), login.AccessToken)) },
			"refresh": func() error {
				return second(d.Refresh(ctx, d.portal, oauth.TokenRequest{RefreshToken: login.RefreshToken}))
			},
			"redeem": func() error {
				return second(d.Redeem(ctx, d.portal, oauth.TokenRequest{Code: code, Verifier: verifier}))
			}},
	} {
		for act, try := range tries {
			d.db.fail = name
			var refusal *oauth.Error
			if err := try(); !errors.Is(err, errAway) || errors.As(err, &refusal) {
				t.Errorf("%s while %s fails: %v", act, name, err)
			}
		}
	}
	d.db.fail = ""
	if !d.active(login.AccessToken) {
		t.Error("the token did not survive")
	}
	if _, err := d.Redeem(ctx, d.portal, oauth.TokenRequest{Code: code, Verifier: verifier}); err != nil {
		t.Errorf("the code did not survive: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A refresh token is live for its own client, in its current generation.
func TestIntrospectRefreshTokens(t *testing.T) {
	d := newDesk(t)
	first := d.login("read", "offline_access").RefreshToken
	answer, err := d.Introspect(ctx, d.portal, first)
	if err != nil || !answer.Active || answer.Username != "ada" || answer.Scope != "read offline_access" || answer.TokenType != "refresh_token" || answer.ClientID != "portal" || answer.Subject != string(d.user.ID) {
		t.Errorf("got %+v %v", answer, err)
	}
	if other, err := d.Introspect(ctx, d.client("other"), first); err != nil || other.Active {
		t.Errorf("another client: %+v %v", other, err)
	}
	for _, forged := range []string{first + "A", first + "\n", first[:len(first)-4] + "\r\n" + first[len(first)-4:], "v2" + first[2:]} {
		if d.active(forged) {
			t.Errorf("%q is live", forged)
		}
	}
	old := strings.Split(first, ".")[1]
	if _, err := d.ring.Rotate(ctx, "test", iam.RefreshKeys, "HS256", keys.AtOnce); err != nil {
		t.Fatal(err)
	}
	d.clock.Advance(time.Second)
	next, err := d.Refresh(ctx, d.portal, oauth.TokenRequest{RefreshToken: first})
	must(t, err)
	if d.active(first) || !d.active(next.RefreshToken) {
		t.Error("only the current generation is live")
	}
	parts := strings.Split(next.RefreshToken, ".")
	message := "v1." + old + "." + parts[2] + "." + parts[3]
	mac, err := d.ring.RefreshMAC(iam.KeyID(old), message)
	must(t, err)
	if d.active(message + "." + base64.RawURLEncoding.EncodeToString(mac)) {
		t.Error("C13: a token with the old mac key is live")
	}
	u := d.again()
	u.Disabled = true
	must(t, d.db.UpdateUser(ctx, u, iam.EndNothing))
	if d.active(next.RefreshToken) || d.active(next.AccessToken) {
		t.Error("a disabled user's tokens are live")
	}
}

// The epoch of a service account moved while its token was made: it is read
// again, and a store that is away meanwhile is no refusal.
func TestAServiceAccountThatMovedOn(t *testing.T) {
	d := newDesk(t)
	stale := d.client("robot")
	stale.Epoch = 0
	if _, err := d.ClientCredentials(ctx, stale, oauth.TokenRequest{}); err != nil {
		t.Errorf("read again: %v", err)
	}
	d.db.fail = "Client"
	var refusal *oauth.Error
	if _, err := d.ClientCredentials(ctx, stale, oauth.TokenRequest{}); !errors.Is(err, errAway) || errors.As(err, &refusal) {
		t.Errorf("the store is away: %v", err)
	}
	d.db.fail = ""
	now := d.client("robot")
	now.Disabled = true
	must(t, d.db.UpdateClient(ctx, now, iam.EndNothing))
	if _, err := d.ClientCredentials(ctx, stale, oauth.TokenRequest{}); !errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidClient {
		t.Errorf("disabled meanwhile: %v", err)
	}
	must(t, d.db.DeleteClient(ctx, "robot"))
	if _, err := d.ClientCredentials(ctx, stale, oauth.TokenRequest{}); !errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidClient {
		t.Errorf("deleted meanwhile: %v", err)
	}
}

// A client that is disabled has no live tokens, even before they are ended.
func TestADisabledClientsTokensAreDead(t *testing.T) {
	d := newDesk(t)
	login := d.login("read", "offline_access")
	c := d.client("portal")
	c.Disabled = true
	must(t, d.db.UpdateClient(ctx, c, iam.EndNothing))
	if d.active(login.AccessToken) {
		t.Error("the access token is live")
	}
	var refusal *oauth.Error
	if _, err := d.Refresh(ctx, d.portal, oauth.TokenRequest{RefreshToken: login.RefreshToken}); !errors.As(err, &refusal) {
		t.Errorf("refresh: %v", err)
	}
	must(t, d.db.DeleteClient(ctx, "portal"))
	if _, err := d.Refresh(ctx, d.portal, oauth.TokenRequest{RefreshToken: login.RefreshToken}); !errors.As(err, &refusal) {
		t.Errorf("refresh for a client that was deleted after it proved itself: %v", err)
	}
}

// seal makes a code of any content, as only this server can.
func (d *desk) seal(content map[string]any) string {
	d.t.Helper()
	plaintext, err := json.Marshal(content)
	must(d.t, err)
	return d.sealRaw(string(plaintext))
}

func (d *desk) sealRaw(plaintext string) string {
	d.t.Helper()
	id, sealed, err := d.ring.SealCode([]byte(plaintext))
	must(d.t, err)
	return "v1." + string(id) + "." + base64.RawURLEncoding.EncodeToString(sealed)
}

// Each ingredient of a code is needed: whoever lacks one gets nothing and
// spends nothing (C10, C11).
func TestC10EveryIngredientOfACode(t *testing.T) {
	d := newDesk(t)
	content := func(change map[string]any) map[string]any {
		c := map[string]any{"id": iam.NewCodeID(), "c": "portal", "u": d.user.ID, "s": []string{"read"}, "p": challengeOf(verifier), "v": "challenge",
			"at": d.clock.Now().Unix(), "acr": "pwd", "amr": []string{"pwd"}, "ue": 1, "ce": 1, "x": d.clock.Now().Add(time.Minute).Unix()}
		maps.Copy(c, change)
		return c
	}
	const uri = "https://portal.example.com/cb"
	for name, tc := range map[string]struct {
		change   map[string]any
		uri      string
		verifier string
		ok       bool
	}{
		"challenge":                            {nil, "", verifier, true},
		"redirect":                             {map[string]any{"v": "", "ru": uri}, uri, verifier, true},
		"C11 no redirect_uri, not challenge":   {map[string]any{"v": ""}, "", verifier, false},
		"C11 another way, no redirect_uri":     {map[string]any{"v": "other"}, "", verifier, false},
		"the redirect_uri is missing":          {map[string]any{"v": "", "ru": uri}, "", verifier, false},
		"the redirect_uri is longer":           {map[string]any{"v": "", "ru": uri}, uri + "/", verifier, false},
		"a redirect_uri that the code has not": {nil, uri, verifier, false},
		"another client's":                     {map[string]any{"c": "other"}, "", verifier, false},
		"no challenge in the code":             {map[string]any{"p": ""}, "", verifier, false},
		"no verifier":                          {nil, "", "", false},
		"the challenge as verifier":            {nil, "", string(challengeOf(verifier)), false},
		"a user who is gone":                   {map[string]any{"u": "usr_gone"}, "", verifier, false},
		"an old epoch of the user":             {map[string]any{"ue": 0}, "", verifier, false},
		"an old epoch of the client":           {map[string]any{"ce": 0}, "", verifier, false},
		"an epoch that is yet to come":         {map[string]any{"ue": 2}, "", verifier, false},
		"expired":                              {map[string]any{"x": d.clock.Now().Unix() - 1}, "", verifier, false},
		"no expiry":                            {map[string]any{"x": 0}, "", verifier, false},
	} {
		whole := content(tc.change)
		_, err := d.Redeem(ctx, d.portal, oauth.TokenRequest{Code: d.seal(whole), Verifier: tc.verifier, RedirectURI: tc.uri})
		var refusal *oauth.Error
		if tc.ok != (err == nil) || !tc.ok && (!errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidGrant) {
			t.Errorf("%s: %v", name, err)
		}
		if tc.ok {
			continue
		}
		good := content(map[string]any{"id": whole["id"]})
		if _, err := d.Redeem(ctx, d.portal, oauth.TokenRequest{Code: d.seal(good), Verifier: verifier}); err != nil {
			t.Errorf("%s: the code was spent: %v", name, err)
		}
	}
}

// Who may not use a grant type gets nothing by it.
func TestGrantTypes(t *testing.T) {
	d := newDesk(t)
	login := d.login("read", "offline_access")
	code, err := d.IssueCode(ctx, d.portal, token.Login{User: d.again(), At: d.clock.Now()}, oauth.ChallengeRequest{Challenge: challengeOf(verifier)})
	must(t, err)
	c := d.portal
	c.GrantTypes = nil
	for name, err := range map[string]error{
		"code":               second(d.Redeem(ctx, c, oauth.TokenRequest{Code: code, Verifier: verifier})),
		"refresh":            second(d.Refresh(ctx, c, oauth.TokenRequest{RefreshToken: login.RefreshToken})),
		"client credentials": second(d.ClientCredentials(ctx, c, oauth.TokenRequest{})),
	} {
		var refusal *oauth.Error
		if !errors.As(err, &refusal) || refusal.Code != oauth.CodeUnauthorizedClient {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.GrantTypes = []string{iam.AuthorizationCode}
	once, err := d.Redeem(ctx, c, oauth.TokenRequest{Code: code, Verifier: verifier})
	if err != nil || once.RefreshToken != "" {
		t.Errorf("C12: a client without the grant type got a refresh token: %v", err)
	}
}

// A code has one form: nothing that is longer, cut, renamed or wrapped is one.
func TestC10TheFormOfACode(t *testing.T) {
	d := newDesk(t)
	issue := func(scopes ...string) (string, error) {
		return d.IssueCode(ctx, d.portal, token.Login{User: d.again(), At: d.clock.Now()}, oauth.ChallengeRequest{Scopes: scopes, Challenge: challengeOf(verifier)})
	}
	code, err := issue()
	must(t, err)
	parts := strings.Split(code, ".")
	big := d.seal(map[string]any{"id": iam.NewCodeID(), "c": "portal", "u": d.user.ID, "p": challengeOf(verifier), "v": "challenge", "ue": 1, "ce": 1,
		"x": d.clock.Now().Add(time.Minute).Unix(), "padding": strings.Repeat("x", 2000)})
	for name, raw := range map[string]string{
		"another version":         "v2." + parts[1] + "." + parts[2],
		"no version":              parts[1] + "." + parts[2],
		"a fourth part":           code + ".x",
		"a line break at the end": code + "\n",
		"a line break inside":     code[:len(code)-8] + "\r\n" + code[len(code)-8:],
		"padding":                 code + "=",
		"more than 2 KiB":         big,
		"not JSON":                d.sealRaw("x"),
		"empty":                   "",
		"two dots":                "..",
	} {
		var refusal *oauth.Error
		if _, err := d.Redeem(ctx, d.portal, oauth.TokenRequest{Code: raw, Verifier: verifier}); !errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidGrant {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.Redeem(ctx, d.portal, oauth.TokenRequest{Code: code, Verifier: verifier}); err != nil {
		t.Errorf("the code itself: %v", err)
	}
	var scopes []string
	var defined []iam.Scope
	for n := range 20 {
		name := strings.Repeat(string(rune('a'+n)), 100)
		scopes, defined = append(scopes, name), append(defined, iam.Scope{Name: name})
	}
	must(t, d.db.CreateAPI(ctx, iam.API{Name: "wordy", Audience: "https://wordy.example.com", Algorithm: "ES256", Scopes: defined}))
	d.portal.Scopes = append(d.portal.Scopes, scopes...)
	var refusal *oauth.Error
	if long, err := issue(scopes...); !errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidRequest {
		t.Errorf("a code of %d bytes was issued: %v", len(long), err)
	}
}

// Who may ask at the challenge endpoint, whatever the directory let pass (C11).
func TestC11EachConditionOfTheChallenge(t *testing.T) {
	d := newDesk(t)
	good := iam.Client{ID: "native", Type: iam.Public, FirstParty: true, Challenge: true, GrantTypes: []string{iam.AuthorizationCode}, Scopes: []string{"read"}, DefaultScopes: []string{"read"}}
	for name, change := range map[string]func(*iam.Client){
		"":                      func(*iam.Client) {},
		"the switch is off":     func(c *iam.Client) { c.Challenge = false },
		"a third party":         func(c *iam.Client) { c.FirstParty = false },
		"without the grant":     func(c *iam.Client) { c.GrantTypes = []string{iam.RefreshToken} },
		"a confidential client": func(c *iam.Client) { c.Type, c.SecretHash = iam.Confidential, []byte{1} },
		"disabled":              func(c *iam.Client) { c.Disabled = true },
	} {
		c := good
		c.ID = iam.ClientID("native-" + string(iam.NewCodeID()))
		change(&c)
		must(t, d.db.CreateClient(ctx, c))
		_, err := d.CheckChallenge(ctx, oauth.ChallengeRequest{ClientID: string(c.ID)})
		if (name == "") != (err == nil) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func (d *desk) kinds() map[string]int {
	d.t.Helper()
	events, err := d.db.Events(ctx, 0, 1000)
	must(d.t, err)
	count := map[string]int{}
	for _, e := range events {
		count[e.Kind]++
	}
	return count
}

// One refresh is one rotation and one row of the journal. Without grace an
// answer that was lost is not asked for again: that would look like reuse.
func TestC13OneRefreshIsOneRotation(t *testing.T) {
	d := newDesk(t)
	login := d.login("read", "offline_access")
	next, err := d.Refresh(ctx, d.portal, oauth.TokenRequest{RefreshToken: login.RefreshToken})
	must(t, err)
	if k := d.kinds(); k[iam.EventRefreshed] != 1 || k[iam.EventRefreshRepeated] != 0 {
		t.Errorf("the journal has %v", k)
	}
	lossy := &lossy{DB: d.db.DB}
	lossy.lose.Store(1)
	strict, err := token.New(token.Config{Issuer: issuer, People: d.db, Grants: lossy, Revocations: d.db, Requests: d.db, Proofs: d.db, ClientKeys: d.pool, Signer: d.ring, Sealer: d.ring, Now: d.clock.Now})
	must(t, err)
	if _, err := strict.Refresh(ctx, d.portal, oauth.TokenRequest{RefreshToken: next.RefreshToken}); !errors.Is(err, errLost) {
		t.Errorf("got %v", err)
	}
	if k := d.kinds(); k[iam.EventRefreshReused] != 0 {
		t.Errorf("our own retry counts as reuse: %v", k)
	}
}

// The row of a grant that ended long ago is gone: its tokens are refused, not an error.
func TestAGrantThatWasCleanedAway(t *testing.T) {
	d := newDesk(t)
	login := d.login("read", "offline_access")
	d.clock.Advance(iam.GrantAbsolute - time.Hour)
	if _, err := d.db.Clean(ctx, 100); err != nil {
		t.Fatal(err)
	}
	d.clock.Advance(48 * time.Hour)
	if _, err := d.db.Clean(ctx, 100); err != nil {
		t.Fatal(err)
	}
	var refusal *oauth.Error
	if _, err := d.Refresh(ctx, d.portal, oauth.TokenRequest{RefreshToken: login.RefreshToken}); !errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidGrant {
		t.Errorf("refresh: %v", err)
	}
	if err := d.Revoke(ctx, d.portal, login.RefreshToken); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if d.active(login.RefreshToken) {
		t.Error("it is live")
	}
}
