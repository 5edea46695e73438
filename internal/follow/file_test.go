package follow_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/follow"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
)

func onDisk(path string) func(*follow.Config) {
	return func(c *follow.Config) { c.File = jwks.PrivateFile{Path: path, MaxBytes: follow.MaxFileBytes} }
}

func TestC18ARestartWithTheIssuerDownStillRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.revocations")
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.revoke(feed.Token, "a", 0)
		h.revoke(feed.User, "usr_1", 7)
		f := h.follower(onDisk(path))
		ready(t, f)
		h.revoke(feed.Token, "last", 0)
		eventually(t, 5*time.Second, "the last one arrives", func() bool { return revoked(f, byID("last")) })
		f.Close()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file: %v %v", info, err)
		}
		h.end()
		time.Sleep(20 * time.Second)
		again := h.follower(onDisk(path))
		again.Start()
		for _, s := range []feed.Subject{byID("a"), byID("last"), {UserID: "usr_1", UserEpoch: 6}} {
			if !revoked(again, s) {
				t.Errorf("%+v is good after the restart", s)
			}
		}
		if revoked(again, byID("b")) || revoked(again, feed.Subject{UserID: "usr_1", UserEpoch: 7}) {
			t.Error("too much is refused")
		}
		if age, stale := again.Stale(); !stale || age < 19*time.Second || age > 25*time.Second {
			t.Errorf("stale %v, for %s", stale, age)
		}
		begun := time.Now()
		if err := again.Wait(t.Context(), time.Minute); err != nil || time.Since(begun) > 10*time.Second {
			t.Errorf("with revocations from the disk it waits: %v after %s", err, time.Since(begun))
		}
		again.Close()
		// What has expired is not kept for ever.
		time.Sleep(time.Hour)
		later := h.follower(onDisk(path))
		later.Start()
		if n := later.Set().Len(); n != 0 {
			t.Errorf("%d entries that are over", n)
		}
	})
}

func TestABadFileIsNotTaken(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.revoke(feed.Token, "a", 0)
		f := h.follower(onDisk(good))
		ready(t, f)
		time.Sleep(2 * time.Second)
	})
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	line, rest, _ := bytes.Cut(content, []byte("\n"))
	write := func(data []byte, mode os.FileMode) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, data, mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	changed := func(old, new string) func(t *testing.T, path string) {
		return write(append(bytes.Replace(line, []byte(old), []byte(new), 1), append([]byte("\n"), rest...)...), 0o600)
	}
	flipped := bytes.Clone(content)
	flipped[len(line)+60] ^= 1
	for name, tc := range map[string]struct {
		put   func(t *testing.T, path string)
		taken bool
		log   string
	}{
		"as it was":      {write(content, 0o600), true, ""},
		"none":           {func(*testing.T, string) {}, false, ""},
		"empty":          {write(nil, 0o600), false, "no snapshot"},
		"garbage":        {write([]byte("x\ny"), 0o600), false, "no snapshot"},
		"cut":            {write(content[:len(content)-1], 0o600), false, "damaged"},
		"longer":         {write(append(bytes.Clone(content), 0), 0o600), false, "damaged"},
		"a bit flipped":  {write(flipped, 0o600), false, "damaged"},
		"only a head":    {write(append(line, '\n'), 0o600), false, "no saved revocations"},
		"another issuer": {changed("issuer.localhost", "issuer.other"), false, "of the issuer"},
		"another form":   {changed(`"version":1`, `"version":9`), false, "version"},
		"other members":  {changed(`"version":1`, `"version":1,"x":1`), false, "no snapshot"},
		"of the group":   {write(content, 0o620), false, "others may use it"},
		"for all to see": {write(content, 0o604), false, "others may use it"},
		"a link": {func(t *testing.T, path string) {
			if err := os.Symlink(good, path); err != nil {
				t.Fatal(err)
			}
		}, false, "not a regular file"},
		"a folder": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, false, "not a regular file"},
		"too large": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, follow.MaxFileBytes+1); err != nil {
				t.Fatal(err)
			}
		}, false, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			tc.put(t, path)
			synctest.Test(t, func(t *testing.T) {
				h, log := newHouse(t), &journal{}
				h.revoke(feed.Token, "b", 0)
				f := h.follower(onDisk(path), log.into)
				looked := make(chan struct{}) // the network waits until the file was looked at
				h.lie(func(w http.ResponseWriter, r *http.Request) { <-looked; h.honest(w, r) })
				f.Start()
				// The salt of the file is another house's, so what it says is asked under
				// its own.
				if got := f.Set().Len() > 0; got != tc.taken {
					t.Errorf("taken: %v", got)
				}
				if !strings.Contains(log.String(), tc.log) || tc.log == "" && strings.Contains(log.String(), "WARN") {
					t.Errorf("the log: %q", log)
				}
				close(looked)
				ready(t, f)
				if !revoked(f, byID("b")) {
					t.Error("the network's revocations are not taken after it")
				}
			})
		})
	}
}

// counting counts the writes of a file.
type counting struct {
	follow.File
	writes atomic.Int64
	fail   atomic.Bool
}

func (c *counting) Write(data []byte) error {
	c.writes.Add(1)
	if c.fail.Load() {
		return fmt.Errorf("the disk is full")
	}
	return c.File.Write(data)
}

func TestTheFileIsWrittenNowAndThen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	synctest.Test(t, func(t *testing.T) {
		h, log := newHouse(t), &journal{}
		c := &counting{File: jwks.PrivateFile{Path: path, MaxBytes: follow.MaxFileBytes}}
		f := h.follower(func(config *follow.Config) { config.File = c }, log.into)
		ready(t, f)
		for n := range 200 {
			h.revoke(feed.Token, fmt.Sprint(n), 0)
			time.Sleep(50 * time.Millisecond)
		}
		if n := c.writes.Load(); n < 4 || n > 12 {
			t.Errorf("%d writes for 200 revocations in 10 seconds", n)
		}
		time.Sleep(2 * time.Second)
		c.writes.Store(0)
		time.Sleep(10 * time.Minute)
		if n := c.writes.Load(); n < 8 || n > 11 {
			t.Errorf("%d writes in 10 minutes without a revocation", n)
		}
		// A disk that is full is said once, and tried again.
		c.fail.Store(true)
		for n := range 10 {
			h.revoke(feed.Token, fmt.Sprint("full", n), 0)
			time.Sleep(2 * time.Second)
		}
		if n := strings.Count(log.String(), "not saved"); n != 1 {
			t.Errorf("said %d times: %s", n, log)
		}
		c.fail.Store(false)
		time.Sleep(2 * time.Minute)
		f.Close()
		h.end()
		again := h.follower(onDisk(path))
		again.Start()
		if !revoked(again, byID("full9")) {
			t.Error("what could not be written was forgotten")
		}
	})
}
