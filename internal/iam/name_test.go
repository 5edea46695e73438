package iam_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func TestC1ClientIDs(t *testing.T) {
	for id, ok := range map[iam.ClientID]bool{
		"demo-app": true, "App.2": true, "usr_x": false, "USR_x": false, "Ses_1": false, "gr_": false, "gatehouse-x": false,
		"": false, "a b": false, "-a": false, "a/b": false, "ä": false, "a\nb": false,
	} {
		if err := iam.CheckClientID(id); (err == nil) != ok {
			t.Errorf("CheckClientID(%q) = %v, want ok %v", id, err, ok)
		}
	}
}

// Ids of events sort by their time, so that the journal's index grows at its end.
func TestEventIDsSortByTime(t *testing.T) {
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	last := iam.EventID("")
	for _, d := range []time.Duration{-60 * 365 * 24 * time.Hour, 0, time.Millisecond, time.Second, time.Hour, 1000 * time.Hour, 200 * 365 * 24 * time.Hour} {
		id, other := iam.NewEventIDAt(at.Add(d)), iam.NewEventIDAt(at.Add(d))
		if len(id) != len("evt_")+26 || id == other || id[:14] != other[:14] || id[:14] <= last {
			t.Errorf("%s: %s and %s after %s", d, id, other, last)
		}
		last = id[:14]
	}
}

func TestCanonicalUsername(t *testing.T) {
	for name, want := range map[string]string{
		"Ada": "ada", "ＡＤＡ": "ada", "ada.l@example.com": "ada.l@example.com",
		"": "", "ada lovelace": "", "ada\u200b": "", "a\nb": "", "usr_abc": "",
	} {
		got, err := iam.CanonicalUsername(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("CanonicalUsername(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

// redirectURIs are registered by a public client; true: may be.
var redirectURIs = map[string]bool{
	"https://app.example.com/cb": true, "http://127.0.0.1/cb": true, "http://localhost:3000/cb": true, "http://[::1]/cb": true, "com.example.app:/cb": true,
	"https://app.example.com/cb?x=1&y=%C3%BC": true, "https://app.example.com/a%2Fb": true, "https://xn--bcher-kva.example/cb": true, "https://app.example.com": true,
	"http://app.example.com/cb": false, "https://good@evil.example/cb": false, "https://app.example.com/cb#x": false,
	"https://app.example.com/../cb": false, "javascript:alert(1)": false, "myapp:/cb": false, "/cb": false, "https://*.example.com/cb": false,
	"https://app.example.com\\@evil.example/": false, "https:///cb": false, "data:text/html,x": false,
	// A browser finds another host in these than the one that is written, or
	// none: it maps letters, drops invisible ones, and knows no zones.
	"https://ａpp.example.com/cb": false, "https://app.example\u200b.com/cb": false, "https://b\u00fccher.example/cb": false, "https://app;evil.example/cb": false,
	"https://app%E3%80%82evil.example/cb": false, "http://[::1%25lo]/cb": false, "https://[v1.x]/cb": false, "https://app.example.com:0/cb": false,
	"https://app.example.com:65536/cb": false, "https://app.example.com:/cb": false,
	// No Location header can carry these as they are.
	"https://app.example.com/\u00fc": false, "https://app.example.com/cb?x=\u00fc": false, "com.example.app:/\u00fc": false, "https://app.example.com/\u2028": false, "https://app.example.com/a|b": false,
	"HTTPS://app.example.com/cb": false,
}

func TestRedirectURIs(t *testing.T) {
	for uri, ok := range redirectURIs {
		if err := iam.CheckRedirectURI(uri, iam.Public); (err == nil) != ok {
			t.Errorf("CheckRedirectURI(%q) = %v, want ok %v", uri, err, ok)
		}
	}
	if iam.CheckRedirectURI("com.example.app:/cb", iam.Confidential) == nil {
		t.Error("a private-use scheme is for public clients only")
	}
}

func TestClientChecks(t *testing.T) {
	secret := make([]byte, 32)
	for _, tc := range []struct {
		name   string
		client iam.Client
		ok     bool
	}{
		{"public", iam.Client{ID: "a", Type: iam.Public, GrantTypes: []string{iam.AuthorizationCode, iam.RefreshToken}}, true},
		{"C11 challenge for a third party", iam.Client{ID: "a", Type: iam.Public, Challenge: true}, false},
		{"C11 challenge for a confidential client", iam.Client{ID: "a", Type: iam.Confidential, FirstParty: true, Challenge: true, SecretHash: secret}, false},
		{"a public client with a secret", iam.Client{ID: "a", Type: iam.Public, SecretHash: secret}, false},
		{"a service account without one", iam.Client{ID: "a", Type: iam.Service}, false},
		{"client_credentials for a public client", iam.Client{ID: "a", Type: iam.Public, GrantTypes: []string{iam.ClientCredentials}}, false},
		{"roles of an app", iam.Client{ID: "a", Type: iam.Public, Roles: []string{"editor"}}, false},
		{"C19 a public reader", iam.Client{ID: "a", Type: iam.Public, ReaderOf: []string{"orders"}}, false},
		{"a default scope outside its scopes", iam.Client{ID: "a", Type: iam.Public, Scopes: []string{"x"}, DefaultScopes: []string{"y"}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.client.Check(); (err == nil) != tc.ok {
				t.Errorf("got %v, want ok %v", err, tc.ok)
			}
		})
	}
}

// The order in which keys are read does not matter, and each line is on its own.
func TestC24LinesOfManyKeys(t *testing.T) {
	t0 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	hour := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Hour) }
	a := iam.Key{ID: "a", Purpose: iam.TokenKeys, Algorithm: "ES256", CreatedAt: t0, ActivateAt: hour(1)}
	b := iam.Key{ID: "b", Purpose: iam.TokenKeys, Algorithm: "ES256", CreatedAt: t0, ActivateAt: hour(2)}
	c := iam.Key{ID: "c", Purpose: iam.TokenKeys, Algorithm: "ES256", CreatedAt: t0, ActivateAt: hour(3)}
	never := iam.Key{ID: "never", Purpose: iam.TokenKeys, Algorithm: "ES256", CreatedAt: t0, ActivateAt: hour(2), RemovedAt: hour(1)}
	waits := iam.Key{ID: "waits", Purpose: iam.TokenKeys, Algorithm: "ES256", CreatedAt: t0}
	rsa := iam.Key{ID: "rsa", Purpose: iam.TokenKeys, Algorithm: "RS256", CreatedAt: t0, ActivateAt: hour(9)}
	code := iam.Key{ID: "code", Purpose: iam.CodeKeys, Algorithm: "ES256", CreatedAt: t0, ActivateAt: hour(9)}
	for _, keys := range [][]iam.Key{{a, b, c, waits, rsa, code}, {code, rsa, waits, c, b, a}, {b, code, c, waits, a, rsa}} {
		line := iam.LineOf(keys, iam.TokenKeys, "ES256")
		if len(line) != 4 {
			t.Errorf("a line of %d keys, want 4", len(line))
		}
		for now, want := range map[time.Time]iam.KeyID{hour(0): "a", hour(1): "a", hour(2): "b", hour(99): "c"} {
			if active, _ := line.Active(now); active.ID != want {
				t.Errorf("%s signs at %s, want %s", active.ID, now.Format("15:04"), want)
			}
		}
		// b took over from a at two, whatever came later.
		if state := line.State(a, hour(3), time.Hour); state != iam.Removed {
			t.Errorf("the key that was superseded an hour ago is %s", state)
		}
		if state := line.State(a, hour(3), time.Hour+1); state != iam.Retiring {
			t.Errorf("just before: %s", state)
		}
	}
	line := iam.Line{never, waits, a}
	if state := line.State(a, hour(99), time.Hour); state != iam.Active {
		t.Errorf("the key that signs is %s", state)
	}
	c.ActivateAt = hour(99)
	if state := (iam.Line{c, never, waits, a}).State(a, hour(99), time.Hour); state != iam.Retiring {
		t.Errorf("the key that signed until now is %s: a key removed before its time superseded it", state)
	}
}

func TestC24KeyStates(t *testing.T) {
	day, overlap := 24*time.Hour, time.Hour
	t0 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	old := iam.Key{ID: "old", CreatedAt: t0, ActivateAt: t0}
	next := iam.Key{ID: "next", CreatedAt: t0, ActivateAt: t0.Add(day)}
	pending := iam.Key{ID: "pending", CreatedAt: t0.Add(day)}
	gone := iam.Key{ID: "gone", CreatedAt: t0, ActivateAt: t0.Add(2 * day), RemovedAt: t0.Add(2 * day)}
	line := iam.Line{pending, gone, next, old}
	for _, tc := range []struct {
		name                    string
		now                     time.Time
		active                  iam.KeyID
		old, next, pending, end iam.KeyState
	}{
		{"before the rotation", t0.Add(time.Minute), "old", iam.Active, iam.Pending, iam.Pending, iam.Removed},
		{"at the rotation", t0.Add(day), "next", iam.Retiring, iam.Active, iam.Pending, iam.Removed},
		{"within the overlap", t0.Add(day + overlap - 1), "next", iam.Retiring, iam.Active, iam.Pending, iam.Removed},
		{"after the overlap", t0.Add(day + overlap), "next", iam.Removed, iam.Active, iam.Pending, iam.Removed},
		{"a removed key never signs", t0.Add(3 * day), "next", iam.Removed, iam.Active, iam.Pending, iam.Removed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			active, _ := line.Active(tc.now)
			if active.ID != tc.active {
				t.Errorf("active %s, want %s", active.ID, tc.active)
			}
			for key, want := range map[*iam.Key]iam.KeyState{&old: tc.old, &next: tc.next, &pending: tc.pending, &gone: tc.end} {
				if got := line.State(*key, tc.now, overlap); got != want {
					t.Errorf("%s is %s, want %s", key.ID, got, want)
				}
			}
		})
	}
}
