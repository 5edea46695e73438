package login_test

import (
	"context"
	"errors"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"strings"
	"testing"
	"time"
)

func TestPasswordRules(t *testing.T) {
	for _, tc := range []struct {
		name, password, refused string
	}{
		{"five words", "lantern moat crow bell rope", ""},
		{"no capitals, digits or signs needed", "aaronsleepsinthegarden", ""},
		{"any script", "пятнадцать букв здесь", ""},
		{"spaces count", "x q m v z p l r", ""},
		{"fifteen", "qzmkxvwplrtnbds", ""},
		{"fourteen", "qzmkxvwplrtnbd", "at least 15"},
		{"256", strings.Repeat("lantern moat ", 19) + "123456789", ""},
		{"257", strings.Repeat("x y", 86), "at most 256"},
		{"a known phrase", "correct horse battery staple", "attackers try first"},
		{"in another case", "CorrectHorseBatteryStaple", "attackers try first"},
		{"one letter", "aaaaaaaaaaaaaaaa", "repeats"},
		{"a short piece", "abcabcabcabcabc", "repeats"},
		{"a known password twice", "passwordpassword", "attackers try first"},
		{"a known password three times", "letmeinletmeinletmein", "repeats"},
		{"digits in order", "123456789012345", "attackers try first"},
		{"the alphabet", "abcdefghijklmnop", "runs along"},
		{"the keyboard", "qwertyuiopasdfghjk", "runs along"},
		{"backwards", "zyxwvutsrqponmlkj", "runs along"},
		{"the name and a little", "adalovelace12345", "little more than the word"},
		{"the product and a little", "gatehouse-123456", "little more than the word"},
		{"a known password and digits", "superman9182734", "attackers try first"},
		{"a known password between signs", "!!!ilovefootball7", "attackers try first"},
		{"a known password in look-alikes", "1l0v3y0uf0r3v3r!", "attackers try first"},
		{"a known password backwards", "drowssapterces!!", "attackers try first"},
		{"a word and a long run", "monkey123456789012", "attackers try first"},
		{"a word and nothing but one digit", "dragon0000000000", "attackers try first"},
		{"three words", "monkey dragon football", "well-known pieces"},
		{"two words, a year, a run", "SummerMonkey2024123", "well-known pieces"},
		{"runs in several rows", "qwertyasdfgh1234567", "well-known pieces"},
		{"months and years", "january2024march2025", "well-known pieces"},
		{"words in another language", "парольлюбовьпривет", "well-known pieces"},
		{"two names and more of one's own", "michael at the lighthouse door", ""},
		{"four of the common words", "monkey sugar dragon velvet", ""},
		{"a name, twice", "adalovelaceadalovelace", "little more than the word"},
		{"a name in look-alikes", "4d4l0v3l4c3-1815", "little more than the word"},
		{"a name backwards", "ecalevolada12345", "little more than the word"},
		{"name and host together", "adalovelace.example", "little more than the word"},
		{"a name in a sentence", "adalovelace wrote notes on engines", ""},
		{"fifteen random digits", "839201746583921", ""},
		{"not UTF-8", "\xff\xfe" + strings.Repeat("x", 20), "UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := login.CheckPassword(tc.password, "adalovelace", "ada@example.com", "")
			if tc.refused == "" && err != nil || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("got %v, want %q", err, tc.refused)
			}
		})
	}
	for range 1000 {
		if p := login.GeneratePassphrase(); login.CheckPassword(p) != nil || len(p) != 29 {
			t.Fatalf("the generated passphrase %s is refused", p)
		}
	}
}

func TestTheSameCharactersAreTheSamePassword(t *testing.T) {
	p := login.NewPasswords()
	ctx := context.Background()
	hash, err := p.Hash(ctx, "Ångström lantern moat") // composed
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{
		"Ångström lantern moat": true, "A\u030angstro\u0308m lantern moat": true, "Angstrom lantern moat": false, "Ångström lantern moat ": false, "Ångström lantern moa": false, "": false,
	} {
		if ok, err := p.Verify(ctx, hash, password); err != nil || ok != want {
			t.Errorf("%q: %v %v, want %v", password, ok, err, want)
		}
	}
	if again, _ := p.Hash(ctx, "Ångström lantern moat"); again == hash {
		t.Error("two hashes of one password are equal: no salt")
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("parameters of %s", hash)
	}
}

// A stored hash that is empty, foreign or hostile never matches, and never
// takes gigabytes.
func TestUnreadableHashesNeverMatch(t *testing.T) {
	p := login.NewPasswords()
	for _, hash := range []string{"", "x", "$argon2id$v=19$m=19456,t=2,p=1$$", "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "$argon2id$v=19$m=19456,t=0,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "$2y$10$abcdefghijklmnopqrstuv"} {
		if ok, err := p.Verify(context.Background(), hash, ""); ok || err != nil {
			t.Errorf("%q: %v %v", hash, ok, err)
		}
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	p := login.NewPasswordsFor(1, 50*time.Millisecond)
	ctx := context.Background()
	results := make(chan error, 40)
	for range 40 {
		go func() {
			_, err := p.Hash(ctx, "lantern moat crow bell rope")
			results <- err
		}()
	}
	busy := 0
	for range 40 {
		if err := <-results; errors.Is(err, login.ErrBusy) {
			busy++
		} else if err != nil {
			t.Error(err)
		}
	}
	if busy == 0 || busy == 40 {
		t.Errorf("%d of 40 were told to come back; want some, not all", busy)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	hold := make(chan struct{})
	go func() { p.Hash(ctx, "lantern moat crow bell rope"); close(hold) }()
	time.Sleep(5 * time.Millisecond)
	if _, err := p.Hash(gone, "x"); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone: %v", err)
	}
	<-hold
}
