package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func (h *house) info(method, contentType, body string, header http.Header) answer {
	return h.do(method, "/oauth/userinfo", contentType, body, header)
}

func bearerOf(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

const formType = "application/x-www-form-urlencoded"

// withOpenID lets the app have ID tokens and userinfo.
func withOpenID(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	_, err := h.parts.Directory.EditClient(context.Background(), "test", "app", func(c *iam.Client) error {
		c.Scopes = append(c.Scopes, "openid", "email")
		c.Origins = []string{appOrigin}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAT2Userinfo(t *testing.T) {
	h := withOpenID(t)
	good := h.login("ada", "openid orders:read").str("access_token")
	for _, tc := range []struct {
		name, method, kind, body string
		header                   http.Header
		status                   int
		code, challenge          string
	}{
		{"a header", "GET", "", "", bearerOf(good), 200, "", ""},
		{"a header, HEAD", "HEAD", "", "", bearerOf(good), 200, "", ""},
		{"a header, POST without a body", "POST", "", "", bearerOf(good), 200, "", ""},
		{"a form", "POST", formType, "access_token=" + good, nil, 200, "", ""},
		{"a form with a charset", "POST", formType + "; charset=UTF-8", "access_token=" + good, nil, 200, "", ""},
		{"nothing", "GET", "", "", nil, 401, "invalid_token", `Bearer realm="userinfo"`},
		{"T70 in the URL", "GET?access_token=" + good, "", "", nil, 401, "invalid_token", `Bearer realm="userinfo"`},
		{"a form and the URL", "POST?x=y", formType, "access_token=" + good, nil, 400, "invalid_request", `error="invalid_request"`},
		{"T71 twice in the form", "POST", formType, "access_token=" + good + "&access_token=" + good, nil, 400, "invalid_request", `error="invalid_request"`},
		{"T71 header and form", "POST", formType, "access_token=" + good, bearerOf(good), 400, "invalid_request", `error="invalid_request"`},
		{"T71 two headers", "GET", "", "", http.Header{"Authorization": {"Bearer " + good, "Bearer " + good}}, 400, "invalid_request", `error="invalid_request"`},
		{"T72 two spaces", "GET", "", "", http.Header{"Authorization": {"Bearer  " + good}}, 400, "invalid_request", `error="invalid_request"`},
		{"T72 a tab", "GET", "", "", http.Header{"Authorization": {"Bearer\t" + good}}, 400, "invalid_request", `error="invalid_request"`},
		{"T72 Basic", "GET", "", "", http.Header{"Authorization": {"Basic " + good}}, 401, "invalid_token", `Bearer realm="userinfo"`},
		{"another content type", "POST", "application/json", `{"access_token":"` + good + `"}`, nil, 401, "invalid_token", `Bearer realm="userinfo"`},
		{"rubbish", "GET", "", "", bearerOf("x.y.z"), 401, "invalid_token", `error="invalid_token"`},
		{"T63 cut short", "GET", "", "", bearerOf(good[:len(good)-1]), 401, "invalid_token", `error="invalid_token"`},
		{"no openid", "GET", "", "", bearerOf(h.login("ada", "orders:read").str("access_token")), 403, "insufficient_scope", `scope="openid"`},
		{"a service account", "GET", "", "", bearerOf(h.service().str("access_token")), 403, "insufficient_scope", `error="insufficient_scope"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			method, query, found := strings.Cut(tc.method, "?")
			path := "/oauth/userinfo"
			if found {
				path += "?" + query
			}
			a := h.do(method, path, tc.kind, tc.body, tc.header)
			if a.status != tc.status || a.str("error") != tc.code || !strings.Contains(a.header.Get("WWW-Authenticate"), tc.challenge) {
				t.Errorf("got %d %s %s", a.status, a.header.Get("WWW-Authenticate"), a.body)
			}
			if tc.challenge == `Bearer realm="userinfo"` && strings.Contains(a.header.Get("WWW-Authenticate"), "error") {
				t.Errorf("RFC 6750 §3.1: no error code without a token: %s", a.header.Get("WWW-Authenticate"))
			}
		})
	}
	if a := h.do("DELETE", "/oauth/userinfo", "", "", bearerOf(good)); a.status != 405 {
		t.Errorf("DELETE: %d", a.status)
	}
}

// T62: what ended says nothing about its user any more.
func TestT62UserinfoOfWhatEnded(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(h *house, login answer) error{
		"user disabled": func(h *house, _ answer) error {
			return h.parts.Directory.SetUser(ctx, "test", h.ada.ID, directory.Disabled)
		},
		"user deleted": func(h *house, _ answer) error { return h.parts.Directory.DeleteUser(ctx, "test", h.ada.ID) },
		"password changed": func(h *house, _ answer) error {
			return h.parts.Directory.SetPassword(ctx, "test", h.ada.ID, "tufim-galod-benuc-rahil")
		},
		"client disabled": func(h *house, _ answer) error {
			return h.parts.Directory.SetClient(ctx, "test", "app", directory.Disabled)
		},
		"token revoked": func(h *house, login answer) error {
			h.post("/oauth/revoke", values("client_id", "app", "token", login.str("access_token")))
			return nil
		},
		"grant revoked": func(h *house, login answer) error {
			h.post("/oauth/revoke", values("client_id", "app", "token", login.str("refresh_token")))
			return nil
		},
		"expired": func(h *house, _ answer) error { h.clock.Advance(iam.AccessTokenLife); return nil },
	} {
		h := withOpenID(t)
		login := h.login("ada", "openid")
		if a := h.info("GET", "", "", bearerOf(login.str("access_token"))); a.status != 200 || a.str("sub") != string(h.ada.ID) {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		if err := end(h, login); err != nil {
			t.Fatal(err)
		}
		if a := h.info("GET", "", "", bearerOf(login.str("access_token"))); a.status != 401 || a.str("error") != "invalid_token" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// C21: a page of the client reads the answer and also why there is none; a page
// of anybody else reads nothing.
func TestC21Userinfo(t *testing.T) {
	h := withOpenID(t)
	good := h.login("ada", "openid").str("access_token")
	from := func(origin, token string) answer {
		return h.info("GET", "", "", http.Header{"Origin": {origin}, "Authorization": {"Bearer " + token}})
	}
	for _, tc := range []struct{ name, origin, token, want string }{
		{"its page", appOrigin, good, appOrigin}, {"its page, a dead token", appOrigin, "x.y.z", appOrigin},
		{"another page", evilOrigin, good, ""}, {"another page, a dead token", evilOrigin, "x.y.z", ""}, {"null", "null", good, ""},
	} {
		a := from(tc.origin, tc.token)
		if a.header.Get("Access-Control-Allow-Origin") != tc.want || a.header.Get("Vary") != "Origin" || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", tc.name, a.status, a.header)
		}
	}
	for origin, want := range map[string]string{appOrigin: appOrigin, evilOrigin: ""} {
		if a := h.preflight("/oauth/userinfo", origin, "GET"); a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("preflight of %s: %d %v", origin, a.status, a.header)
		}
	}
	for _, path := range []string{"/oauth/authorize", "/oauth/par", "/oauth/device_authorization", "/oauth/logout", "/login", "/consent", "/device", "/account", "/continue"} {
		if a := h.preflight(path, appOrigin, "POST"); a.status != 405 && a.status != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("C21 %s has CORS: %d %v", path, a.status, a.header)
		}
	}
}
