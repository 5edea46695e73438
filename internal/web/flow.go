package web

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/page"
)

// Kinds of flow.
const (
	flowAuthorize = "authorize"
	flowDevice    = "device"
	flowAccount   = "account"
	flowLogout    = "logout"
	flowInspect   = "inspect"
	flowHandoff   = "handoff"
	flowPassword  = "password"
)

// flow is what a browser is in the middle of. It travels sealed through the
// browser and works in that one only; nothing of it is stored here (C31).
type flow struct {
	Kind    string                  `json:"k"`
	Request *oauth.AuthorizeRequest `json:"r,omitempty"`
	Since   int64                   `json:"t"`            // when the request came, microseconds
	Sealed  int64                   `json:"s"`            // when this page was made, microseconds
	Browser string                  `json:"b"`            // hash of the browser's own cookie
	Pushed  bool                    `json:"p,omitempty"`  // the request came by way of PAR
	User    iam.UserID              `json:"u,omitempty"`  // whom the page was shown to
	Shown   string                  `json:"sh,omitempty"` // digest of what the consent page listed
	Denied  bool                    `json:"d,omitempty"`
	Chosen  bool                    `json:"l,omitempty"` // the person chose the language: ui_locales have been heard
	// Of the device flow.
	UserCode string `json:"uc,omitempty"`
	// Of a hand-off.
	NonceHash string `json:"nh,omitempty"`
	// Of a logout or a hand-off.
	Client iam.ClientID `json:"c,omitempty"`
	Target string       `json:"to,omitempty"`
}

// pageLife is how long a page may stay open before its form is shown again
// instead of being taken.
const pageLife = time.Hour

const sealKind = "flow"

func (f flow) since() time.Time { return time.UnixMicro(f.Since) }

// locales of the request, until the person chose a language.
func (f flow) locales() []string {
	if f.Request == nil || f.Chosen {
		return nil
	}
	return f.Request.Locales
}

// seal makes the form field of a page, bound to the browser.
func (h *handler) seal(w http.ResponseWriter, r *http.Request, f flow) (string, error) {
	f.Browser, f.Sealed = h.cookies.bind(w, r), h.Now().UnixMicro()
	return h.sealAs(f)
}

func (h *handler) sealAs(f flow) (string, error) {
	plaintext, err := f.encode()
	if err != nil {
		return "", err
	}
	id, sealed, err := h.Forms.SealForm(sealKind, plaintext)
	if err != nil {
		return "", fmt.Errorf("seal flow: %w", err)
	}
	return "v1." + string(id) + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (f flow) encode() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // a state of "<<<" is as long as it looks
	if err := encoder.Encode(f); err != nil {
		return nil, fmt.Errorf("seal flow: %w", err)
	}
	return b.Bytes(), nil
}

// maxFlowBytes bounds what is opened at all; it fits in a query of ours. What
// a request may fill of it leaves room for what the steps add.
const (
	maxFlowBytes    = 8 << 10
	maxRequestBytes = maxFlowBytes*3/4 - 512
)

// fits refuses a request that could not be carried through the browser, before
// anybody types a password for it.
func (f flow) fits() error {
	plaintext, err := f.encode()
	if err == nil && len(plaintext) > maxRequestBytes {
		err = oauth.InvalidRequest("The request has more than %d bytes of scope, state, nonce, hints and claims together.", maxRequestBytes)
	}
	return err
}

// open reads a flow that a page sent back. fault says what keeps its form from
// being taken although the flow is ours: the page is then shown again.
func (h *handler) open(r *http.Request, raw string) (f flow, fault page.Fault, err error) {
	unreadable := func(cause error) (flow, page.Fault, error) {
		return flow{}, "", &problem{status: http.StatusBadRequest, fault: page.FaultForm, cause: fmt.Errorf("open flow: %w", cause)}
	}
	parts := strings.Split(raw, ".")
	if len(raw) > maxFlowBytes || len(parts) != 3 || parts[0] != "v1" || strings.ContainsAny(raw, "\r\n") {
		return unreadable(errors.New("malformed"))
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return unreadable(err)
	}
	plaintext, err := h.Forms.OpenForm(sealKind, iam.KeyID(parts[1]), sealed)
	if errors.Is(err, iam.ErrUnavailable) {
		return flow{}, "", fmt.Errorf("open flow: %w", err)
	}
	if err != nil {
		return unreadable(err)
	}
	if err := json.Unmarshal(plaintext, &f); err != nil {
		return unreadable(err)
	}
	bound := h.cookies.bound(r)
	switch {
	case bound == "" || subtle.ConstantTimeCompare([]byte(bound), []byte(f.Browser)) != 1:
		return f, page.FaultCookies, nil
	case h.Now().Sub(time.UnixMicro(f.Sealed)) > pageLife:
		return f, page.FaultExpired, nil
	}
	return f, "", nil
}

// readForm reads the bounded form of a page of ours.
func readForm(w http.ResponseWriter, r *http.Request) (oauth.Form, error) {
	refuse := func(cause error) (oauth.Form, error) {
		return oauth.Form{}, &problem{status: http.StatusBadRequest, fault: page.FaultForm, cause: fmt.Errorf("read form: %w", cause)}
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return refuse(errors.New("not a form"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, oauth.MaxFormBytes))
	if err != nil {
		return refuse(err)
	}
	form, err := oauth.ParseForm(string(body))
	if err != nil {
		return refuse(err)
	}
	return form, nil
}

// posted reads a form of ours and opens its flow. With a fault the flow is
// good to show the page again, and for nothing else.
func (h *handler) posted(w http.ResponseWriter, r *http.Request, kinds ...string) (oauth.Form, flow, page.Fault, error) {
	form, err := readForm(w, r)
	if err != nil {
		return oauth.Form{}, flow{}, "", err
	}
	f, fault, err := h.open(r, form.Get("flow"))
	if err != nil {
		return oauth.Form{}, flow{}, "", err
	}
	for _, kind := range kinds {
		if f.Kind == kind {
			return form, f, fault, nil
		}
	}
	return oauth.Form{}, flow{}, "", &problem{status: http.StatusBadRequest, fault: page.FaultForm, cause: fmt.Errorf("a flow of kind %s at another's form", f.Kind)}
}

// asGet answers a POST, which may come from another site and whose cookies are
// not looked at, with the same request as a GET (C30).
func (h *handler) asGet(path string) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/x-www-form-urlencoded" {
			return &problem{status: http.StatusBadRequest, app: true, fault: page.FaultApp, detail: "the Content-Type must be application/x-www-form-urlencoded"}
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, oauth.MaxQueryBytes))
		if err != nil {
			return &problem{status: http.StatusRequestEntityTooLarge, app: true, fault: page.FaultApp, detail: fmt.Sprintf("the request has more than %d bytes", oauth.MaxQueryBytes)}
		}
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return &problem{status: http.StatusBadRequest, app: true, fault: page.FaultApp, detail: "the request is not a well-formed form"}
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, h.Issuer+path+"?"+values.Encode(), http.StatusSeeOther)
		return nil
	}
}

// goOn sends the browser on to the next step after a form.
func (h *handler) goOn(w http.ResponseWriter, r *http.Request, f flow) error {
	sealed, err := h.seal(w, r, f)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/continue?flow="+url.QueryEscape(sealed), http.StatusSeeOther)
	return nil
}
