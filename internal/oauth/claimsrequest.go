package oauth

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const maxClaimsRequest = 2048

// ClaimsRequest is the `claims` parameter (OpenID Connect Core §5.5), reduced to
// what can be honoured: the names asked for in each place, an essential acr, and
// an essential sub.
type ClaimsRequest struct {
	UserInfo []string `json:"u,omitempty"`
	IDToken  []string `json:"i,omitempty"`
	ACR      []string `json:"a,omitempty"` // essential: one of these, or no answer
	Subject  string   `json:"s,omitempty"` // the login must be this user's
}

// IsZero tells whether nothing is asked for.
func (c ClaimsRequest) IsZero() bool {
	return len(c.UserInfo)+len(c.IDToken)+len(c.ACR) == 0 && c.Subject == ""
}

// Names are all claims asked for by name.
func (c ClaimsRequest) Names() []string { return slices.Concat(c.UserInfo, c.IDToken) }

// Text is what a grant keeps.
func (c ClaimsRequest) Text() string {
	if len(c.UserInfo)+len(c.IDToken) == 0 {
		return ""
	}
	b, err := json.Marshal(ClaimsRequest{UserInfo: c.UserInfo, IDToken: c.IDToken})
	if err != nil {
		panic("oauth: lists of strings always marshal: " + err.Error())
	}
	return string(b)
}

// StoredClaimsRequest reads what Text wrote.
func StoredClaimsRequest(text string) ClaimsRequest {
	var c ClaimsRequest
	if text != "" {
		_ = json.Unmarshal([]byte(text), &c) // written by us; unreadable means nothing asked
	}
	return c
}

type claimRequest struct {
	Essential bool              `json:"essential"`
	Value     json.RawMessage   `json:"value"`
	Values    []json.RawMessage `json:"values"`
}

// ParseClaimsRequest reads the parameter strictly: one object with the members
// userinfo and id_token, each an object of names.
func ParseClaimsRequest(text string) (ClaimsRequest, error) {
	if text == "" {
		return ClaimsRequest{}, nil
	}
	if len(text) > maxClaimsRequest {
		return ClaimsRequest{}, InvalidRequest("The parameter \"claims\" has more than %d bytes.", maxClaimsRequest)
	}
	refuse := InvalidRequest("The parameter \"claims\" is not an object such as {\"userinfo\":{\"email\":null}}.")
	if _, err := jose.ParseClaims([]byte(text)); err != nil {
		return ClaimsRequest{}, refuse.Because(err) // duplicates, trailing data, wrong types
	}
	var document struct {
		UserInfo map[string]*claimRequest `json:"userinfo"`
		IDToken  map[string]*claimRequest `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return ClaimsRequest{}, refuse.Because(err)
	}
	c := ClaimsRequest{UserInfo: names(document.UserInfo), IDToken: names(document.IDToken)}
	if len(c.UserInfo)+len(c.IDToken) > 64 {
		return ClaimsRequest{}, InvalidRequest("The parameter \"claims\" asks for more than 64 claims.")
	}
	if acr := document.IDToken["acr"]; acr != nil && acr.Essential {
		c.ACR = acr.texts()
	}
	for _, place := range []map[string]*claimRequest{document.UserInfo, document.IDToken} {
		sub := place["sub"]
		if sub == nil || len(sub.texts()) == 0 {
			continue
		}
		if texts := sub.texts(); len(texts) > 1 || c.Subject != "" && c.Subject != texts[0] {
			return ClaimsRequest{}, InvalidRequest("The parameter \"claims\" asks for more than one sub.")
		}
		c.Subject = sub.texts()[0]
	}
	return c, nil
}

func names(m map[string]*claimRequest) []string {
	var list []string
	for name := range m {
		if len(name) <= 64 && !strings.Contains(name, "#") {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func (c *claimRequest) texts() []string {
	var list []string
	for _, raw := range append(c.Values, c.Value) {
		var s string
		if json.Unmarshal(raw, &s) == nil && s != "" {
			list = append(list, s)
		}
	}
	return list
}
