package iam

import (
	"slices"
	"strings"
)

// Asked is what a client asked a token to be.
type Asked struct {
	Scopes   []string // none: the client's default scopes
	Granted  bool     // Scopes are those of a grant: none means none
	Resource string   // RFC 8707, "" when absent
}

// Holder is who the token speaks for: a user or a service account, with the
// roles it holds today.
type Holder struct {
	Roles   []Role
	Service bool
}

// Granted is what a token will carry.
type Granted struct {
	API      API      // zero when the audience is the issuer itself
	Audience string   // exactly one (C4)
	Scopes   []string // in the order asked
	Roles    []string // those shown in the token (C6)
	// Standing is what the grant keeps: everything asked for that the client may
	// hold, whatever the roles of today say (C5). Of a client that users are asked
	// about it is what they are asked: the scopes of this API and no other's.
	Standing []string
}

// Denied is a question that has no token as its answer.
type Denied struct {
	Target bool // true: invalid_target, false: invalid_scope
	Reason string
}

func (e *Denied) Error() string { return e.Reason }

// Decide answers what a token for asked carries (C4, C5, C6). It is computed
// anew for each token, so that a role taken away is gone at the next refresh.
func Decide(issuer string, apis []API, client Client, holder Holder, asked Asked) (Granted, error) {
	scopes := asked.Scopes
	if len(scopes) == 0 && !asked.Granted {
		scopes = defaultScopes(apis, client, holder, asked.Resource)
	}
	if err := checkKnown(apis, scopes); err != nil {
		return Granted{}, err
	}
	api, found, err := target(issuer, apis, client, scopes, asked)
	if err != nil {
		return Granted{}, err
	}
	granted := Granted{Audience: issuer}
	if found {
		granted.API, granted.Audience = api, api.Audience
	}
	for _, s := range scopes {
		if client.MayHold(s) && (!client.NeedsConsent() || client.Type == Service || IdentityScope(s) || granted.API.Defines(s)) {
			granted.Standing = append(granted.Standing, s)
		}
		if grants(granted.API, client, holder, s) {
			granted.Scopes = append(granted.Scopes, s)
		}
	}
	if len(asked.Scopes) > 0 && !slices.ContainsFunc(scopes, client.MayHold) {
		return Granted{}, &Denied{Reason: "This client may not be granted any of the scopes asked for."}
	}
	if found && !concerns(api, client, holder) {
		return Granted{}, &Denied{Target: true, Reason: "This client may hold none of the scopes of this API."}
	}
	granted.Roles = shownRoles(granted, client, holder)
	return granted, nil
}

// defaultScopes are what a client gets that asks for nothing (C4). A service
// account without a list of its own gets what its roles hold.
func defaultScopes(apis []API, client Client, holder Holder, resource string) []string {
	scopes := client.DefaultScopes
	if len(scopes) == 0 {
		scopes = client.Scopes
	}
	if len(scopes) == 0 && client.Type == Service {
		scopes = heldScopes(apis, holder)
	}
	if resource == "" {
		return slices.Clone(scopes)
	}
	// The resource says which of the default scopes are meant.
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool {
		return !IdentityScope(s) && !slices.ContainsFunc(apis, func(a API) bool { return a.Audience == resource && a.Defines(s) })
	})
}

func heldScopes(apis []API, holder Holder) []string {
	var scopes []string
	for _, a := range apis {
		for _, s := range a.Scopes {
			if !a.Disabled && holder.holds(a.Name, s.Name) && !slices.Contains(scopes, s.Name) {
				scopes = append(scopes, s.Name)
			}
		}
	}
	return scopes
}

// checkKnown refuses a scope that nobody defines: a typing error in a client
// should not end as a token that silently lacks it.
func checkKnown(apis []API, scopes []string) error {
	for _, s := range scopes {
		if !IdentityScope(s) && !slices.ContainsFunc(apis, func(a API) bool { return a.Defines(s) }) {
			return &Denied{Reason: "The scope " + Printable(s, 64) + " is not defined by any API."}
		}
	}
	return nil
}

// target finds the one API that the token is for (C4).
func target(issuer string, apis []API, client Client, scopes []string, asked Asked) (API, bool, error) {
	live := slices.DeleteFunc(slices.Clone(apis), func(a API) bool { return a.Disabled })
	if asked.Resource != "" {
		return targetByResource(issuer, live, client, asked.Resource)
	}
	wanted := slices.DeleteFunc(slices.Clone(scopes), IdentityScope)
	if len(wanted) == 0 {
		return API{}, false, serviceWithoutTarget(client)
	}
	candidates := slices.DeleteFunc(live, func(a API) bool {
		return slices.ContainsFunc(wanted, func(s string) bool { return !a.Defines(s) })
	})
	if len(candidates) == 1 {
		return candidates[0], true, nil
	}
	if len(candidates) == 0 {
		return API{}, false, &Denied{Target: true, Reason: "The scopes asked for belong to more than one API, or to one that is disabled. Ask for one token per API, with the resource parameter."}
	}
	return API{}, false, &Denied{Target: true, Reason: "More than one API defines these scopes. Say which one is meant with the resource parameter."}
}

func targetByResource(issuer string, live []API, client Client, resource string) (API, bool, error) {
	if resource == issuer {
		return API{}, false, serviceWithoutTarget(client)
	}
	for _, a := range live {
		if a.Audience == resource {
			return a, true, nil
		}
	}
	return API{}, false, &Denied{Target: true, Reason: "No API with this audience is known here."}
}

// concerns tells whether a client may have tokens for an API at all: a token
// without any scope still opens what asks for no more than a valid token.
func concerns(api API, client Client, holder Holder) bool {
	return len(api.Scopes) == 0 || slices.ContainsFunc(api.Scopes, func(s Scope) bool {
		return client.MayHold(s.Name) && (client.Type != Service || holder.holds(api.Name, s.Name))
	})
}

// serviceWithoutTarget refuses a service account whose token would be for the
// issuer: it has no identity scopes to use there (C4).
func serviceWithoutTarget(client Client) error {
	if client.Type == Service {
		return &Denied{Target: true, Reason: "This service account holds no scope of any API, so there is nothing to issue a token for."}
	}
	return nil
}

// grants is the intersection of C5 for one scope.
func grants(api API, client Client, holder Holder, scope string) bool {
	if !client.MayHold(scope) {
		return false
	}
	if IdentityScope(scope) {
		return !holder.Service && IdentityScope(scope)
	}
	return api.Name != "" && api.Defines(scope) && holder.holds(api.Name, scope)
}

func (h Holder) holds(api, scope string) bool {
	return slices.ContainsFunc(h.Roles, func(r Role) bool { return r.Holds(api, scope) })
}

// shownRoles lists the roles that hold a scope of the token's audience, for
// those who may see them (C6).
func shownRoles(granted Granted, client Client, holder Holder) []string {
	may := client.FirstParty || client.Type == Service || slices.Contains(granted.Scopes, "roles")
	if !may || granted.API.Name == "" {
		return nil
	}
	var names []string
	for _, r := range holder.Roles {
		if r.Touches(granted.API.Name) {
			names = append(names, r.Name)
		}
	}
	slices.SortFunc(names, strings.Compare)
	return names
}

// ClaimsFor are the user attributes that become claims of a token for api (C8).
func ClaimsFor(api API, user User) map[string]string {
	claims := map[string]string{}
	for _, name := range api.Claims {
		if value, ok := user.Attributes[name]; ok && CheckClaimName(name) == nil {
			claims[name] = value
		}
	}
	return claims
}
