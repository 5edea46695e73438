package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/inspect"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/page"
)

// published are the authority's own keys.
type published interface{ Published() jose.KeySet }

// maxInspectBytes bounds the form: a token and a key set.
const maxInspectBytes = 256 << 10

// inspectForm shows the empty form to somebody who is signed in.
func (h *handler) inspectForm(w http.ResponseWriter, r *http.Request) error {
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	return h.showInspect(w, r, http.StatusOK, visit, page.Inspect{})
}

func (h *handler) showInspect(w http.ResponseWriter, r *http.Request, status int, visit login.Visit, view page.Inspect) error {
	f := flow{Kind: flowInspect, Since: h.Now().UnixMicro(), User: visit.User.ID}
	if !visit.SignedIn() {
		return h.showLogin(w, r, http.StatusOK, f, page.Login{})
	}
	var err error
	if view.Flow, err = h.seal(w, r, f); err != nil {
		return err
	}
	h.Pages.Inspect(w, r, status, view)
	return nil
}

// inspect reads the token of the form. The token is in nothing that is written
// anywhere: not in the answer, not in an error, not in the log. No issuer is
// asked for keys, whatever the token says.
func (h *handler) inspect(w http.ResponseWriter, r *http.Request) error {
	form, err := readTexts(w, r, "flow", "token", "key", "reveal")
	var long *http.MaxBytesError
	if err != nil && !errors.As(err, &long) {
		return &problem{status: http.StatusBadRequest, fault: page.FaultForm, cause: err}
	}
	visit, visitErr := h.visit(r)
	if visitErr != nil {
		return visitErr
	}
	if err != nil {
		return h.showInspect(w, r, http.StatusRequestEntityTooLarge, visit, page.Inspect{Fault: page.InspectTooLong})
	}
	f, fault, err := h.open(r, form["flow"])
	switch {
	case err != nil:
		return err
	case f.Kind != flowInspect:
		return &problem{status: http.StatusBadRequest, fault: page.FaultForm, cause: fmt.Errorf("a flow of kind %s at another's form", f.Kind)}
	case fault != "" || !visit.SignedIn() || visit.User.ID != f.User:
		return h.showInspect(w, r, http.StatusOK, visit, page.Inspect{})
	case strings.TrimSpace(form["token"]) == "":
		return h.showInspect(w, r, http.StatusBadRequest, visit, page.Inspect{Fault: page.InspectEmpty})
	}
	keys := inspect.FromSet(h.Keys.Published(), "this issuer").Of(h.Issuer)
	if pasted := strings.TrimSpace(form["key"]); pasted != "" {
		if keys, err = inspect.ParseKeys([]byte(pasted), "the form"); err != nil {
			return h.showInspect(w, r, http.StatusBadRequest, visit, page.Inspect{Fault: page.InspectBadKey, Detail: err.Error()})
		}
	}
	report := inspect.Inspect(form["token"], inspect.Options{Keys: keys, Now: h.Now(), Reveal: form["reveal"] != ""})
	return h.showInspect(w, r, http.StatusOK, visit, page.Inspect{Report: inspectView(report)})
}

// readTexts reads a bounded form whose fields may have lines. A field given
// twice, or one that the page does not have, is no form of ours. Errors do not
// repeat what was sent.
func readTexts(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errors.New("not a form")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxInspectBytes))
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("not a well-formed form")
	}
	form, seen := map[string]string{}, 0
	for _, name := range names {
		if len(values[name]) > 1 {
			return nil, errors.New("a field is given twice")
		}
		seen += len(values[name])
		form[name] = values.Get(name)
	}
	if total := len(values); total != seen {
		return nil, errors.New("a field that the page does not have")
	}
	return form, nil
}

// withMessage are reasons that the page says in its own words.
var withMessage = map[string]string{"no_key": page.InspectNoKey, "other_issuer": page.InspectOtherIssuer}

func inspectView(r inspect.Report) page.InspectReport {
	v := page.InspectReport{Verdict: string(r.Verdict), Not: strings.Join(r.Unchecked, ", "), Kind: r.Kind.Title, Advice: r.Kind.Advice, Notes: r.Found.Notes, Masked: r.Redacted}
	if r.Kind.Maker != "" {
		v.Kind += ", as " + r.Kind.Maker + " makes them"
	}
	for _, reason := range r.Reasons {
		v.Reasons = append(v.Reasons, page.InspectReason{Key: withMessage[reason.Code], Text: reason.Text})
	}
	if r.Break != nil {
		v.Break = r.Break.Line + "\n" + strings.Repeat(" ", r.Break.Caret) + "^"
	}
	if r.Life != nil {
		v.Life = r.Life.Text
	}
	v.Header, v.Claims = claimViews(r.Header), claimViews(r.Claims)
	for _, f := range r.Findings {
		v.Findings = append(v.Findings, page.InspectFinding{ID: f.ID, Severity: string(f.Severity), Title: f.Title, Detail: f.Detail, Why: f.Why, Fix: f.Fix})
	}
	return v
}

func claimViews(all []inspect.Claim) []page.InspectClaim {
	var views []page.InspectClaim
	for _, c := range all {
		views = append(views, page.InspectClaim{Name: c.Name, Value: c.Value, Meaning: c.Meaning})
	}
	return views
}
