package guard

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Any makes one Guard of several, for an API that takes tokens of more than one
// issuer. A token is handed to the guard whose Issuer is exactly its `iss`, and
// to no other; that guard alone verifies it, with its own keys, cache, audience
// and profile. Closing the new Guard closes them all.
//
// Two guards of one issuer are an error, because `iss` could not choose between
// them; so are guards that differ in CORS, which the API has only once. Log
// lines go to the first one's Logger.
func Any(guards ...*Guard) (*Guard, error) {
	if len(guards) == 0 {
		return nil, errors.New("guard: Any needs at least one guard")
	}
	var faults []error
	all := &Guard{members: map[string]*Guard{}}
	for i, g := range guards {
		if !g.usable() || g.members != nil {
			faults = append(faults, fmt.Errorf("guard: Any: guard %d is nil, zero or itself made by Any", i+1))
			continue
		}
		if all.members[g.issuer] != nil {
			faults = append(faults, fmt.Errorf("guard: Any: two guards of the issuer %s; a token's iss could not choose between them", g.issuer))
		}
		if all.now == nil {
			all.audience, all.logger, all.now, all.cors, all.metadata = g.audience, g.logger, g.now, g.cors, g.metadata
		}
		if !reflect.DeepEqual(all.cors, g.cors) {
			faults = append(faults, errors.New("guard: Any: the guards differ in CORS; give all of them the same"))
		}
		if all.audience != g.audience { // then there is no one name of this API to publish
			all.audience, all.metadata = "", ""
		}
		all.members[g.issuer] = g
		all.order = append(all.order, g)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return all, nil
}

// pick chooses the guard that shall verify a token. What it reads is not
// verified yet, and chooses nothing but the guard.
func (g *Guard) pick(t jose.Token) (*Guard, error) {
	if g.members == nil {
		return g, nil
	}
	claims, err := t.Claims()
	if err != nil {
		return nil, err
	}
	member, ok := g.members[claims.Issuer]
	if !ok {
		return nil, fmt.Errorf("%w: got %.100q, want one of %q", jose.ErrIssuer, claims.Issuer, g.issuers())
	}
	return member, nil
}

// each is the guard itself, or those that it was made of.
func (g *Guard) each() []*Guard {
	if g.members == nil {
		return []*Guard{g}
	}
	return g.order
}

func (g *Guard) issuers() []string {
	var names []string
	for _, member := range g.each() {
		names = append(names, member.issuer)
	}
	return names
}

// usable tells whether the guard can verify anything.
func (g *Guard) usable() bool { return g != nil && (g.keys != nil || g.members != nil) }
