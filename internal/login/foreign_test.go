package login_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
)

// foreign is a hash that another system made, see testdata/hashes.json.
type foreign struct{ From, Password, Hash string }

func foreignHashes(t testing.TB) []foreign {
	t.Helper()
	content, err := os.ReadFile("testdata/hashes.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []foreign
	if err := json.Unmarshal(content, &all); err != nil || len(all) < 30 {
		t.Fatalf("%d hashes, %v", len(all), err)
	}
	return all
}

func TestHashesOfOtherSystems(t *testing.T) {
	p := login.NewPasswords()
	ctx := context.Background()
	for _, f := range foreignHashes(t) {
		t.Run(f.From, func(t *testing.T) {
			stored, scheme, err := p.Import(f.Hash)
			if err != nil || scheme == "" {
				t.Fatalf("refused: %v", err)
			}
			for password, want := range map[string]bool{f.Password: true, f.Password + "x": f.From == "passlib bcrypt, 72 bytes", f.Password[1:]: false, "": false, strings.ToUpper(f.Password): false} {
				before := p.Operations()
				if ok, err := p.Verify(ctx, stored, password); err != nil || ok != want {
					t.Errorf("password %q: %v %v, want %v", password, ok, err, want)
				}
				if n := p.Operations() - before; n != 1 {
					t.Errorf("%d hash operations, want 1", n)
				}
			}
			again, _, err := p.Import(stored)
			if err != nil || again != stored && again != "{raw}"+stored {
				t.Errorf("what is stored is not accepted again: %v", err)
			}
		})
	}
}

// bcrypt reads 72 bytes, ends at a zero byte and begins again.
func TestV6_2_8Bcrypt(t *testing.T) {
	p := login.NewPasswords()
	stored := map[string]string{}
	for _, f := range foreignHashes(t) {
		stored[f.From], _, _ = p.Import(f.Hash)
	}
	for _, tc := range []struct {
		name, hash, password string
		want                 bool
	}{
		{"72 bytes and more, as the old system compared it", stored["passlib bcrypt, 72 bytes"], strings.Repeat("x", 80), true},
		{"71 bytes", stored["passlib bcrypt, 72 bytes"], strings.Repeat("x", 71), false},
		{"a zero byte and the password again", stored["passlib bcrypt 2b"], "lantern moat crow\x00lantern moat crow", false},
		{"a zero byte", stored["passlib bcrypt 2b"], "lantern moat crow\x00", false},
		{"through SHA-256 every byte counts", stored["Django bcrypt_sha256, 100 bytes"], strings.Repeat("y", 99), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if ok, err := p.Verify(context.Background(), tc.hash, tc.password); ok != tc.want || err != nil {
				t.Errorf("got %v %v, want %v", ok, err, tc.want)
			}
		})
	}
}

// A row cannot make a login take gigabytes or minutes, and no refusal shows
// any of the hash.
func TestHashesBeyondTheBounds(t *testing.T) {
	const salt, key = "c2FsdHNhbHRzYWx0", "aGFzaGhhc2hoYXNoaGFzaGhhc2g"
	p := login.NewPasswords()
	for _, tc := range []struct{ name, hash, reason string }{
		{"argon2 memory", "$argon2id$v=19$m=262145,t=1,p=1$" + salt + "$" + key, "cost"},
		{"argon2 passes", "$argon2id$v=19$m=1024,t=65,p=1$" + salt + "$" + key, "cost"},
		{"argon2 memory times passes", "$argon2id$v=19$m=262144,t=5,p=1$" + salt + "$" + key, "cost"},
		{"argon2 no passes", "$argon2id$v=19$m=1024,t=0,p=1$" + salt + "$" + key, "cost"},
		{"argon2 lanes", "$argon2id$v=19$m=1024,t=1,p=17$" + salt + "$" + key, "cost"},
		{"argon2 no lanes", "$argon2id$v=19$m=1024,t=1,p=0$" + salt + "$" + key, "cost"},
		{"argon2 huge number", "$argon2id$v=19$m=18446744073709551617,t=1,p=1$" + salt + "$" + key, "form"},
		{"argon2 negative", "$argon2id$v=19$m=-1,t=1,p=1$" + salt + "$" + key, "form"},
		{"argon2 twice", "$argon2id$v=19$m=1024,m=1024,t=1,p=1$" + salt + "$" + key, "form"},
		{"argon2 unknown parameter", "$argon2id$v=19$m=1024,t=1,p=1,keyid=x$" + salt + "$" + key, "form"},
		{"argon2 of version 1.0", "$argon2id$m=1024,t=1,p=1$" + salt + "$" + key, "form"},
		{"argon2d", "$argon2d$v=19$m=1024,t=1,p=1$" + salt + "$" + key, "form"},
		{"bcrypt cost 15", "$2b$15$" + strings.Repeat("a", 53), "cost"},
		{"bcrypt cost 3", "$2b$03$" + strings.Repeat("a", 53), "cost"},
		{"bcrypt of the broken kind", "$2x$10$" + strings.Repeat("a", 53), "form"},
		{"bcrypt too short", "$2b$10$" + strings.Repeat("a", 52), "form"},
		{"scrypt memory", "$scrypt$ln=19,r=8,p=1$" + salt + "$" + key, "cost"},
		{"scrypt work", "$scrypt$ln=18,r=8,p=3$" + salt + "$" + key, "cost"},
		{"scrypt ln", "$scrypt$ln=99999999,r=8,p=1$" + salt + "$" + key, "cost"},
		{"scrypt N no power of two", "scrypt$1000$saltsalt$8$1$" + key, "cost"},
		{"PBKDF2 iterations", "$pbkdf2-sha256$3000001$" + salt + "$" + key, "cost"},
		{"PBKDF2 iterations times blocks", "$pbkdf2$2000000$" + salt + "$" + base64.RawStdEncoding.EncodeToString(make([]byte, 64)), "cost"},
		{"PBKDF2 none", "$pbkdf2-sha256$0$" + salt + "$" + key, "cost"},
		{"no digest", "$pbkdf2-sha256$1000$" + salt + "$", "digest"},
		{"short digest", "$pbkdf2-sha256$1000$" + salt + "$YWJj", "digest"},
		{"long digest", "$pbkdf2-sha256$1000$" + salt + "$" + base64.RawStdEncoding.EncodeToString(make([]byte, 129)), "digest"},
		{"wrong length", "$pbkdf2-sha256$i=1000,l=32$" + salt + "$" + key, "digest"},
		{"no salt", "pbkdf2_sha256$1000$$" + key, "digest"},
		{"not base64", "$pbkdf2-sha256$1000$" + salt + "$!!!!!!!!!!!!!!!!!!!!!!!!!!!", "digest"},
		{"a line break", "$pbkdf2-sha256$1000$" + salt + "$" + key[:10] + "\n" + key[10:], "digest"},
		{"MD5", "{MD5}X03MO1qnZdYdgyfeuILPmQ==", "form"},
		{"a password", "lantern moat crow", "form"},
		{"empty", "", "form"},
		{"a mark only", "{raw}", "form"},
		{"two thousand bytes", "$pbkdf2-sha256$1000$" + strings.Repeat("A", 2000) + "$" + key, "form"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := p.Import(tc.hash)
			var invalid *iam.Invalid
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), tc.reason) {
				t.Fatalf("got %v, want a refusal of its %s", err, tc.reason)
			}
			if strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "moat") {
				t.Errorf("the error shows what it must not: %v", err)
			}
			before := p.Operations()
			if ok, err := p.Verify(context.Background(), tc.hash, ""); ok || err != nil || p.Operations() != before+1 {
				t.Errorf("verified: %v %v", ok, err)
			}
		})
	}
}

// The dearest hashes that are accepted, measured.
func BenchmarkDearestHashes(b *testing.B) {
	salt, key := "c2FsdHNhbHRzYWx0", base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	p := login.NewPasswordsFor(1, time.Minute)
	for name, hash := range map[string]string{
		"ours": "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key, "argon2 256 MiB": "$argon2id$v=19$m=262144,t=4,p=1$" + salt + "$" + key, "argon2 16 MiB": "$argon2id$v=19$m=16384,t=64,p=1$" + salt + "$" + key,
		"bcrypt 14": "$2b$14$" + strings.Repeat("a", 53), "bcrypt 12": "$2b$12$" + strings.Repeat("a", 53), "bcrypt 10": "$2b$10$" + strings.Repeat("a", 53),
		"scrypt 256 MiB": "$scrypt$ln=18,r=8,p=2$" + salt + "$" + key, "scrypt p=16": "$scrypt$ln=15,r=8,p=16$" + salt + "$" + key, "scrypt OWASP": "$scrypt$ln=17,r=8,p=1$" + salt + "$" + key,
		"PBKDF2-SHA1": "$pbkdf2$3000000$" + salt + "$" + base64.RawStdEncoding.EncodeToString(make([]byte, 20)), "PBKDF2-SHA512": "$pbkdf2-sha512$3000000$" + salt + "$" + key, "PBKDF2-SHA256": "$pbkdf2-sha256$3000000$" + salt + "$" + key,
		"PBKDF2-SHA256 of 600000": "$pbkdf2-sha256$600000$" + salt + "$" + key,
	} {
		b.Run(name, func(b *testing.B) {
			if _, _, err := p.Import(hash); err != nil {
				b.Fatal(err)
			}
			for range b.N {
				if _, err := p.Verify(context.Background(), hash, "lantern moat crow"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzImport(f *testing.F) {
	p := login.NewPasswords()
	for _, one := range foreignHashes(f) {
		f.Add(one.Hash)
	}
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g")
	f.Fuzz(func(t *testing.T, hash string) {
		stored, scheme, err := p.Import(hash)
		if err != nil {
			return
		}
		if again, sameScheme, err := p.Import(stored); err != nil || sameScheme != scheme || again != stored && !strings.HasPrefix(stored, "{") && again != "{raw}"+stored {
			t.Fatalf("%q is stored as %q, which is read as %q, %q, %v", hash, stored, again, sameScheme, err)
		}
	})
}
