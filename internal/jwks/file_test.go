package jwks_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

const snapshotIssuer = "https://auth.example.com"

// kept makes a cache with a snapshot file, as a process would at its start.
func (k *keys) kept(t *testing.T, clock *storetest.Clock, file string) *jwks.Cache {
	t.Helper()
	c, err := jwks.New(jwks.Config{Issuer: snapshotIssuer, KeysURL: k.URL, SnapshotFile: file, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// saved fetches the keys once and ends, so that the file is there.
func (k *keys) saved(t *testing.T, clock *storetest.Clock) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "keys.json")
	c := k.kept(t, clock, file)
	if _, err := c.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.Close() // waits for the write
	return file
}

func TestC18TheSnapshotFileIsPrivateAndHasItsFetchTime(t *testing.T) {
	k, clock := serve(t, "max-age=300"), storetest.NewClock()
	file := k.saved(t, clock)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("the write left %v", entries)
	}
	var d struct {
		Issuer  string    `json:"issuer"`
		Fetched time.Time `json:"fetched"`
		TTL     int       `json:"ttl_seconds"`
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &d); err != nil || d.Issuer != snapshotIssuer || !d.Fetched.Equal(clock.Now()) || d.TTL != 300 {
		t.Errorf("got %s %v", data, err)
	}
}

// A restart while the issuer is down verifies from the snapshot, as long as the
// process before it would have, and never longer; restarting again and again
// gains nothing.
func TestC18ARestartWithTheIssuerDown(t *testing.T) {
	k, clock := serve(t, "max-age=300"), storetest.NewClock()
	file := k.saved(t, clock)
	k.down.Store(true)
	for _, step := range []struct {
		advance time.Duration
		ok      bool
	}{{0, true}, {4 * time.Minute, true}, {30 * time.Minute, true}, {31 * time.Minute, true}, {time.Second, false}, {24 * time.Hour, false}} {
		clock.Advance(step.advance)
		_, err := k.kept(t, clock, file).Find(context.Background(), k.key.ID())
		if (err == nil) != step.ok || err != nil && !errors.Is(err, jwks.ErrUnavailable) {
			t.Errorf("%s later: %v", step.advance, err)
		}
	}
}

// A process that runs on keys of the disk stops at the same limit, and takes
// fresh keys as soon as it can.
func TestC18KeysOfTheDiskGrowOldToo(t *testing.T) {
	k, clock := serve(t, "max-age=300"), storetest.NewClock()
	file := k.saved(t, clock)
	k.down.Store(true)
	clock.Advance(time.Hour)
	c := k.kept(t, clock, file)
	if _, err := c.Find(context.Background(), k.key.ID()); err != nil {
		t.Fatal(err)
	}
	clock.Advance(5*time.Minute + time.Second)
	if _, err := c.Find(context.Background(), k.key.ID()); !errors.Is(err, jwks.ErrUnavailable) {
		t.Errorf("past the limit: %v", err)
	}
	k.down.Store(false)
	clock.Advance(2 * time.Second)
	if _, err := c.Find(context.Background(), k.key.ID()); err != nil {
		t.Errorf("when the issuer is back: %v", err)
	}
}

// A key that is on the disk and that the issuer has taken back is not believed
// when the issuer can be asked.
func TestC18NetworkBeforeDisk(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	file := k.saved(t, clock)
	next := newKey(t)
	k.next.Store(&next)
	c := k.kept(t, clock, file)
	if _, err := c.Find(context.Background(), k.key.ID()); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("a removed key from the disk: %v", err)
	}
	c.Close()
	if data, err := os.ReadFile(file); err != nil || strings.Contains(string(data), k.key.ID()) || !strings.Contains(string(data), next.ID()) {
		t.Errorf("the file was not replaced: %s %v", data, err)
	}
}

// Another clock of this machine, another issuer, another user: each is refused.
func TestC18WhichFileIsRefused(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	edit := func(from, to string) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(data), from, to, 1)
			if changed == string(data) {
				t.Fatalf("%s is not in %s", from, data)
			}
			if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	mode := func(mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	fetched := clock.Now().UTC().Format("2006-01-02T15:04:05")
	for name, change := range map[string]func(*testing.T, string){
		"readable by the group":  mode(0o640),
		"readable by others":     mode(0o604),
		"writable by the group":  mode(0o620),
		"writable by others":     mode(0o602),
		"another issuer":         edit(`"issuer":"https://auth`, `"issuer":"https://evil`),
		"a slash at its end":     edit(`.com"`, `.com/"`),
		"another address":        edit(`"keys_url":"http://`, `"keys_url":"http://x.`),
		"another version":        edit(`"version":1`, `"version":2`),
		"fetched tomorrow":       edit(fetched, clock.Now().UTC().Add(24*time.Hour).Format("2006-01-02T15:04:05")),
		"fetched a second ahead": edit(fetched, clock.Now().UTC().Add(time.Second).Format("2006-01-02T15:04:05")),
		"fetched yesterday":      edit(fetched, clock.Now().UTC().Add(-24*time.Hour).Format("2006-01-02T15:04:05")),
		"never fetched":          edit(`"fetched":"`, `"fetched":"x`),
		"a life of a year":       edit(`"ttl_seconds":600`, `"ttl_seconds":31536000`),
		"a life that overflows":  edit(`"ttl_seconds":600`, `"ttl_seconds":9223372036854775807`),
		"no life":                edit(`"ttl_seconds":600`, `"ttl_seconds":0`),
		"a name too many":        edit(`"version":1`, `"version":1,"insecure":true`),
		"something behind":       edit("}\n", "}\n{}"),
		"cut":                    edit("]}}", "]"),
		"no keys":                edit(`"kty":"OKP"`, `"kty":"AKP"`),
		"empty":                  func(t *testing.T, file string) { os.WriteFile(file, nil, 0o600) },
		"a megabyte": func(t *testing.T, file string) {
			data, _ := os.ReadFile(file)
			os.WriteFile(file, append(data, strings.Repeat(" ", 1<<20)...), 0o600)
		},
		"a link": func(t *testing.T, file string) {
			if err := errors.Join(os.Rename(file, file+".real"), os.Symlink(file+".real", file)); err != nil {
				t.Fatal(err)
			}
		},
		"a folder": func(t *testing.T, file string) {
			if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k.down.Store(false)
			file := k.saved(t, clock)
			k.down.Store(true)
			if _, err := k.kept(t, clock, file).Ready(context.Background()); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			change(t, file)
			if _, err := k.kept(t, clock, file).Ready(context.Background()); !errors.Is(err, jwks.ErrUnavailable) {
				t.Errorf("it was taken: %v", err)
			}
		})
	}
}

func TestC18AFileOfAnotherUserIsRefused(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	info, err := os.Stat(k.saved(t, clock))
	if err != nil {
		t.Fatal(err)
	}
	if err := jwks.Private(info, os.Geteuid()); err != nil {
		t.Errorf("our own: %v", err)
	}
	if err := jwks.Private(info, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("another user's: %v", err)
	}
}

// A file that cannot be written any more is taken away: it may hold a key that
// the issuer has taken back.
func TestC18AFileThatCannotBeReplacedGoes(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	file := k.saved(t, clock)
	// No new file can be made beside it: its temporary name would be too long.
	long := filepath.Join(filepath.Dir(file), strings.Repeat("k", 250))
	if err := os.Rename(file, long); err != nil {
		t.Fatal(err)
	}
	next := newKey(t)
	k.next.Store(&next)
	c := k.kept(t, clock, long)
	if _, err := c.Find(context.Background(), next.ID()); err != nil {
		t.Errorf("keys in memory do not need the file: %v", err)
	}
	c.Close()
	if _, err := os.Stat(long); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old file is still there: %v", err)
	}
}

func FuzzSnapshotFile(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Add([]byte(`{"version":1,"issuer":"https://auth.example.com","fetched":"2026-01-02T03:04:00Z","ttl_seconds":600,"jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}`))
	f.Add([]byte(`{"version":1,"issuer":"https://auth.example.com","fetched":"2026-01-02T01:04:00Z","ttl_seconds":3600,"jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}`))
	f.Add([]byte(`{"version":1}{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := jwks.Parse(data, snapshotIssuer, now)
		if err != nil {
			return
		}
		if s.Keys.Len() == 0 || s.Fetched.After(now) || now.Sub(s.Fetched) > 2*time.Hour {
			t.Errorf("taken: %d keys of %s", s.Keys.Len(), s.Fetched)
		}
	})
}
