package token_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// bareDesk is a service with real keys on an empty database.
func bareDesk(f *testing.F) *token.Service {
	f.Helper()
	db, err := store.Open(ctx, store.Config{Dir: f.TempDir()})
	check(f, err)
	f.Cleanup(func() { db.Close() })
	kek, _ := keys.GenerateKEK()
	ring, err := keys.Open(ctx, keys.Config{Records: db, KEKs: []keys.KEK{kek}})
	check(f, err)
	pool, err := jwks.NewPool(jwks.PoolConfig{HTTPClient: http.DefaultClient})
	check(f, err)
	s, err := token.New(token.Config{Issuer: issuer, People: db, Grants: db, Revocations: db, Requests: db, Proofs: db, ClientKeys: pool, Signer: ring, Sealer: ring, Grace: iam.RefreshGrace})
	check(f, err)
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that an error is the client's invalid_grant, or for a code
// that cannot be made its invalid_scope, and nothing that looks like a fault of
// ours.
func refused(t *testing.T, err error) {
	t.Helper()
	var refusal *oauth.Error
	if !errors.As(err, &refusal) || refusal.Code != "invalid_grant" && refusal.Code != "invalid_request" {
		t.Fatalf("a refusal without its code: %v", err)
	}
}

// cutAndPut replaces a part of s, as a client that edits a token might.
func cutAndPut(s, put string, at, cut uint16) string {
	from := int(at) % (len(s) + 1)
	to := min(from+int(cut), len(s))
	return s[:from] + put + s[to:]
}

// spareBit is a text whose last character differs in its lowest bit: it decodes
// to the same bytes where that bit is spare and the decoder does not look.
func spareBit(s string) string {
	const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(s) - 1
	return s[:last] + string(base64url[strings.IndexByte(base64url, s[last])^1])
}

// FuzzCode: a code opens to what was sealed, and nothing that differs from it
// in a single character opens at all (C10).
func FuzzCode(f *testing.F) {
	s := bareDesk(f)
	const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	f.Add("portal", "orders:read openid", "https://orders.example.com", "https://app.example.com/cb", "", uint16(0), uint16(0))
	f.Add("portal", "", "", "", "v2", uint16(0), uint16(2))
	f.Add("p", "a", "r", "", ".", uint16(3), uint16(0))
	f.Add("p", "a", "r", "", "\n", uint16(90), uint16(0))
	f.Add("p", "a", "r", "", "=", uint16(65535), uint16(0))
	f.Add("p", "a", "r", "", "A", uint16(100), uint16(1))
	f.Add(strings.Repeat("c", 2000), "a", "r", "", "", uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, client, scopes, resource, redirect, put string, at, cut uint16) {
		if !utf8.ValidString(client + " " + scopes + " " + resource + " " + redirect) {
			return // a form never holds it
		}
		code := token.Code{ID: iam.NewCodeID(), Client: iam.ClientID(client), User: "usr_1", Scopes: strings.Fields(scopes), Resource: resource, RedirectURI: redirect,
			Challenge: challenge, AuthTime: 1, ACR: "pwd", AMR: []string{"pwd"}, UserEpoch: int64(at), ClientEpoch: int64(cut), Expires: 1 << 40}
		raw, err := s.Seal(code)
		if err != nil {
			refused(t, err)
			return
		}
		if len(raw) > 2<<10 {
			t.Fatalf("a code of %d bytes", len(raw))
		}
		opened, err := s.Open(raw)
		if err != nil || !opened.Equal(code) {
			t.Fatalf("sealed %+v, opened %+v %v", code, opened, err)
		}
		for _, forged := range []string{spareBit(raw), cutAndPut(raw, put, at, cut), put} {
			if forged == raw {
				continue
			}
			if _, err := s.Open(forged); err == nil {
				t.Fatalf("%q opens, made from %q", forged, raw)
			}
			_, err := s.Open(forged)
			refused(t, err)
		}
	})
}

// FuzzRefreshToken: a refresh token has one text, and nothing but that text is
// read (C13).
func FuzzRefreshToken(f *testing.F) {
	s := bareDesk(f)
	f.Add("gr_abc", int64(1), "", uint16(0), uint16(0))
	f.Add("gr_abc", int64(1<<62), "v1", uint16(0), uint16(2))
	f.Add("gr_abc", int64(0), "", uint16(0), uint16(0))
	f.Add("gr_abc", int64(-1), "0", uint16(30), uint16(0))
	f.Add("gr.abc", int64(1), "+", uint16(60), uint16(0))
	f.Add("", int64(1), "\r\n", uint16(70), uint16(0))
	f.Add("gr_abc", int64(1), "B", uint16(65535), uint16(1))
	f.Fuzz(func(t *testing.T, grant string, gen int64, put string, at, cut uint16) {
		raw, err := s.MakeRefresh(grant, gen)
		if err != nil {
			t.Fatal(err)
		}
		gotGrant, gotGen, again, err := s.ReadRefresh(raw)
		whole := gen >= 1 && len(raw) <= 512 && !strings.ContainsAny(grant, ".\r\n")
		if whole != (err == nil) || whole && (gotGrant != grant || gotGen != gen || again != raw) {
			t.Fatalf("%q is read as %q %d, written again as %q, %v", raw, gotGrant, gotGen, again, err)
		}
		for _, forged := range []string{spareBit(raw), cutAndPut(raw, put, at, cut), put} {
			if forged == raw {
				continue
			}
			_, _, _, err := s.ReadRefresh(forged)
			if err == nil {
				t.Fatalf("%q is read, made from %q", forged, raw)
			}
			refused(t, err)
		}
	})
}
