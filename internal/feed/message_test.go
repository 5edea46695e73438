package feed_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

var everyKind = []feed.Entry{entry(feed.Token, "j1", 0), entry(feed.Grant, "gr_1", 0), entry(feed.Session, "ses_1", 0),
	entry(feed.User, "usr_1", 4), entry(feed.Client, "shop", 1<<40), entry(feed.Key, "k1", 0), entry(feed.All, "restore", 0)}

// C19: what was signed reads back the same.
func TestC19_MessagesReadBack(t *testing.T) {
	for _, m := range []feed.Message{snapshot(3, everyKind...), snapshot(0), delta(4, 1.25, everyKind...), delta(5, 2), heartbeat(5, 3),
		with(snapshot(7, everyKind...), func(m *feed.Message) { m.Part, m.Parts, m.From = 2, 9, 41 })} {
		got, err := feed.Open(sign(t, m).Data, keySet(), issuer)
		if err != nil {
			t.Fatalf("%s: %v", m.Type, err)
		}
		byKind := func(a, b feed.Entry) int { return int(a.Kind) - int(b.Kind) }
		slices.SortFunc(got.Entries, byKind)
		slices.SortFunc(m.Entries, byKind)
		if !got.At.Equal(m.At) || !slices.Equal(got.Entries, m.Entries) {
			t.Errorf("%s: entries %v at %s, want %v at %s", m.Type, got.Entries, got.At, m.Entries, m.At)
		}
		got.At, got.Entries, m.Entries = m.At, nil, nil
		if g, w := asJSON(t, got), asJSON(t, m); g != w {
			t.Errorf("%s: got %s, want %s", m.Type, g, w)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A message is a security event token (RFC 8417): typ, iss, iat, jti, events.
func TestRFC8417_Envelope(t *testing.T) {
	parsed, err := jose.Parse(sign(t, delta(4, 1)).Data)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := parsed.Claims()
	if err != nil || parsed.Type() != "secevent+jwt" || claims.Issuer != issuer || !claims.IssuedAt.Equal(at(1)) || claims.ID == "" || claims.Has("exp") {
		t.Errorf("typ %s, claims %s, %v", parsed.Type(), parsed.Payload(), err)
	}
	if first, second := jtiOf(t, heartbeat(4, 1)), jtiOf(t, heartbeat(4, 2)); first == second {
		t.Errorf("two heartbeats have the jti %s", first)
	}
}

func jtiOf(t *testing.T, m feed.Message) string {
	t.Helper()
	parsed, err := jose.Parse(sign(t, m).Data)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := parsed.Claims()
	if err != nil {
		t.Fatal(err)
	}
	return claims.ID
}

// A million entries go out in parts that each are a token of 16 KiB at most.
func TestC19_SplitFitsTokens(t *testing.T) {
	long := "https://auth.example.com/" + strings.Repeat("x", 1000)
	for _, kind := range []feed.Kind{feed.Token, feed.User} {
		list := entries(kind, 3000, start)
		total := 0
		for _, piece := range feed.Split(list) {
			total += len(piece)
			if _, err := snapshot(1, piece...).Sign(feedKey(), long); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		if total != len(list) {
			t.Errorf("%s: %d of %d entries", kind, total, len(list))
		}
		if _, err := snapshot(1, list...).Sign(feedKey(), issuer); err == nil {
			t.Errorf("%d entries of kind %s were signed in one message", len(list), kind)
		}
	}
	if pieces := feed.Split(nil); len(pieces) != 1 || len(pieces[0]) != 0 {
		t.Errorf("nothing is split into %d pieces, want one empty", len(pieces))
	}
}

const uri = "https://github.com/gatehouse-auth/gatehouse/revocation/"

// C19: each thing that a message must not be, by name.
func TestC19_MessagesRefused(t *testing.T) {
	good := func() map[string]any {
		return map[string]any{"stream": "s1", "n": 1, "at": start.UnixMilli(), "seq": 1, "salt": salt.String(), "revoked": map[string]any{}}
	}
	one := func(name string, body any) map[string]any {
		return map[string]any{"iss": issuer, "iat": start.Unix(), "jti": "1", "events": map[string]any{uri + name: body}}
	}
	but := func(name string, value any) map[string]any {
		b := good()
		if value == nil {
			delete(b, name)
		} else {
			b[name] = value
		}
		return one("delta", b)
	}
	record := base64.RawURLEncoding.EncodeToString(make([]byte, 12))
	for _, tc := range []struct {
		name   string
		typ    string
		signer jose.Signer
		claims any
		want   error
	}{
		{name: "good", claims: one("delta", good())},
		{name: "members that a later version adds", claims: but("more", []int{1})},
		{name: "an access token", typ: "at+jwt", claims: one("delta", good()), want: feed.ErrForeign},
		{name: "a logout token", typ: "logout+jwt", claims: one("delta", good()), want: feed.ErrForeign},
		{name: "a key that is not the feed's", signer: otherKey(t), claims: one("delta", good()), want: feed.ErrUnknownKey},
		{name: "another issuer", claims: with2(one("delta", good()), "iss", "https://evil.example"), want: feed.ErrForeign},
		{name: "the issuer with a slash", claims: with2(one("delta", good()), "iss", issuer+"/"), want: feed.ErrForeign},
		{name: "without issuer", claims: with2(one("delta", good()), "iss", nil), want: feed.ErrForeign},
		{name: "an event of another vendor", claims: map[string]any{"iss": issuer, "events": map[string]any{"https://schemas.openid.net/secevent/caep/event-type/session-revoked": good()}}, want: feed.ErrForeign},
		{name: "no event", claims: map[string]any{"iss": issuer, "events": map[string]any{}}, want: feed.ErrForeign},
		{name: "two events", claims: map[string]any{"iss": issuer, "events": map[string]any{uri + "delta": good(), uri + "heartbeat": good()}}, want: feed.ErrForeign},
		{name: "events is a list", claims: map[string]any{"iss": issuer, "events": []string{uri}}, want: feed.ErrForeign},
		{name: "an event of a later version", claims: one("pardon", good()), want: feed.ErrUnknown},
		{name: "a kind of a later version", claims: but("revoked", map[string]any{"device": "x"}), want: feed.ErrUnknown},
		{name: "a kind in capitals", claims: but("revoked", map[string]any{"JTI": record}), want: feed.ErrUnknown},
		{name: "the kind none", claims: but("revoked", map[string]any{"none": record}), want: feed.ErrUnknown},
		{name: "the event is a string", claims: one("delta", "x"), want: feed.ErrResync},
		{name: "the event is null", claims: one("delta", nil), want: feed.ErrResync},
		{name: "without n", claims: but("n", nil), want: feed.ErrResync},
		{name: "n negative", claims: but("n", -1), want: feed.ErrResync},
		{name: "n a string", claims: but("n", "1"), want: feed.ErrResync},
		{name: "n a fraction", claims: but("n", 1.5), want: feed.ErrResync},
		{name: "n beyond what JSON readers hold", claims: but("n", int64(1)<<53), want: feed.ErrResync},
		{name: "without at", claims: but("at", nil), want: feed.ErrResync},
		{name: "without seq", claims: but("seq", nil), want: feed.ErrResync},
		{name: "without stream", claims: but("stream", nil), want: feed.ErrResync},
		{name: "a stream with a line break", claims: but("stream", "a\nb"), want: feed.ErrResync},
		{name: "a stream too long", claims: but("stream", strings.Repeat("x", 65)), want: feed.ErrResync},
		{name: "without salt", claims: but("salt", nil), want: feed.ErrResync},
		{name: "a salt of zeros", claims: but("salt", strings.Repeat("A", 22)), want: feed.ErrResync},
		{name: "a short salt", claims: but("salt", "AAAA"), want: feed.ErrResync},
		{name: "a salt with padding", claims: but("salt", salt.String()+"=="), want: feed.ErrResync},
		{name: "without revoked", claims: but("revoked", nil), want: feed.ErrResync},
		{name: "revoked is a list", claims: but("revoked", []string{}), want: feed.ErrResync},
		{name: "records are a list", claims: but("revoked", map[string]any{"jti": []string{}}), want: feed.ErrResync},
		{name: "records of 11 bytes", claims: but("revoked", map[string]any{"jti": record[:15]}), want: feed.ErrResync},
		{name: "records with a line break", claims: but("revoked", map[string]any{"jti": record + "\n"}), want: feed.ErrResync},
		{name: "records in the other alphabet", claims: but("revoked", map[string]any{"jti": "++++" + record[4:]}), want: feed.ErrResync},
		{name: "a fingerprint of zero", claims: but("revoked", map[string]any{"jti": record}), want: feed.ErrResync},
		{name: "a user without an epoch", claims: but("revoked", map[string]any{"user": record}), want: feed.ErrResync},
		{name: "a snapshot without parts", claims: one("snapshot", good()), want: feed.ErrResync},
		{name: "part 2 of 1", claims: one("snapshot", with2(good(), "part", 2, "parts", 1, "from", 0)), want: feed.ErrResync},
		{name: "part 0", claims: one("snapshot", with2(good(), "part", 0, "parts", 1, "from", 0)), want: feed.ErrResync},
		{name: "too many parts", claims: one("snapshot", with2(good(), "part", 1, "parts", 1<<20, "from", 0)), want: feed.ErrResync},
		{name: "a snapshot without from", claims: one("snapshot", with2(good(), "part", 1, "parts", 1)), want: feed.ErrResync},
		{name: "from negative", claims: one("snapshot", with2(good(), "part", 1, "parts", 1, "from", -1)), want: feed.ErrResync},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.typ == "" {
				tc.typ = "secevent+jwt"
			}
			if tc.signer.IsZero() {
				tc.signer = feedKey()
			}
			raw, err := tc.signer.Sign(tc.typ, tc.claims)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := feed.Open(raw, keySet(), issuer); !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// with2 sets members of a copy; a nil value removes one.
func with2(claims map[string]any, pairs ...any) map[string]any {
	for i := 0; i < len(pairs); i += 2 {
		if name := pairs[i].(string); pairs[i+1] == nil {
			delete(claims, name)
		} else {
			claims[name] = pairs[i+1]
		}
	}
	return claims
}

// The intake is that of tokens: what two readers could read differently is
// refused, and a changed byte is.
func TestC19_MessagesPassTheIntake(t *testing.T) {
	raw := sign(t, delta(1, 1)).Data
	parts := strings.Split(raw, ".")
	confused, err := jose.NewSecret(jose.HS256, []byte(strings.Repeat("k", 64)))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		raw  string
		keys jose.KeySet
	}{
		"empty":             {"", keySet()},
		"not a token":       {"{}", keySet()},
		"too large":         {strings.Repeat("a", jose.MaxTokenBytes+1), keySet()},
		"other signature":   {parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), keySet()},
		"no signature":      {parts[0] + "." + parts[1] + ".", keySet()},
		"no keys":           {raw, jose.KeySet{}},
		"a secret as a key": {raw, jose.NewKeySet(confused)},
	} {
		if _, err := feed.Open(tc.raw, tc.keys, issuer); !errors.Is(err, feed.ErrForeign) {
			t.Errorf("%s: got %v, want ErrForeign", name, err)
		}
	}
}
