package iam

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// profileClaims of OpenID Connect Core §5.1 that are stored as they are, beside
// those that have a field of their own.
var profileClaims = []string{"given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale"}

// claimScopes says which scope a standard claim comes with (OpenID Connect Core §5.4).
var claimScopes = map[string]string{
	"name": "profile", "preferred_username": "profile", "updated_at": "profile",
	"email": "email", "email_verified": "email",
	"phone_number": "phone", "phone_number_verified": "phone",
	"address": "address",
}

// ClaimScope is the scope that covers a standard claim of a user, "" for any
// other name.
func ClaimScope(name string) string {
	if slices.Contains(profileClaims, name) {
		return "profile"
	}
	return claimScopes[name]
}

// StandardClaims are all claims that the scopes profile, email, phone and
// address stand for, sorted.
func StandardClaims() []string {
	names := slices.Clone(profileClaims)
	for name := range claimScopes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (u User) checkPerson() error {
	if u.Phone != "" && !phoneNumber(u.Phone) {
		return Invalidf("%q is not a phone number in the form +4930123456 (E.164).", Printable(u.Phone, 32))
	}
	if utf8.RuneCountInString(u.Name) > 256 || len(u.Address) > 1024 || !utf8.ValidString(u.Name+u.Address) {
		return Invalidf("The name has at most 256 characters and the address 1024 bytes, both as UTF-8.")
	}
	for name, value := range u.Profile {
		if !slices.Contains(profileClaims, name) {
			return Invalidf("%q is not a profile claim; those that can be set are %s.", Printable(name, 64), strings.Join(profileClaims, ", "))
		}
		if len(value) > 512 || !utf8.ValidString(value) {
			return Invalidf("The profile claim %q holds more than 512 bytes or is not UTF-8.", name)
		}
	}
	return nil
}

func phoneNumber(s string) bool {
	digits, plus := strings.CutPrefix(s, "+")
	return plus && len(digits) >= 5 && len(digits) <= 15 && !strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
}

// standard is every standard claim that the user has a value for. The verified
// flags are real booleans: a client that reads the string "false" as true would
// link accounts by an address that nobody proved.
func (u User) standard() map[string]any {
	claims := map[string]any{"preferred_username": u.Username}
	for name, value := range u.Profile {
		claims[name] = value
	}
	if u.Name != "" {
		claims["name"] = u.Name
	}
	if !u.UpdatedAt.IsZero() {
		claims["updated_at"] = u.UpdatedAt.Unix()
	}
	if u.Email != "" {
		claims["email"], claims["email_verified"] = u.Email, u.EmailVerified
	}
	if u.Phone != "" {
		claims["phone_number"], claims["phone_number_verified"] = u.Phone, u.PhoneVerified
	}
	if u.Address != "" {
		claims["address"] = map[string]string{"formatted": u.Address}
	}
	return claims
}

// PersonClaims are the standard claims of a user that the scopes stand for,
// and of those asked for by name the ones that allow covers.
func PersonClaims(u User, scopes, named []string, allow func(scope string) bool) map[string]any {
	claims := u.standard()
	for name := range claims {
		scope := ClaimScope(name)
		if !slices.Contains(scopes, scope) && !(slices.Contains(named, name) && allow(scope)) {
			delete(claims, name)
		}
	}
	return claims
}
