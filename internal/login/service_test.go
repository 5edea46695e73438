package login_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
)

const right = "lantern moat crow bell rope"

// counted counts the lookups.
type counted struct {
	*store.DB
	lookups atomic.Int64
}

func (c *counted) UserByName(ctx context.Context, name string) (iam.User, error) {
	c.lookups.Add(1)
	return c.DB.UserByName(ctx, name)
}

// desk is a login service on a real store.
type desk struct {
	*login.Service
	t         *testing.T
	db        *counted
	clock     *storetest.Clock
	passwords *login.Passwords
	ada       iam.User
}

var ctx = context.Background()

func newDesk(t *testing.T) *desk {
	t.Helper()
	return newDeskWith(t, login.NewPasswords())
}

func newDeskWith(t *testing.T, passwords *login.Passwords) *desk {
	t.Helper()
	d := &desk{t: t, clock: storetest.NewClock(), passwords: passwords}
	db, err := store.Open(ctx, storetest.Config(t, t.TempDir(), d.clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	d.db = &counted{DB: db}
	hash, err := d.passwords.Hash(ctx, right)
	if err != nil {
		t.Fatal(err)
	}
	d.ada = d.add("ada", hash)
	d.Service, err = login.New(login.Config{Users: d.db, Changes: db, Passwords: d.passwords, Throttle: throttle.New(throttle.Config{Now: d.clock.Now}), Now: d.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) add(name, hash string) iam.User {
	d.t.Helper()
	u := iam.User{ID: iam.NewUserID(), Username: name, Email: name + "@example.com", PasswordHash: hash}
	if err := d.db.CreateUser(ctx, u); err != nil {
		d.t.Fatal(err)
	}
	return d.read(u.ID)
}

func (d *desk) read(id iam.UserID) iam.User {
	d.t.Helper()
	u, err := d.db.User(ctx, id)
	if err != nil {
		d.t.Fatal(err)
	}
	return u
}

func (d *desk) try(username, password, address string) error {
	_, err := d.Password(ctx, login.Attempt{Username: username, Password: password, Address: netip.MustParseAddr(address), Client: "app"})
	return err
}

func (d *desk) events(kind string) []iam.Event {
	d.t.Helper()
	all, err := d.db.Events(ctx, 0, 100_000)
	if err != nil {
		d.t.Fatal(err)
	}
	var some []iam.Event
	for _, e := range all {
		if e.Kind == kind {
			some = append(some, e)
		}
	}
	return some
}

func isThrottled(err error) (*login.Throttled, bool) {
	var t *login.Throttled
	return t, errors.As(err, &t)
}

const home, elsewhere = "192.0.2.1", "198.51.100.7"

// V6.3.8: every attempt costs exactly one lookup, one hash and one journal row.
func TestEachAttemptCostsTheSame(t *testing.T) {
	d := newDesk(t)
	off := d.add("off", d.ada.PasswordHash)
	off.Disabled = true
	if err := d.db.UpdateUser(ctx, off, iam.EndEverything); err != nil {
		t.Fatal(err)
	}
	d.add("none", "")
	for _, tc := range []struct {
		name, username, password string
		ok                       bool
	}{
		{"right", "ada", right, true},
		{"wrong", "ada", "x", false},
		{"unknown", "eve", right, false},
		{"impossible name", "e v e", right, false},
		{"endless name", strings.Repeat("x", 60_000), right, false},
		{"id for a name", string(d.ada.ID), right, false},
		{"address for a name", "ada@example.com", right, false},
		{"disabled", "off", right, false},
		{"without a password", "none", "", false},
		{"too long", "ada", strings.Repeat("x", 5000), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hashes, lookups, rows := d.passwords.Operations(), d.db.lookups.Load(), len(d.events(iam.EventLoginFailed))+len(d.events(iam.EventLoginSucceeded))
			err := d.try(tc.username, tc.password, home)
			if tc.ok != (err == nil) || !tc.ok && !errors.Is(err, login.ErrDenied) {
				t.Errorf("got %v", err)
			}
			all := append(d.events(iam.EventLoginFailed), d.events(iam.EventLoginSucceeded)...)
			if h, l, r := d.passwords.Operations()-hashes, d.db.lookups.Load()-lookups, len(all)-rows; h != 1 || l != 1 || r != 1 {
				t.Errorf("%d hash operations, %d lookups, %d journal rows; want one of each", h, l, r)
			}
			for _, e := range all {
				if text := fmt.Sprint(e.Detail, e.Subject, e.Actor); strings.Contains(text, right) || strings.Contains(text, "e v e") || strings.Contains(text, "xxxx") {
					t.Errorf("the journal holds what was typed: %v", e)
				}
			}
		})
	}
}

// Rows 36 and 37 of the threat list: every spelling of a name has one counter.
func TestSpellingsCountTogether(t *testing.T) {
	d := newDesk(t)
	d.add("grace@example.com", d.ada.PasswordHash)
	for name, spellings := range map[string][]string{
		"a name":            {"ada", "ADA", "Ada", "aDa", "ａｄａ", "ＡＤＡ", "adA"},
		"an address":        {"grace@example.com", "Grace@Example.com", "GRACE@EXAMPLE.COM", "ｇrace@example.com", "grace＠example.com", "grace@example.COM"},
		"nobody's name":     {"eve", "EVE", "Eve", "eVe", "ｅｖｅ", "evE"},
		"no name":           {"e v e", "e v e", "e v e", "e v e", "e v e", "e v e"},
		"nobody's address":  {"mallory@example.com", "MALLORY@example.com", "mallory@EXAMPLE.com", "Mallory@Example.com", "mallory＠example.com", "malLory@example.com"},
		"with combinations": {"zoe\u0308", "zo\u00eb", "ZOE\u0308", "ZO\u00cb", "Zo\u00eb", "Zoe\u0308"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, spelling := range spellings {
				err := d.try(spelling, "wrong", home)
				if _, throttled := isThrottled(err); throttled != (i >= throttle.Default.Pair.Free) {
					t.Errorf("attempt %d as %q: %v", i+1, spelling, err)
				}
			}
		})
	}
}

// Row 35, V6.3.8: what a guesser sees is the same whether the account exists,
// at every attempt: the refusal, the wait, and no hash once it is throttled.
func TestGuessingTellsNothing(t *testing.T) {
	type seen struct {
		refusal string
		hashes  int64
	}
	d := newDesk(t)
	d.add("none", "")
	watch := func(username, address string) []seen {
		var all []seen
		for range 12 {
			before := d.passwords.Operations()
			err := d.try(username, "wrong", address)
			all = append(all, seen{err.Error(), d.passwords.Operations() - before})
			if th, ok := isThrottled(err); ok {
				all = append(all, seen{th.Sentence(), 0})
				d.clock.Advance(th.Wait)
			}
		}
		return all
	}
	want := fmt.Sprint(watch("ada", "192.0.2.10"))
	for i, username := range []string{"eve", "none", "e v e", "eve@example.com"} {
		if got := fmt.Sprint(watch(username, fmt.Sprint("192.0.2.", 20+i))); got != want {
			t.Errorf("%s:\n%s\nwant, as for an account that exists:\n%s", username, got, want)
		}
	}
	if !strings.Contains(want, "Try again in 2 seconds. 0}") || !strings.Contains(want, "wait 4s 0}") {
		t.Errorf("the waits are not what is described: %s", want)
	}
}

// V6.3.1: 100,000 attempts on one account. Strangers get as many guesses as the
// limit says, each costs a hash, none of the others does; the owner gets in
// from home at once, and the journal stays small.
func TestT13AHundredThousandAttempts(t *testing.T) {
	d := newDesk(t)
	if err := d.try("ada", right, home); err != nil {
		t.Fatal(err)
	}
	hashes, began := d.passwords.Operations(), time.Now()
	denied, throttled := 0, 0
	for n := range 100_000 {
		from := fmt.Sprint("10.0.0.", n%20) // a few that go on and on,
		if n%20 == 0 {
			from = fmt.Sprintf("10.%d.%d.%d", 1+n>>16&255, n>>8&255, n&255) // and 5,000 that come once
		}
		err := d.try("ada", "wrong", from)
		if _, ok := isThrottled(err); ok {
			throttled++
		} else if errors.Is(err, login.ErrDenied) {
			denied++
		} else {
			t.Fatal(err)
		}
	}
	t.Logf("100,000 attempts in %s, %d of them hashed", time.Since(began), denied)
	if limit := throttle.Default.Account.Size; denied != limit || int64(denied) != d.passwords.Operations()-hashes || denied+throttled != 100_000 {
		t.Errorf("%d guesses and %d hashes, want %d of each", denied, d.passwords.Operations()-hashes, limit)
	}
	began = time.Now()
	if err := d.try("Ada", right, home); err != nil {
		t.Errorf("the owner at home: %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the owner at home waited %s", took)
	}
	if _, ok := isThrottled(d.try("ada", right, elsewhere)); !ok {
		t.Error("from a network that is not known the limit does not hold")
	}
	if rows := len(d.events(iam.EventLoginFailed)) + len(d.events(iam.EventLoginThrottled)); rows > denied+20 {
		t.Errorf("%d journal rows about 100,000 attempts", rows)
	}
	told := map[string]int{}
	for _, e := range d.events(iam.EventLoginThrottled) {
		if told[e.Detail["counted_by"]]++; e.UserID != d.ada.ID {
			t.Errorf("the journal does not say whose account: %+v", e)
		}
	}
	if told["account"] != 1 || told["account and network"] != 19 || len(told) != 2 {
		t.Errorf("the journal has %v rows that a counter refuses, want one for the account and one for each of 19 networks", told)
	}
	d.clock.Advance(throttle.Default.Account.Refill)
	if err := d.try("ada", right, elsewhere); err != nil {
		t.Errorf("when the attack is over, from a new network: %v", err)
	}
}

// Who logs in from a known network does not stand in the line of the strangers.
func TestKnownPeopleGoFirst(t *testing.T) {
	d := newDeskWith(t, login.NewPasswordsFor(1, time.Minute))
	if err := d.try("ada", right, home); err != nil {
		t.Fatal(err)
	}
	var done atomic.Int64
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() {
			if err := d.try(fmt.Sprint("name", n), "wrong", fmt.Sprint("10.1.1.", n)); !errors.Is(err, login.ErrDenied) {
				t.Error(err)
			}
			done.Add(1)
		})
	}
	for done.Load() < 3 { // all others wait by now, or soon
		time.Sleep(time.Millisecond)
	}
	before := done.Load()
	if err := d.try("ada", right, home); err != nil {
		t.Error(err)
	}
	if passed := done.Load() - before; passed > 6 {
		t.Errorf("%d of 37 strangers went first", passed)
	}
	all.Wait()
}

// More than can get their turn do not even stand in line, nor hold memory.
func TestTheLineIsBounded(t *testing.T) {
	p := login.NewPasswordsFor(1, time.Minute)
	hold, release := context.WithCancel(ctx)
	defer release()
	var busy atomic.Int64
	var all sync.WaitGroup
	for range 300 {
		all.Go(func() {
			if _, err := p.Verify(hold, "", "x"); errors.Is(err, login.ErrBusy) {
				if busy.Add(1) == 200 {
					release() // those in the line need not be computed
				}
			}
		})
	}
	all.Wait()
	if busy.Load() < 200 {
		t.Errorf("%d of 300 were sent away", busy.Load())
	}
	if ok, err := p.Verify(ctx, "", "x"); ok || err != nil {
		t.Errorf("afterwards: %v %v", ok, err)
	}
}

// The journal grows by a row a second at most, whoever is tried from where.
func TestTheJournalIsBounded(t *testing.T) {
	d := newDesk(t)
	for n := range 120 {
		if err := d.try(fmt.Sprint("name", n), "wrong", fmt.Sprint("10.1.1.", n)); !errors.Is(err, login.ErrDenied) {
			t.Fatal(err)
		}
	}
	if rows := len(d.events(iam.EventLoginFailed)); rows != 100 {
		t.Errorf("%d rows about 120 failures in one moment, want 100", rows)
	}
	d.clock.Advance(time.Second)
	if err := d.try("ada", "wrong", home); !errors.Is(err, login.ErrDenied) {
		t.Fatal(err)
	}
	rows := d.events(iam.EventLoginFailed)
	if last := rows[len(rows)-1]; len(rows) != 101 || last.Detail["omitted"] != "20" {
		t.Errorf("%d rows, the last %+v; want one more that says that 20 were left out", len(rows), last)
	}
}

// Attempts at the same time do not slip through together.
func TestParallelGuesses(t *testing.T) {
	d := newDesk(t)
	var hashed, throttled atomic.Int64
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			if _, ok := isThrottled(d.try("ada", "wrong", home)); ok {
				throttled.Add(1)
			} else {
				hashed.Add(1)
			}
		})
	}
	all.Wait()
	if int(hashed.Load()) != throttle.Default.Pair.Free {
		t.Errorf("%d of 60 guesses at once were verified, want %d", hashed.Load(), throttle.Default.Pair.Free)
	}
}

// Who gets in begins to count anew; a guesser who shares the network does not
// get more for other accounts.
func TestALoginForgetsTheFailures(t *testing.T) {
	d := newDesk(t)
	for range 3 {
		for range 4 {
			if err := d.try("ada", "wrong", home); !errors.Is(err, login.ErrDenied) {
				t.Fatal(err)
			}
		}
		if err := d.try("ada", right, home); err != nil {
			t.Fatal(err)
		}
	}
}

// What never came to a hash is not counted.
func TestABusyServerCountsNothing(t *testing.T) {
	d := newDesk(t)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for range 50 {
		if _, err := d.Password(gone, login.Attempt{Username: "ada", Password: right, Address: netip.MustParseAddr(home)}); err == nil || errors.Is(err, login.ErrDenied) {
			t.Fatalf("got %v", err)
		}
	}
	if err := d.try("ada", right, home); err != nil {
		t.Errorf("after 50 requests that were given up: %v", err)
	}
}

// A known network is one of the last ninety days, of this user, and not of
// whoever had the password before it was changed.
func TestKnownNetworks(t *testing.T) {
	d := newDesk(t)
	bob := d.add("bob", d.ada.PasswordHash)
	for _, who := range []string{"ada", "bob"} {
		if err := d.try(who, right, home); err != nil {
			t.Fatal(err)
		}
	}
	known := func(name, network string) bool {
		ok, err := d.db.KnownNetwork(ctx, name, network)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !known("ada", home+"/32") || !known("bob", home+"/32") || known("ada", elsewhere+"/32") || known("eve", home+"/32") {
		t.Error("a network is known to the wrong people")
	}
	for n := range 20 {
		d.clock.Advance(time.Second)
		if err := d.try("ada", right, fmt.Sprint("203.0.113.", n)); err != nil {
			t.Fatal(err)
		}
	}
	if known("ada", home+"/32") || !known("ada", "203.0.113.19/32") || !known("ada", "203.0.113.4/32") || known("ada", "203.0.113.3/32") {
		t.Error("the sixteen latest networks are kept, the oldest go")
	}
	if err := d.ChangePassword(ctx, login.Attempt{Username: "ada", Password: right, Address: netip.MustParseAddr(elsewhere)}, "seven green doors ajar"); err != nil {
		t.Fatal(err)
	}
	if known("ada", "203.0.113.19/32") || !known("ada", elsewhere+"/32") {
		t.Error("after a change of the password only its own network is known")
	}
	d.clock.Advance(iam.KnownNetworkLife)
	if known("bob", home+"/32") {
		t.Error("a network is known for ever")
	}
	d.clock.Advance(time.Second)
	if _, err := d.db.Clean(ctx, 10); err != nil {
		t.Fatal(err)
	}
	if err := d.try("bob", right, home); err != nil {
		t.Fatal(err)
	}
	bob = d.read(bob.ID)
	bob.Disabled = true
	if err := d.db.UpdateUser(ctx, bob, iam.EndEverything); err != nil {
		t.Fatal(err)
	}
	if known("bob", home+"/32") {
		t.Error("whoever is disabled keeps a known network")
	}
}

// A hash of another system is replaced at the first login, once, and nothing ends.
func TestImportedHashesAreRenewed(t *testing.T) {
	d := newDesk(t)
	for i, f := range foreignHashes(t) {
		t.Run(f.From, func(t *testing.T) {
			stored, scheme, err := d.passwords.Import(f.Hash)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprint("u", i)
			u := d.add(name, stored)
			if err := d.try(name, "wrong", home); !errors.Is(err, login.ErrDenied) || d.read(u.ID).PasswordHash != stored {
				t.Fatalf("a wrong password: %v", err)
			}
			for range 2 {
				if err := d.try(name, f.Password, home); err != nil {
					t.Fatal(err)
				}
			}
			now := d.read(u.ID)
			if !strings.HasPrefix(now.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") || now.Epoch != u.Epoch {
				t.Errorf("the hash is %.20s…, the epoch moved from %d to %d", now.PasswordHash, u.Epoch, now.Epoch)
			}
			var rows []iam.Event
			for _, e := range d.events(iam.EventPasswordRenewed) {
				if e.UserID == u.ID {
					rows = append(rows, e)
				}
			}
			if len(rows) != 1 || rows[0].Detail["from"] != scheme {
				t.Errorf("the journal says %+v, want one row from %s", rows, scheme)
			}
		})
	}
}

// bcrypt compares 72 bytes. Nobody knows whether the rest was right, so it must
// not become part of the password.
func TestV6_2_8ALongPasswordIsNotRenewedFromBcrypt(t *testing.T) {
	d := newDesk(t)
	for _, f := range foreignHashes(t) {
		if f.From == "passlib bcrypt, 72 bytes" {
			d.add("long", f.Hash)
			for range 2 {
				if err := d.try("long", f.Password+"and the rest", home); err != nil {
					t.Fatal(err)
				}
			}
			u, _ := d.db.DB.UserByName(ctx, "long")
			if u.PasswordHash != f.Hash {
				t.Error("the hash was made anew with bytes that nobody compared")
			}
			if rows := d.events(iam.EventLoginSucceeded); !strings.Contains(rows[0].Detail["password"], "72 bytes") {
				t.Errorf("the journal does not say so: %+v", rows[0])
			}
		}
	}
}

// Two logins at once with an imported hash both get in, and one of them renews it.
func TestParallelRenewal(t *testing.T) {
	d := newDesk(t)
	f := foreignHashes(t)[0]
	u := d.add("bea", f.Hash)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			if err := d.try("bea", f.Password, fmt.Sprint("192.0.2.", n)); err != nil && !errors.Is(err, login.ErrBusy) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(d.events(iam.EventPasswordRenewed)); n != 1 || d.read(u.ID).Epoch != u.Epoch {
		t.Errorf("renewed %d times, epoch %d", n, d.read(u.ID).Epoch)
	}
}

// A login that was decided with a password that is gone meanwhile is none.
func TestALoginDuringAChange(t *testing.T) {
	d := newDesk(t)
	old := d.ada
	if err := d.ChangePassword(ctx, login.Attempt{Username: "ada", Password: right, Address: netip.MustParseAddr(home)}, "seven green doors ajar"); err != nil {
		t.Fatal(err)
	}
	if err := d.db.RecordLogin(ctx, old, home+"/32", iam.Event{ID: iam.NewEventID(), Kind: iam.EventLoginSucceeded}); !errors.Is(err, iam.ErrConflict) {
		t.Errorf("recorded with the old password: %v", err)
	}
	if err := d.db.RenewHash(ctx, old, "x"); !errors.Is(err, iam.ErrConflict) {
		t.Errorf("the old hash was renewed: %v", err)
	}
	if err := d.db.ChangePassword(ctx, old, "x", home+"/32"); !errors.Is(err, iam.ErrConflict) {
		t.Errorf("changed once more with the old password: %v", err)
	}
	if len(d.events(iam.EventLoginSucceeded)) != 0 {
		t.Error("a login that was refused is in the journal")
	}
}

// C14: who knows the password replaces it, and it ends everything else.
func TestC14ChangePassword(t *testing.T) {
	d := newDesk(t)
	const next = "seven green doors ajar"
	attempt := func(password string) login.Attempt {
		return login.Attempt{Username: "ADA", Password: password, Address: netip.MustParseAddr(home)}
	}
	for _, tc := range []struct {
		name, current, next, want string
		hashes                    int64
	}{
		{"too short", right, "short", "at least 15", 0},
		{"known, before any hash", "wrong", "correct horse battery staple", "attackers try first", 0},
		{"wrong current password", "wrong", next, "don't match", 1},
		{"the same again", right, right, "is the current one", 1},
		{"the address", right, "ada@example.com!", "little more than", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := d.passwords.Operations()
			err := d.ChangePassword(ctx, attempt(tc.current), tc.next)
			if err == nil || !strings.Contains(err.Error(), tc.want) || d.passwords.Operations()-before != tc.hashes {
				t.Errorf("got %v and %d hashes, want %q and %d", err, d.passwords.Operations()-before, tc.want, tc.hashes)
			}
		})
	}
	if kept := d.events(iam.EventPasswordKept); len(kept) != 2 || kept[0].UserID != d.ada.ID {
		t.Errorf("that the current password was confirmed is recorded as %+v", kept)
	}
	if d.read(d.ada.ID).PasswordHash != d.ada.PasswordHash {
		t.Fatal("a refused change changed something")
	}
	if err := d.ChangePassword(ctx, attempt(right), next); err != nil {
		t.Fatal(err)
	}
	now := d.read(d.ada.ID)
	if now.Epoch != d.ada.Epoch+1 || len(d.events(iam.EventPasswordChanged)) != 1 {
		t.Errorf("epoch %d, %d rows", now.Epoch, len(d.events(iam.EventPasswordChanged)))
	}
	if err := d.try("ada", right, home); !errors.Is(err, login.ErrDenied) {
		t.Errorf("the old password: %v", err)
	}
	if err := d.try("ada", next, home); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// The page and the endpoint count together.
func TestAChangeIsThrottledLikeALogin(t *testing.T) {
	d := newDesk(t)
	for n := range throttle.Default.Pair.Free {
		a := login.Attempt{Username: "ada", Password: "wrong", Address: netip.MustParseAddr(home)}
		if n%2 == 0 {
			if err := d.ChangePassword(ctx, a, "seven green doors ajar"); !errors.Is(err, login.ErrDenied) {
				t.Fatal(err)
			}
		} else if _, err := d.Password(ctx, a); !errors.Is(err, login.ErrDenied) {
			t.Fatal(err)
		}
	}
	before := d.passwords.Operations()
	if _, ok := isThrottled(d.ChangePassword(ctx, login.Attempt{Username: "ada", Password: right, Address: netip.MustParseAddr(home)}, "seven green doors ajar")); !ok || d.passwords.Operations() != before {
		t.Error("a change is not refused where a login is")
	}
	if _, ok := isThrottled(d.try("ada", right, home)); !ok {
		t.Error("a login is not refused where a change is")
	}
}

// Of two changes at once with the same current password one wins.
func TestC14ParallelChanges(t *testing.T) {
	d := newDesk(t)
	var won atomic.Int64
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			err := d.ChangePassword(ctx, login.Attempt{Username: "ada", Password: right, Address: netip.MustParseAddr(fmt.Sprint("192.0.2.", n))}, fmt.Sprint("seven green doors ajar ", n))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, iam.ErrConflict) && !errors.Is(err, login.ErrDenied) && !errors.Is(err, login.ErrBusy) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if u := d.read(d.ada.ID); won.Load() != 1 || u.Epoch != d.ada.Epoch+1 {
		t.Errorf("%d changes won, epoch %d", won.Load(), u.Epoch)
	}
}
