package policy_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// Every published request gets its published verdict (C35, T74 to T78).
func TestC35Corpus(t *testing.T) {
	all, err := policy.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range all {
		count[s.Verdict]++
		c, err := policy.Canonicalize(s.Method, s.Target)
		var rejected *policy.Rejected
		if errors.As(err, &rejected) {
			if rejected.Reason != s.Verdict || rejected.Detail == "" {
				t.Errorf("%s:%d: %s %q: %v, want %s (%s)", s.File, s.Line, s.Method, s.Target, err, s.Verdict, s.Note)
			}
			continue
		}
		if s.Verdict != "accept" {
			t.Errorf("%s:%d: %s %q is accepted, want %s (%s)", s.File, s.Line, s.Method, s.Target, s.Verdict, s.Note)
			continue
		}
		var want []string
		if err := json.Unmarshal([]byte(s.Note), &want); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.Segments, want) || c.Target() != s.Target || c.Method != s.Method {
			t.Errorf("%s:%d: %q is read as %q, want %q", s.File, s.Line, s.Target, c.Segments, want)
		}
	}
	t.Logf("%d requests: %v", len(all), count)
	if len(all) < 150 || count["accept"] < 40 {
		t.Errorf("%d requests: rows were lost", len(all))
	}
}

func TestCanonicalBounds(t *testing.T) {
	for _, tc := range []struct {
		name, target string
		ok           bool
	}{
		{"128 segments", strings.Repeat("/a", 128), true},
		{"129 segments", strings.Repeat("/a", 129), false},
		{"16 KiB", "/" + strings.Repeat("a", 16<<10-1), true},
		{"more than 16 KiB", "/" + strings.Repeat("a", 16<<10), false},
	} {
		if _, err := policy.Canonicalize("GET", tc.target); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// A query value counts only where nobody could read another one (C35).
func TestC35QueryOnce(t *testing.T) {
	for _, tc := range []struct {
		query, value string
		ok           bool
	}{
		{"tenant=t1", "t1", true},
		{"a=1&tenant=t1&b=2", "t1", true},
		{"tenant=t%31", "t1", true},
		{"%74enant=t1", "t1", true},
		{"tenant=a%20b", "a b", true},
		{"tenant=a%2Bb", "a+b", true},
		{"tenant=", "", true},
		{"tenant", "", true},
		{"tenants=t1&tenant=t2", "t2", true},
		{"", "", false},
		{"a=1", "", false},
		{"tenant=t1&tenant=t1", "", false},
		{"tenant=t1&tenant=t2", "", false},
		{"tenant=t1&%74enant=t2", "", false},
		{"tenant=t1&Tenant=t2", "", false},
		{"Tenant=t1", "", false},
		{"tenant[]=t1", "", false},
		{"tenant=t1&tenant[]=t2", "", false},
		{"tenant=t1&tenant%5B0%5D=t2", "", false},
		{"tenant=t1&+tenant=t2", "", false},
		{"tenant=t1&tenant%20=t2", "", false},
		{"tenant=t1;tenant=t2", "", false},
		{"a=1;tenant=t2&tenant=t1", "", false},
		{"tenant=a+b", "", false},
		{"tenant=%ff", "", false},
	} {
		c, err := policy.Canonicalize("GET", "/x?"+tc.query)
		if err != nil {
			t.Fatal(err)
		}
		value, ok := c.Query("tenant")
		if ok != tc.ok || ok && value != tc.value {
			t.Errorf("%s: %q %v, want %q %v", tc.query, value, ok, tc.value, tc.ok)
		}
	}
	c, err := policy.Canonicalize("GET", "/x?org_id=1&org.id=2")
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := c.Query("org_id"); ok {
		t.Errorf("org.id is org_id for PHP, and yet %q counts", v)
	}
}

// What is accepted has one reading: net/url agrees with it, writing it anew and
// reading that gives the same, and decoding again changes nothing.
func FuzzCanonicalize(f *testing.F) {
	all, err := policy.Corpus()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range all {
		f.Add(s.Method, s.Target)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		c, err := policy.Canonicalize(method, target)
		if err != nil {
			var rejected *policy.Rejected
			if !errors.As(err, &rejected) {
				t.Fatalf("%T is no *Rejected", err)
			}
			return
		}
		if c.Target() != target {
			t.Fatalf("%q became %q", target, c.Target())
		}
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatalf("net/url refuses %q: %v", target, err)
		}
		if u.Opaque != "" || u.Host != "" || u.RequestURI() != target {
			t.Fatalf("net/url forwards %q as %q", target, u.RequestURI())
		}
		ours := "/" + strings.Join(c.Segments, "/")
		if c.Slash {
			ours += "/"
		}
		if u.Path != ours {
			t.Fatalf("net/url reads %q, we read %q", u.Path, ours)
		}
		again, err := url.PathUnescape(ours)
		if err != nil || again != ours {
			t.Fatalf("decoding %q twice gives %q, %v", target, again, err)
		}
		anew, err := policy.Canonicalize(method, (&url.URL{Path: ours}).EscapedPath())
		if strings.ContainsRune(ours, ';') {
			return // net/url may write ; either way, and one of them is refused
		}
		if err != nil || !slices.Equal(anew.Segments, c.Segments) || anew.Slash != c.Slash {
			t.Fatalf("%q written anew is %q, %v", target, anew.Segments, err)
		}
	})
}
