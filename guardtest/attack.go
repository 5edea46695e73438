package guardtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Except names forged tokens that an Attack shall leave out, by row ("T58") or
// by name ("sid-number"). Say in a comment why your API may accept them.
type Except string

// Attack sends a handler the request with about 380 forged tokens, one after
// the other, and fails the test for each that is accepted: answered like the
// valid token, with a status of the same hundred. The rows are described in
// docs/reference/forged-tokens.md.
//
// The valid token must be accepted, before and after, and the request without
// a token must be refused: otherwise the route is public and nothing can be
// said about it. A panic or a server error is a failure too, because a crash is
// not a refusal, and so is no answer within ten seconds: the request is then
// cancelled and left behind.
//
// The handler may verify with guard or with any other library, as long as it
// trusts this issuer (URL, with RFC 8414 discovery) and the token's audience.
// It is called directly, with a copy of the request for each token, so it must
// not depend on being called once.
func (i *Issuer) Attack(t testing.TB, handler http.Handler, request *http.Request, token Token, except ...Except) {
	t.Helper()
	report := i.attack(handler, request, token, except)
	if report.broken != "" {
		t.Fatal("guardtest: " + report.broken)
	}
	for _, f := range report.findings {
		t.Error(f.String())
	}
	t.Logf("%d forged tokens sent, %d accepted or not refused cleanly", report.sent, len(report.findings))
}

// report is what an attack found.
type report struct {
	broken   string // why nothing can be said
	sent     int
	findings []finding
}

// finding is one token that was not refused.
type finding struct {
	forged forge.Token
	what   string
}

func (f finding) String() string {
	row, _ := forge.Find(f.forged.ID)
	return fmt.Sprintf("%s %s (%s): %s.\n\tsent:   %s\n\tobject: %s\n\tfix:    %s", f.forged.ID, f.forged.Name, row.Severity, f.what, f.forged.Title, f.forged.Want, row.Fix)
}

func (i *Issuer) attack(handler http.Handler, request *http.Request, token Token, except []Except) report {
	target, err := newTarget(handler, request, i.patience)
	if err != nil {
		return report{broken: err.Error()}
	}
	// The token that the others are forged from is sent first: a cache that is
	// keyed carelessly now holds it.
	valid := i.Token(token)
	for range 2 {
		if target.accepted, err = target.send(valid); err != nil || target.accepted/100 != 2 {
			return report{broken: fmt.Sprintf("the valid token was not accepted (%s). Does the Token have the audience and the scopes that the route needs?", outcome(target.accepted, err))}
		}
	}
	for name, authorization := range map[string]string{"no token": "", "a token that is none": "Bearer garbage", "a token whose signature is broken": "Bearer " + broken(i.Token(token))} {
		if status, err := target.authorize(authorization); err != nil || target.takes(status) {
			return report{broken: fmt.Sprintf("public route: %s gets the same answer as a valid token (%s)", name, outcome(status, err))}
		}
	}
	forged, err := i.forge(valid, token)
	if err != nil {
		return report{broken: err.Error()}
	}
	r := report{}
	for _, f := range forged {
		if slices.Contains(except, Except(f.ID)) || slices.Contains(except, Except(f.Name)) || !sendable(f.Raw) {
			continue
		}
		r.sent++
		status, err := target.send(f.Raw)
		if what, bad := target.judge(status, err); bad {
			r.findings = append(r.findings, finding{f, what})
		}
	}
	if status, err := target.send(i.Token(token)); err != nil || !target.takes(status) {
		r.broken = fmt.Sprintf("the valid token is not accepted any more (%s): the handler locked out or broke on the way, so what it refused means nothing", outcome(status, err))
	}
	return r
}

// forge makes every forged token from a valid one of this issuer.
func (i *Issuer) forge(valid string, token Token) ([]forge.Token, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	audience := or(token.Audience, i.audience)
	if audience == "" {
		return nil, fmt.Errorf("the Token names no audience, and no Guard was made before")
	}
	return forge.All(forge.Source{Valid: valid, Keys: jose.NewKeySet(i.keys...), Lab: i.signer, Issuer: i.URL(), Audience: audience, Now: time.Now()})
}

// target is a handler and the request that it is called with.
type target struct {
	handler  http.Handler
	request  *http.Request
	patience time.Duration
	body     []byte
	accepted int // the status of a valid token
}

func newTarget(handler http.Handler, request *http.Request, patience time.Duration) (*target, error) {
	t := &target{handler: handler, request: request, patience: patience}
	if request.Body == nil {
		return t, nil
	}
	var err error
	if t.body, err = io.ReadAll(request.Body); err != nil {
		return nil, fmt.Errorf("read the body of the request: %w", err)
	}
	return t, nil
}

func (t *target) send(raw string) (int, error) { return t.authorize("Bearer " + raw) }

// What is no answer.
var (
	errSlow  = errors.New("no answer in time")
	errEnded = errors.New("the handler ended its goroutine")
)

type answer struct {
	status int
	err    error
}

// authorize calls the handler with a fresh copy of the request. A panic is an
// error, and so is an answer that does not come.
func (t *target) authorize(authorization string) (status int, err error) {
	ctx, cancel := context.WithTimeout(t.request.Context(), t.patience)
	defer cancel()
	r := t.request.Clone(ctx)
	r.Body = io.NopCloser(bytes.NewReader(t.body))
	r.Header.Del("Authorization")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	answered := make(chan answer, 1)
	go t.call(r, answered)
	select {
	case a := <-answered:
		if ctx.Err() == nil {
			return a.status, a.err
		}
	case <-ctx.Done():
	}
	return 0, errSlow
}

func (t *target) call(r *http.Request, answered chan<- answer) {
	a := answer{err: errEnded}
	defer func() {
		if p := recover(); p != nil {
			a.err = fmt.Errorf("panic: %v", p)
		}
		answered <- a
	}()
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	a = answer{status: w.Code}
}

// takes tells whether a status is an answer like that to the valid token.
func (t *target) takes(status int) bool { return status/100 == t.accepted/100 }

func (t *target) judge(status int, err error) (string, bool) {
	switch {
	case errors.Is(err, errSlow):
		return fmt.Sprintf("not answered within %s: it costs the handler more than it may", t.patience), true
	case err != nil:
		return "the handler crashed (" + err.Error() + ")", true
	case t.takes(status):
		return fmt.Sprintf("accepted with status %d", status), true
	case status >= 500:
		return fmt.Sprintf("answered with status %d: an error of the server is not a refusal", status), true
	}
	return "", false
}

func outcome(status int, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("status %d", status)
}

// broken is a token with one bit of its signature flipped.
func broken(raw string) string {
	at := len(raw) - 10
	flipped := byte('A')
	if raw[at] == 'A' {
		flipped = 'B'
	}
	return raw[:at] + string(flipped) + raw[at+1:]
}

// sendable tells whether a header can carry the text: HTTP servers refuse the
// others before any handler sees them (RFC 9110 §5.5).
func sendable(raw string) bool {
	return !strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
