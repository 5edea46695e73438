package token

import (
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Seal and Open are what Redeem does with the text of a code, for the fuzz test.
func (s *Service) Seal(c Code) (string, error) { return s.sealCode(code(c)) }

// Open is the inverse of Seal.
func (s *Service) Open(raw string) (Code, error) {
	c, err := s.openCode(raw)
	return Code(c), err
}

// Code is what a code seals.
type Code code

// Equal compares two codes; an empty list is none.
func (c Code) Equal(o Code) bool {
	same := slices.Equal(c.Scopes, o.Scopes) && slices.Equal(c.AMR, o.AMR)
	return same && c.ID == o.ID && c.Client == o.Client && c.User == o.User && c.Resource == o.Resource && c.Challenge == o.Challenge && c.RedirectURI == o.RedirectURI &&
		c.Via == o.Via && c.AuthTime == o.AuthTime && c.ACR == o.ACR && c.UserEpoch == o.UserEpoch && c.ClientEpoch == o.ClientEpoch && c.Expires == o.Expires && c.Session == o.Session && c.Nonce == o.Nonce && c.Claims == o.Claims && c.Consent == o.Consent
}

// MakeRefresh writes the refresh token of a generation of a grant.
func (s *Service) MakeRefresh(grant string, gen int64) (string, error) {
	key, err := s.sealer.RefreshKey()
	if err != nil {
		return "", err
	}
	return s.formatRefresh(refreshToken{key: key, grant: iam.GrantID(grant), gen: gen})
}

// ReadRefresh reads a refresh token and writes it again.
func (s *Service) ReadRefresh(raw string) (grant string, gen int64, again string, err error) {
	t, err := s.parseRefresh(raw)
	if err != nil {
		return "", 0, "", err
	}
	again, err = s.formatRefresh(t)
	return string(t.grant), t.gen, again, err
}
