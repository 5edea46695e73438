package login_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
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
		{"not UTF-8", "\xff\xfe" + strings.Repeat("x", 20), "UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := login.CheckPassword(tc.password, "adalovelace", "ada", "")
			if tc.refused == "" && err != nil || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("got %v, want %q", err, tc.refused)
			}
		})
	}
	for range 100 {
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

// users is one account, and counts what is asked of it.
type users struct {
	user   iam.User
	events []iam.Event
	reads  int
}

func (u *users) UserByName(_ context.Context, name string) (iam.User, error) {
	u.reads++
	if name != u.user.Username {
		return iam.User{}, iam.ErrNotFound
	}
	return u.user, nil
}

func (u *users) Record(_ context.Context, events ...iam.Event) error {
	u.events = append(u.events, events...)
	return nil
}

// Every attempt costs exactly one lookup, one hash and one journal row.
func TestEachAttemptCostsTheSame(t *testing.T) {
	p := login.NewPasswords()
	hash, err := p.Hash(context.Background(), "lantern moat crow")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, username, password string
		disabled                 bool
		ok                       bool
	}{
		{"right", "ada", "lantern moat crow", false, true},
		{"wrong", "ada", "x", false, false},
		{"unknown", "eve", "lantern moat crow", false, false},
		{"impossible name", "e v e", "lantern moat crow", false, false},
		{"disabled", "ada", "lantern moat crow", true, false},
		{"too long", "ada", strings.Repeat("x", 5000), false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := &users{user: iam.User{ID: "usr_1", Username: "ada", PasswordHash: hash, Disabled: tc.disabled}}
			s, err := login.New(login.Config{Users: u, Passwords: p})
			if err != nil {
				t.Fatal(err)
			}
			before := p.Operations()
			_, err = s.Password(context.Background(), "app", tc.username, tc.password)
			if tc.ok != (err == nil) || !tc.ok && !errors.Is(err, login.ErrDenied) {
				t.Errorf("got %v", err)
			}
			if n := p.Operations() - before; n != 1 || u.reads != 1 || len(u.events) != 1 {
				t.Errorf("%d hash operations, %d reads, %d journal rows; want one of each", n, u.reads, len(u.events))
			}
			for _, e := range u.events {
				if strings.Contains(e.Detail["reason"], tc.password) || e.Detail["username"] != "" {
					t.Errorf("the journal holds what was typed: %v", e)
				}
			}
		})
	}
}
