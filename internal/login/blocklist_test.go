package login_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
)

func with(list *login.Blocklist, words ...string) *login.Passwords {
	return login.NewPasswordsWith(login.PasswordConfig{Blocklist: func() (*login.Blocklist, error) { return list, nil }, Words: words})
}

func TestTheOperatorsBlocklist(t *testing.T) {
	list, err := login.ReadBlocklist(strings.NewReader("Tannenzapfen im Wald\r\nnotlongenough7\nshort\n\xff\xfe\xfd\xfe\xff\xfe\xfd\xfe\n\ncastle-of-otranto\ncastle of otranto\n"))
	if err != nil || list.Len() != 3 {
		t.Fatalf("%d entries, %v", list.Len(), err)
	}
	p := with(list, "auth.quaystone.example")
	for password, refused := range map[string]string{
		"Tannenzapfen im Wald": "this installation refuses", "tannenzapfen-im-wald": "this installation refuses", "TannenzapfenImWald!1!": "this installation refuses", "74nn3nz4pf3n im wald": "this installation refuses",
		"notlongenough7!!": "this installation refuses", "castle of otranto": "this installation refuses", "tannenzapfen im garten": "", "short and some other words": "",
		"quaystone-123456": "little more than", "quaystone has nine green doors": "",
	} {
		err := p.Check(password)
		var invalid *iam.Invalid
		if refused == "" && err != nil || refused != "" && (!errors.As(err, &invalid) || !strings.Contains(err.Error(), refused)) {
			t.Errorf("%q: got %v, want %q", password, err, refused)
		}
	}
}

func TestABlocklistThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("short\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(dir, "none"): "no such file", empty: "holds no password", dir: "directory"} {
		if _, err := login.OpenBlocklist(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "blocklist") {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if _, err := login.ReadBlocklist(strings.NewReader("a password of some length\n" + strings.Repeat("x", 70_000))); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a line without an end: %v", err)
	}
	broken := login.NewPasswordsWith(login.PasswordConfig{Blocklist: func() (*login.Blocklist, error) { return nil, errors.New("gone") }})
	if err := broken.Check("lantern moat crow bell rope"); err == nil || err.Error() != "gone" {
		t.Errorf("a list that cannot be read lets everything through: %v", err)
	}
}

// A million lines take eight megabytes to keep.
func TestABlocklistIsSmall(t *testing.T) {
	path := writeList(t, 1_000_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	list, err := login.OpenBlocklist(path)
	if err != nil || list.Len() != 1_000_000 {
		t.Fatalf("%d entries, %v", list.Len(), err)
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := after.HeapAlloc - before.HeapAlloc; grown > 9<<20 {
		t.Errorf("%d entries take %d bytes", list.Len(), grown)
	}
	t.Logf("read in %s", took)
	runtime.KeepAlive(list)
}

func writeList(t testing.TB, lines int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for n := range lines {
		fmt.Fprintf(w, "Password number %d\n", n)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return path
}

func BenchmarkBlocklist(b *testing.B) {
	path := writeList(b, 10_000_000)
	for range b.N {
		if _, err := login.OpenBlocklist(path); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzCheckPassword(f *testing.F) {
	for _, seed := range []string{"lantern moat crow bell rope", "qwertyuiop12345", "ﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁﬁ", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", strings.Repeat("abc1", 64)} {
		f.Add(seed, "ada")
	}
	f.Fuzz(func(t *testing.T, password, word string) {
		login.CheckPassword(password, word)
	})
}

// The rules are applied before anybody has proven anything, so they are cheap.
func BenchmarkCheckPassword(b *testing.B) {
	for name, password := range map[string]string{
		"usual": "lantern moat crow bell rope", "runs": strings.Repeat("abcdefghijklmnopqrstuvwxyz", 9), "letters": strings.Repeat("abcdefgh", 31) + "x", "words": strings.Repeat("monkeydragon", 20) + "xyzzy", "letters that repeat": strings.Repeat("a", 255) + "b",
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				login.CheckPassword(password, "adalovelace", "ada@example.com")
			}
		})
	}
}
