package gateway

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// known is what the rules make of a verified token: never a decision, only what
// one is made from. There are many of them, so it holds no more than these rules
// ask for: what is small is cheap for the collector as well.
type known struct {
	caller    guard.Caller
	policy    policy.Caller
	identity  []header // plain headers for the upstream; shared, not to be changed
	algorithm string
	fault     error // a claim that cannot be handed over
}

// header is one header with its value, in the form that http.Header keeps.
type header struct {
	name  string
	value []string
}

// know reads a verified token once for these rules.
func (r *rules) know(caller guard.Caller, raw string) *known {
	if k := r.seen.get(caller); k != nil {
		return k
	}
	k := &known{caller: caller}
	k.policy = policy.Caller{Issuer: caller.Issuer(), Subject: caller.Subject(), ClientID: caller.ClientID(), Scopes: caller.Scopes(), Roles: caller.Roles()}
	claims, err := guard.Claims[map[string]json.RawMessage](caller)
	if err != nil {
		k.fault = fmt.Errorf("read the claims: %w", err)
	}
	if asked := pick(claims, r.claims); len(asked) > 0 {
		k.policy.Claim = func(name string) (string, bool) { return policy.ClaimText(asked[name]) }
	}
	var issued json.Number
	if json.Unmarshal(claims["iat"], &issued) == nil {
		if seconds, err := issued.Float64(); err == nil && seconds > 0 && seconds < 1<<40 {
			k.policy.Issued = time.Unix(int64(seconds), 0)
		}
	}
	if t, err := jose.Parse(raw); err == nil {
		k.algorithm = string(t.Algorithm())
	}
	for i, h := range r.headers {
		value, ok := text(h.Claim(), claims, &k.policy)
		if ok && !valuable(value) {
			k.fault = fmt.Errorf("the claim %s cannot be the value of a header", h.Claim())
		}
		if ok {
			k.identity = append(slices.Grow(k.identity, len(r.headers)-i), header{h.Name, []string{value}})
		}
	}
	r.seen.put(caller, k)
	return k
}

// pick keeps the claims that the policy compares with requests.
func pick(claims map[string]json.RawMessage, names []string) map[string]json.RawMessage {
	if len(names) == 0 {
		return nil
	}
	asked := make(map[string]json.RawMessage, len(names))
	for _, name := range names {
		if raw, ok := claims[name]; ok {
			asked[name] = raw
		}
	}
	return asked
}

// text is the value of a claim for a header. Roles and lists are joined with
// commas, so an element that has one is no value.
func text(name string, claims map[string]json.RawMessage, who *policy.Caller) (string, bool) {
	var list []string
	switch {
	case name == "roles":
		list = who.Roles
	case name == "client_id":
		return who.ClientID, who.ClientID != ""
	case name == "scope":
		return strings.Join(who.Scopes, " "), true
	case json.Unmarshal(claims[name], &list) != nil || list == nil:
		return policy.ClaimText(claims[name])
	}
	for _, element := range list {
		if strings.Contains(element, ",") {
			return "\x00", true // no value of a header
		}
	}
	return strings.Join(list, ","), len(list) > 0
}

// valuable tells whether a claim's text can be the value of a header: what
// could begin another header, or be read in two ways, cannot.
func valuable(v string) bool {
	return v == strings.TrimSpace(v) && utf8.ValidString(v) && !strings.ContainsFunc(v, unicode.IsControl)
}

// memory keeps the newest of a bounded number of tokens. It forgets the older
// half of a shard when that is full.
type memory struct {
	seed  maphash.Seed
	size  int
	shard [16]struct {
		mu       sync.RWMutex
		new, old map[guard.Caller]*known
	}
}

func newMemory(size int) *memory { return &memory{seed: maphash.MakeSeed(), size: size / 16 / 2} }

func (m *memory) get(c guard.Caller) *known {
	s := &m.shard[maphash.Comparable(m.seed, c)%16]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if k, ok := s.new[c]; ok {
		return k
	}
	return s.old[c]
}

func (m *memory) put(c guard.Caller, k *known) {
	s := &m.shard[maphash.Comparable(m.seed, c)%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.new == nil || len(s.new) >= m.size {
		s.old, s.new = s.new, map[guard.Caller]*known{}
	}
	s.new[c] = k
}
