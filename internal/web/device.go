package web

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
)

// device is where a person types the code of a device (RFC 8628 §3.3). A code
// in the address is filled in and still has to be sent by hand.
func (h *handler) device(w http.ResponseWriter, r *http.Request) error {
	form, _ := oauth.ParseQuery(r.URL.RawQuery)
	f := flow{Kind: flowDevice, Since: h.Now().UnixMicro()}
	if code, ok := iam.CanonicalUserCode(form.Get("user_code")); ok {
		f.UserCode = code
	}
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	return h.showDevice(w, r, f, visit)
}

func (h *handler) showDevice(w http.ResponseWriter, r *http.Request, f flow, visit login.Visit) error {
	if !visit.SignedIn() {
		return h.showLogin(w, r, http.StatusOK, f, page.Login{})
	}
	return h.askCode(w, r, http.StatusOK, f, page.DeviceCode{UserCode: f.UserCode})
}

func (h *handler) askCode(w http.ResponseWriter, r *http.Request, status int, f flow, v page.DeviceCode) error {
	sealed, err := h.seal(w, r, f)
	if err != nil {
		return err
	}
	v.Flow = sealed
	h.Pages.DeviceCode(w, r, status, v)
	return nil
}

// deviceCode takes the code and shows what it would allow. Guesses are counted
// for the user and for the place they come from, before anything is looked up.
func (h *handler) deviceCode(w http.ResponseWriter, r *http.Request) error {
	form, f, fault, err := h.posted(w, r, flowDevice)
	if err != nil {
		return err
	}
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	if !visit.SignedIn() {
		return h.showDevice(w, r, f, visit)
	}
	view := page.DeviceCode{UserCode: form.Get("user_code"), Fault: fault}
	if fault != "" {
		return h.askCode(w, r, http.StatusBadRequest, f, view)
	}
	guess, refusal := h.Guesses.Begin("device code "+string(visit.User.ID), throttle.Network(respond.Address(r)), throttle.Stranger)
	if refusal != nil {
		view.Fault, view.Wait = page.FaultTooMany, refusal.Wait
		return h.askCode(w, r, http.StatusTooManyRequests, f, view)
	}
	d, client, err := h.Tokens.FindDevice(r.Context(), view.UserCode)
	if errors.Is(err, iam.ErrNotFound) {
		view.Fault = page.FaultCode
		return h.askCode(w, r, http.StatusBadRequest, f, view)
	}
	if err != nil {
		return err
	}
	// Given back and not forgiven: whoever has a device of their own could
	// otherwise clear the count of their guesses with its code.
	guess.Refund()
	f.UserCode, f.User, f.Client = d.UserCode, visit.User.ID, client.ID
	sealed, err := h.seal(w, r, f)
	if err != nil {
		return err
	}
	api, err := h.apiOf(r, d.Scopes)
	if err != nil {
		return err
	}
	h.Pages.DeviceConfirm(w, r, http.StatusOK, page.DeviceConfirm{Flow: sealed, App: nameOf(client), UserCode: d.UserCode, Username: visit.User.Username, Scopes: sentences(api, d.Scopes)})
	return nil
}

// apiOf finds the API that describes the scopes.
func (h *handler) apiOf(r *http.Request, scopes []string) (iam.API, error) {
	apis, err := h.Records.APIs(r.Context())
	for _, a := range apis {
		for _, s := range scopes {
			if a.Defines(s) {
				return a, err
			}
		}
	}
	return iam.API{}, err
}

// deviceDecision writes what the person said about the very request that the
// page showed.
func (h *handler) deviceDecision(w http.ResponseWriter, r *http.Request) error {
	form, f, fault, err := h.posted(w, r, flowDevice)
	if err != nil {
		return err
	}
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	if fault != "" || !visit.SignedIn() || visit.User.ID != f.User || f.UserCode == "" {
		return h.showDevice(w, r, f, visit)
	}
	d, client, err := h.Tokens.FindDevice(r.Context(), f.UserCode)
	decided := false
	if err == nil && client.ID == f.Client {
		decided, err = h.Tokens.DecideDevice(r.Context(), d, client, visit.Session, visit.User, form.Get("decision") == "allow")
	}
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return err
	}
	if !decided {
		f.UserCode = ""
		return h.askCode(w, r, http.StatusBadRequest, f, page.DeviceCode{Fault: page.FaultCode})
	}
	h.Pages.DeviceDone(w, r, http.StatusOK, page.DeviceDone{App: nameOf(client), Allowed: form.Get("decision") == "allow"})
	return nil
}
