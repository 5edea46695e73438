package feed_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// The example in the documentation is what a reader in another language is
// tried on first: it must be right.
func TestC19_TheDocumentedExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/revocation-feed.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	block := func(begin string) string {
		t.Helper()
		_, after, ok := strings.Cut(text, begin)
		inside, _, closed := strings.Cut(after, "```")
		if !ok || !closed {
			t.Fatalf("no block %q", begin)
		}
		return inside
	}
	keys, skipped, err := jose.ParseKeySet([]byte("{\"keys\"" + block("```json\n{\"keys\"")))
	if err != nil || len(skipped) > 0 || keys.Len() != 1 {
		t.Fatal(err, skipped)
	}
	e, err := feed.NewEvents(strings.NewReader(block("```\nid:"))).Next()
	if err != nil || e.Name != "delta" {
		t.Fatal(e.Name, err)
	}
	m, err := feed.Open(e.Data, keys, issuer)
	if err != nil || m.N != 18 || m.Seq != 4711 || m.Salt != feed.SaltOf(keys.Keys()[0].ID()) || len(m.Entries) != 2 {
		t.Fatalf("%+v %v", m, err)
	}
	var set feed.Set
	set.Reset(m.Salt, m.Entries...)
	for _, tc := range []struct {
		subject feed.Subject
		want    bool
	}{
		{feed.Subject{SessionID: "ses_7q2hzk5m3x4vbnpd6rwt2yajce"}, true},
		{feed.Subject{SessionID: "ses_7q2hzk5m3x4vbnpd6rwt2yajcf"}, false},
		{feed.Subject{UserID: "usr_d4kq7m2zx5vbh3npt6rwyajc2e", UserEpoch: 2}, true},
		{feed.Subject{UserID: "usr_d4kq7m2zx5vbh3npt6rwyajc2e", UserEpoch: 3}, false},
	} {
		if _, revoked := set.Revoked(set.Marks(tc.subject)); revoked != tc.want {
			t.Errorf("%+v: %v, want %v", tc.subject, revoked, tc.want)
		}
	}
	// The payload is shown as it is signed, and the figures in the text are its own.
	parsed, err := jose.Parse(e.Data)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := jose.ParseClaims([]byte(block("```json\n")))
	if err != nil {
		t.Fatal(err)
	}
	var a, b map[string]any
	claims, err := parsed.Claims()
	if err != nil || claims.Decode(&a) != nil || shown.Decode(&b) != nil || asJSON(t, a) != asJSON(t, b) {
		t.Errorf("shown %v, signed %v", b, a)
	}
	for _, figure := range []string{"0fd170dcffcbc374", "d9270b2bb4abe6d6", "1795608660"} {
		if !strings.Contains(text, figure) {
			t.Errorf("%s is not in the text", figure)
		}
	}
	if m.Salt.Print(feed.Session, "ses_7q2hzk5m3x4vbnpd6rwt2yajce") != 0x0fd170dcffcbc374 || m.Salt.Print(feed.User, "usr_d4kq7m2zx5vbh3npt6rwyajc2e") != 0xd9270b2bb4abe6d6 || m.Entries[0].Drop != 1795608660 {
		t.Error("the figures are wrong")
	}
}
