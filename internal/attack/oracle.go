package attack

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
)

// outcome is what one answer to a forged token means.
type outcome int

const (
	refused  outcome = iota
	accepted         // like the answer to the valid token, or with the forged name in it
	unclear          // like neither
	crashed          // an error of the server, or no answer: not a refusal
	limited          // too many requests: says nothing
)

// oracle knows how the route answers a valid token, and how it answers others.
type oracle struct {
	valid   []answer
	refusal []answer // to no token, to garbage, to a broken signature …
	noise   map[string]bool
	slowest time.Duration // of the valid ones
	mirror  bool          // the route answers with the headers that it is sent
}

func newOracle(valid, refusal []answer) oracle {
	o := oracle{valid: valid, refusal: refusal, noise: unsteady(valid)}
	for _, a := range valid {
		o.slowest = max(o.slowest, a.took)
	}
	return o
}

// like is how much an answer resembles the valid one.
func (o oracle) like(a answer) float64 {
	return alike(a.marks.without(o.noise), o.valid[0].marks.without(o.noise))
}

// likeRefusal is how much an answer resembles the refusals of its status.
func (o oracle) likeRefusal(a answer) float64 {
	best := 0.0
	for _, r := range o.refusal {
		if r.status/100 == a.status/100 {
			best = max(best, alike(a.marks.without(o.noise), r.marks.without(o.noise)))
		}
	}
	return best
}

// same tells whether the status is one of the valid answer's hundred.
func (o oracle) same(a answer) bool { return a.status/100 == o.valid[0].status/100 }

// soft tells that the status does not tell: refusals have the same hundred.
func (o oracle) soft() bool { return slices.ContainsFunc(o.refusal, o.same) }

// public tells whether an answer to a request without a valid token is the one
// that a valid token gets.
func (o oracle) public(a answer) bool {
	return a.err == nil && o.same(a) && a.status == o.valid[0].status && o.like(a) >= 0.9
}

const forgedName = forge.ForgedSubject

// mirrors is the header of a request that asks whether a route repeats whatever
// it is sent: then a forged name in its answer to a header says nothing.
const mirrors = "X-Gatehouse-Mirror"

// echoes tells whether the route answers in the forged name.
func (o oracle) echoes(a answer) bool {
	return o.same(a) && bytes.Contains(a.body, []byte(forgedName)) && !slices.ContainsFunc(o.valid, func(v answer) bool { return bytes.Contains(v.body, []byte(forgedName)) })
}

// judge tells what an answer means, and why in a few words. least is how much
// an accepted one resembles the valid answer at least: where another request was
// sent than usual, another answer says little.
func (o oracle) judge(a answer, least float64) (outcome, string) {
	switch {
	case a.err != nil:
		return crashed, "no answer: " + cause(a.err)
	case a.status == http.StatusTooManyRequests:
		return limited, "too many requests"
	case a.status >= 500 && a.status != http.StatusNotImplemented && a.status != http.StatusHTTPVersionNotSupported && !o.same(a):
		return crashed, fmt.Sprintf("status %d", a.status)
	case !o.same(a) && least > 0:
		return refused, fmt.Sprintf("status %d", a.status)
	case !o.same(a):
		return o.elsewhere(a)
	}
	like, unlike := o.like(a), o.likeRefusal(a)
	switch {
	case like < least:
		return refused, fmt.Sprintf("status %d, another answer", a.status)
	case o.soft() && unlike >= like:
		return refused, fmt.Sprintf("status %d, the body of a refusal", a.status)
	case o.echoes(a):
		return accepted, fmt.Sprintf("status %d, in the forged name", a.status)
	case o.soft() && like < 0.7:
		return unclear, fmt.Sprintf("status %d, a body like neither the valid answer nor a refusal", a.status)
	case like >= 0.5 || mediaOf(a) == mediaOf(o.valid[0]):
		return accepted, fmt.Sprintf("status %d, as for the valid token", a.status)
	}
	return unclear, fmt.Sprintf("status %d as for the valid token, with another kind of body", a.status)
}

// elsewhere is an answer of another hundred. A refusal differs from all others
// only if the token got further than they did.
func (o oracle) elsewhere(a answer) (outcome, string) {
	what := fmt.Sprintf("status %d", a.status)
	if slices.ContainsFunc(o.refusal, func(r answer) bool { return r.status == a.status }) {
		return refused, what
	}
	if slices.Contains([]int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity}, a.status) {
		return unclear, what + ", which no other token got: it may have passed the check and failed behind it"
	}
	return refused, what
}

// cause is an error without addresses.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}
