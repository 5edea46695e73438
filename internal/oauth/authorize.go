package oauth

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of what an authorization request carries along (C10): it travels
// sealed through the browser, so nothing in it may be large.
const (
	MaxState     = 1024
	maxNonce     = 512
	maxHint      = 256
	maxHintToken = 4096
	maxWishes    = 8
	maxWish      = 64
)

// Response modes.
const (
	ModeQuery    = "query"
	ModeFormPost = "form_post"
)

// AuthorizeRequest is an authorization request (RFC 6749 §4.1.1, OpenID Connect
// Core §3.1.2.1) whose form is good. It may ask for what the client cannot have.
type AuthorizeRequest struct {
	ClientID     string        `json:"c"`
	RedirectURI  string        `json:"r"`
	ResponseMode string        `json:"m,omitempty"`
	State        string        `json:"s,omitempty"`
	Nonce        string        `json:"n,omitempty"`
	Scopes       []string      `json:"sc,omitempty"`
	Resource     string        `json:"rs,omitempty"`
	Challenge    PKCEChallenge `json:"p"`
	Prompt       []string      `json:"pr,omitempty"`
	MaxAge       *int64        `json:"ma,omitempty"` // seconds
	LoginHint    string        `json:"lh,omitempty"`
	IDTokenHint  string        `json:"-"` // read once, at the start; Subject is what it said
	Subject      string        `json:"su,omitempty"`
	ACRValues    []string      `json:"ac,omitempty"`
	Locales      []string      `json:"ul,omitempty"`
	Claims       ClaimsRequest `json:"cl,omitzero"`
}

// Asks tells whether the prompt parameter has a value.
func (r AuthorizeRequest) Asks(prompt string) bool { return slices.Contains(r.Prompt, prompt) }

// OpenID tells whether an ID token is asked for.
func (r AuthorizeRequest) OpenID() bool { return slices.Contains(r.Scopes, "openid") }

// Where a request wants its answer. Nothing else of a request is looked at
// before the client and the redirect URI are proven, because until then an
// error has nowhere to go (RFC 6749 §4.1.2.1).
type Where struct {
	ClientID    string
	RedirectURI string
	RequestURI  string
	State       string
	Mode        string
}

// ParseWhere reads what must be known before anything may be answered by redirect.
func ParseWhere(form Form) Where {
	w := Where{ClientID: form.Get("client_id"), RedirectURI: form.Get("redirect_uri"), RequestURI: form.Get("request_uri"), State: form.Get("state"), Mode: form.Get("response_mode")}
	if len(w.State) > MaxState {
		w.State = ""
	}
	if w.Mode != ModeFormPost || !postable(w.RedirectURI) {
		w.Mode = ModeQuery // also errors about the mode itself are answered in the default one
	}
	return w
}

// postable tells whether a page of ours can post a form to uri: only http and
// https take one, and a content security policy has no way to name an IPv6 host.
func postable(uri string) bool {
	rest, secure := strings.CutPrefix(uri, "https://")
	if !secure {
		var plain bool
		if rest, plain = strings.CutPrefix(uri, "http://"); !plain {
			return false
		}
	}
	return !strings.HasPrefix(rest, "[")
}

// ParseAuthorize reads the rest. Each fault is the client's, to be answered at
// its redirect URI.
func ParseAuthorize(form Form) (AuthorizeRequest, error) {
	r := AuthorizeRequest{ClientID: form.Get("client_id"), RedirectURI: form.Get("redirect_uri"), ResponseMode: form.Get("response_mode"),
		State: form.Get("state"), Nonce: form.Get("nonce"), LoginHint: form.Get("login_hint"), IDTokenHint: form.Get("id_token_hint"),
		Locales: wishes(form.Get("ui_locales"))}
	for _, check := range []func(Form) error{refuseRequestObjects, checkResponse, r.checkSizes} {
		if err := check(form); err != nil {
			return AuthorizeRequest{}, err
		}
	}
	if r.ResponseMode == "" {
		r.ResponseMode = ModeQuery
	}
	var err error
	if r.Challenge, err = ParsePKCE(form); err != nil {
		return AuthorizeRequest{}, err
	}
	if r.Scopes, err = ParseScope(form.Get("scope")); err != nil {
		return AuthorizeRequest{}, err
	}
	if r.Resource, err = ParseResource(form); err != nil {
		return AuthorizeRequest{}, err
	}
	if r.Prompt, err = parsePrompt(form.Get("prompt")); err != nil {
		return AuthorizeRequest{}, err
	}
	if r.MaxAge, err = parseMaxAge(form.Get("max_age")); err != nil {
		return AuthorizeRequest{}, err
	}
	if r.Claims, err = ParseClaimsRequest(form.Get("claims")); err != nil {
		return AuthorizeRequest{}, err
	}
	r.ACRValues = wishes(form.Get("acr_values"))
	return r, nil
}

// wishes reads a list whose values are no more than wishes, best first: what is
// beyond the first ones, or too long to be one, is not worth an error (OpenID
// Connect Core §3.1.2.1).
func wishes(s string) []string {
	list := slices.DeleteFunc(strings.Fields(s), func(wish string) bool { return len(wish) > maxWish })
	return list[:min(len(list), maxWishes)]
}

func refuseRequestObjects(form Form) error {
	switch {
	case form.Get("request") != "":
		return Refuse(CodeRequestNotSupported, "Request objects are not supported: push the parameters to the PAR endpoint instead (RFC 9126).")
	case form.Get("registration") != "":
		return Refuse(CodeRegistrationNotSupport, "The registration parameter is not supported: clients are registered by an administrator.")
	}
	return nil
}

func checkResponse(form Form) error {
	switch kind := form.Get("response_type"); {
	case kind == "":
		return InvalidRequest("The parameter \"response_type\" is missing.")
	case kind != "code":
		return Refuse(CodeUnsupportedResponseType, "The response_type must be code: OAuth 2.1 removed the others.")
	}
	switch m := form.Get("response_mode"); {
	case m != "" && m != ModeQuery && m != ModeFormPost:
		return InvalidRequest("The response_mode is not one of query, form_post.")
	case m == ModeFormPost && !postable(form.Get("redirect_uri")):
		return InvalidRequest("The response_mode form_post needs a redirect URI with http or https and a host that is no IPv6 address.")
	}
	return nil
}

func (r AuthorizeRequest) checkSizes(Form) error {
	for _, p := range []struct {
		name, value string
		max         int
	}{{"state", r.State, MaxState}, {"nonce", r.Nonce, maxNonce}, {"login_hint", r.LoginHint, maxHint}, {"id_token_hint", r.IDTokenHint, maxHintToken}} {
		if len(p.value) > p.max {
			return InvalidRequest("The parameter %q has more than %d bytes.", p.name, p.max)
		}
	}
	return nil
}

func parsePrompt(s string) ([]string, error) {
	prompt := strings.Fields(s)
	for _, p := range prompt {
		if !slices.Contains(promptValues, p) {
			return nil, InvalidRequest("The prompt is not made of none, login, consent, select_account.")
		}
	}
	if slices.Contains(prompt, "none") && len(prompt) > 1 {
		return nil, InvalidRequest("The prompt \"none\" cannot be combined with another value.")
	}
	return prompt, nil
}

var promptValues = []string{"none", "login", "consent", "select_account"}

// PromptValues are those that the authorization endpoint honours.
func PromptValues() []string { return slices.Clone(promptValues) }

func parseMaxAge(s string) (*int64, error) {
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > int64(10*365*24*time.Hour/time.Second) {
		return nil, InvalidRequest("The max_age is not a number of seconds.")
	}
	return &n, nil
}

// AuthorizeAnswer is what goes back to the client through the browser: a code
// or an error, never both. The issuer is in each (RFC 9207).
type AuthorizeAnswer struct {
	Code  string
	Err   *Error
	State string
}

// Fields are the parameters of the answer, in order.
func (a AuthorizeAnswer) Fields(issuer string) [][2]string {
	var fields [][2]string
	if a.Err != nil {
		fields = append(fields, [2]string{"error", a.Err.Code}, [2]string{"error_description", describable(a.Err.Description)})
	} else {
		fields = append(fields, [2]string{"code", a.Code})
	}
	if a.State != "" {
		fields = append(fields, [2]string{"state", a.State})
	}
	return append(fields, [2]string{"iss", issuer})
}

// describable holds what RFC 6749 §4.1.2.1 allows in error_description.
func describable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}

// URL adds the answer to a proven redirect URI, beside the query that it was
// registered with.
func (a AuthorizeAnswer) URL(redirectURI, issuer string) string {
	var b strings.Builder
	b.WriteString(redirectURI)
	separator := byte('?')
	if strings.Contains(redirectURI, "?") {
		separator = '&'
	}
	for _, f := range a.Fields(issuer) {
		b.WriteByte(separator)
		b.WriteString(f[0] + "=" + url.QueryEscape(f[1]))
		separator = '&'
	}
	return b.String()
}
