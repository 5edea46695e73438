package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// person are the flags for what OpenID Connect tells apps about a user.
type person struct {
	emailVerified, phoneVerified bool
	phone, address               string
	claims                       []string
}

func (p *person) flags(c *cobra.Command) {
	c.Flags().BoolVar(&p.emailVerified, "email-verified", false, "you know that the e-mail address is this user's")
	c.Flags().StringVar(&p.phone, "phone", "", "phone number, as +4930123456")
	c.Flags().BoolVar(&p.phoneVerified, "phone-verified", false, "you know that the phone number is this user's")
	c.Flags().StringVar(&p.address, "address", "", "postal address, as on a letter")
	c.Flags().StringArrayVar(&p.claims, "profile", nil, "a profile claim such as given_name=Ada; an empty value removes it (repeatable)")
}

// apply sets what was given. An address that changes is not verified any more,
// unless the same command says so.
func (p person) apply(c *cobra.Command, u *iam.User) error {
	changed := c.Flags().Changed
	if changed("email") {
		u.EmailVerified = false
	}
	if changed("email-verified") {
		u.EmailVerified = p.emailVerified
	}
	if changed("phone") {
		u.Phone, u.PhoneVerified = p.phone, false
	}
	if changed("phone-verified") {
		u.PhoneVerified = p.phoneVerified
	}
	if changed("address") {
		u.Address = p.address
	}
	profile := map[string]string{}
	for name, value := range u.Profile {
		profile[name] = value
	}
	for _, claim := range p.claims {
		name, value, found := strings.Cut(claim, "=")
		if !found {
			return usagef("--profile %s is not of the form NAME=VALUE", iam.Printable(claim, 64))
		}
		if profile[name] = value; value == "" {
			delete(profile, name)
		}
	}
	u.Profile = profile
	return nil
}

func personFields(u iam.User) []field {
	verified := func(value string, yes bool) string {
		if value != "" && yes {
			return value + " (verified)"
		}
		return value
	}
	var profile []string
	for _, name := range iam.StandardClaims() {
		if value := u.Profile[name]; value != "" {
			profile = append(profile, name+"="+value)
		}
	}
	return []field{{"email", verified(u.Email, u.EmailVerified)}, {"name", u.Name}, {"phone", verified(u.Phone, u.PhoneVerified)}, {"address", strings.ReplaceAll(u.Address, "\n", ", ")}, {"profile", strings.Join(profile, " ")}}
}
