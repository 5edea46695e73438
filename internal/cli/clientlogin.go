package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// signOn are the flags of an app that signs users in with OpenID Connect.
type signOn struct {
	postLogout, noPostLogout     []string
	backchannel, algorithm       string
	requirePAR, device           bool
	handoffURL, handoffMode, dom string
}

func (s *signOn) createFlags(c *cobra.Command) {
	c.Flags().StringArrayVar(&s.postLogout, "post-logout-redirect-uri", nil, "where browsers may go after a logout, matched exactly (repeatable)")
	s.flags(c)
}

func (s *signOn) editFlags(c *cobra.Command) {
	c.Flags().StringArrayVar(&s.postLogout, "add-post-logout-redirect-uri", nil, "let browsers go there after a logout (repeatable)")
	c.Flags().StringArrayVar(&s.noPostLogout, "remove-post-logout-redirect-uri", nil, "and no longer (repeatable)")
	s.flags(c)
}

func (s *signOn) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.backchannel, "backchannel-logout-uri", "", "is told when a session ends; \"\" for nobody")
	c.Flags().StringVar(&s.algorithm, "id-token-alg", "", "signs its ID, logout and hand-off tokens: "+strings.Join(iam.IDTokenAlgorithms(), ", "))
	c.Flags().BoolVar(&s.requirePAR, "require-par", false, "take only authorization requests that were pushed (RFC 9126)")
	c.Flags().BoolVar(&s.device, "device", false, "may sign users in on devices without a browser (RFC 8628)")
	c.Flags().StringVar(&s.handoffURL, "handoff-url", "", "hand logins to an app that cannot speak OpenID Connect; \"\" for off")
	c.Flags().StringVar(&s.handoffMode, "handoff-mode", string(iam.HandoffForm), "how: form_post, query or cookie")
	c.Flags().StringVar(&s.dom, "handoff-domain", "", "parent domain of the cookie, with --handoff-mode cookie")
}

// apply sets what was given.
func (s signOn) apply(c *cobra.Command, client *iam.Client) {
	changed := c.Flags().Changed
	client.PostLogoutRedirectURIs = revise(client.PostLogoutRedirectURIs, s.postLogout, s.noPostLogout)
	if changed("backchannel-logout-uri") {
		client.BackchannelLogoutURI = s.backchannel
	}
	if changed("id-token-alg") {
		client.IDTokenAlgorithm = s.algorithm
	}
	if changed("require-par") {
		client.RequirePAR = s.requirePAR
	}
	if changed("device") {
		client.GrantTypes = slices.DeleteFunc(slices.Clone(client.GrantTypes), func(g string) bool { return g == iam.DeviceCode })
		if s.device {
			client.GrantTypes = append(client.GrantTypes, iam.DeviceCode)
		}
	}
	s.applyHandoff(c, client)
}

// applyHandoff sets what was given and keeps the rest. Without a URL, now or
// before, there is nothing to keep it in: the client's own check says so.
func (s signOn) applyHandoff(c *cobra.Command, client *iam.Client) {
	changed := c.Flags().Changed
	if !changed("handoff-url") && !changed("handoff-mode") && !changed("handoff-domain") {
		return
	}
	if changed("handoff-url") && s.handoffURL == "" {
		client.Handoff = nil
		return
	}
	h := iam.Handoff{Mode: iam.HandoffForm}
	if client.Handoff != nil {
		h = *client.Handoff
	}
	if changed("handoff-url") {
		h.URL = s.handoffURL
	}
	if changed("handoff-mode") {
		h.Mode, h.Domain = iam.HandoffMode(s.handoffMode), ""
	}
	if changed("handoff-domain") {
		h.Domain = s.dom
	}
	client.Handoff = &h
}

func signOnFields(c iam.Client) []field {
	if c.Type == iam.Service {
		return nil
	}
	handoff := ""
	if c.Handoff != nil {
		handoff = string(c.Handoff.Mode) + " to " + c.Handoff.URL
	}
	return []field{{"post-logout URIs", strings.Join(c.PostLogoutRedirectURIs, " ")}, {"back-channel logout", c.BackchannelLogoutURI}, {"ID token algorithm", c.IDTokenAlg()},
		{"requires PAR", yes(c.RequirePAR)}, {"hand-off", handoff}}
}
