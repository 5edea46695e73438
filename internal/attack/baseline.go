package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// ErrUnreachable says that nobody answers at the target.
var ErrUnreachable = errors.New("the target cannot be reached")

// route is one target under attack.
type route struct {
	target Target
	client *http.Client
	pace   *pace
	token  func(context.Context) (string, error) // a valid one, as fresh as can be
	oracle oracle
	valid  string // the token that others are forged from
	sent   atomic.Int64
	limit  time.Duration // for one answer
	hung   atomic.Int64  // how long answers that never came were waited for, in all

	controlled bool      // the controls were sent
	implied    []control // those that were accepted
}

// Waiting for answers that do not come is bounded: a route that hangs at forged
// tokens would take ten seconds for each of hundreds.
const (
	hungShort = 20 * time.Second // in all, until a shorter limit is set
	hungLong  = 3 * time.Minute  // in all, until nothing more is sent
)

// errHung says that the target leaves too many requests without an answer.
var errHung = errors.New("the route leaves requests without an answer")

// patience is how long the answer to a shot may take.
func (r *route) patience(s shot) time.Duration {
	if s.delay || s.costly || time.Duration(r.hung.Load()) < hungShort {
		return r.limit
	}
	return min(r.limit, max(time.Second, 20*r.oracle.slowest))
}

// exchange is one request and its answer, or that none came in time.
func (r *route) exchange(ctx context.Context, s shot) (answer, error) {
	limit := r.patience(s)
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := s.request(within, r.target)
	if err != nil {
		return answer{}, err
	}
	a := exchange(r.client, request)
	if within.Err() != nil && ctx.Err() == nil && a.err != nil {
		a.err = fmt.Errorf("none within %s", limit)
		r.hung.Add(int64(a.took))
	}
	return a, nil
}

// send is one exchange, at the pace that the target allows.
func (r *route) send(ctx context.Context, s shot) (answer, error) {
	for {
		if err := r.pace.turn(ctx); err != nil {
			return answer{}, err
		}
		if time.Duration(r.hung.Load()) > hungLong {
			return answer{}, errHung
		}
		r.sent.Add(1)
		a, err := r.exchange(ctx, s)
		if err != nil {
			return answer{}, err
		}
		if ctx.Err() != nil {
			return answer{}, ctx.Err()
		}
		if a.status != http.StatusTooManyRequests && !(a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "") {
			return a, nil
		}
		if err := r.pace.back(ctx, a); err != nil {
			return a, err
		}
	}
}

// Baseline is how a route answers what needs no forging.
type Baseline struct {
	Valid   int `json:"valid"`   // status of the valid token
	None    int `json:"none"`    // of no token
	Garbage int `json:"garbage"` // of text that is no token
	Flipped int `json:"flipped"` // of the valid token with a flipped signature
	Expired int `json:"expired,omitempty"`
}

// state is what the baseline says about the route as a whole.
type state struct {
	baseline Baseline
	reason   string // why nothing can be measured; "" when it can
	unsigned string // the tokens that show that no signature is checked
}

// measure takes the baseline: the valid token three times, none, garbage, a
// broken signature and, where there is one, an expired token.
func (r *route) measure(ctx context.Context, expired string) (state, error) {
	st := state{}
	var valid []answer
	for range 3 {
		a, err := r.send(ctx, shot{token: r.valid})
		if errors.Is(err, errLimited) {
			st.reason = r.limitedReason()
			return st, nil
		}
		if err != nil {
			return st, err
		}
		if a.err != nil {
			return st, fmt.Errorf("%w: %s: %s", ErrUnreachable, r.target.Route(), cause(a.err))
		}
		valid = append(valid, a)
	}
	st.baseline.Valid = valid[0].status
	for _, a := range valid {
		if a.status/100 != valid[0].status/100 {
			st.reason = fmt.Sprintf("The valid token is answered with %d and with %d: what the route does depends on more than the token.", valid[0].status, a.status)
			return st, nil
		}
	}
	refusals := make([]answer, 0, 4)
	for _, s := range []struct {
		token  string
		status *int
	}{{"", &st.baseline.None}, {"garbage", &st.baseline.Garbage}, {flipped(r.valid), &st.baseline.Flipped}, {expired, &st.baseline.Expired}} {
		if s.token == "" && s.status != &st.baseline.None {
			continue
		}
		a, err := r.send(ctx, shot{token: s.token})
		if errors.Is(err, errLimited) {
			st.reason = r.limitedReason()
			return st, nil
		}
		if err != nil {
			return st, err
		}
		*s.status = a.status
		if s.status != &st.baseline.Expired { // whether that is refused is a question of its own
			refusals = append(refusals, a)
		}
	}
	r.oracle = newOracle(valid, refusals)
	a, err := r.send(ctx, shot{token: r.valid, change: header(mirrors, forgedName)})
	if errors.Is(err, errLimited) {
		st.reason = r.limitedReason()
		return st, nil
	}
	if err != nil {
		return st, err
	}
	r.oracle.mirror = r.oracle.echoes(a)
	return r.conclude(ctx, st, refusals)
}

func (r *route) conclude(ctx context.Context, st state, refusals []answer) (state, error) {
	none, garbage, broken := refusals[0], refusals[1], refusals[2]
	only := func(a ...answer) {
		mirror := r.oracle.mirror
		r.oracle = newOracle(r.oracle.valid, a)
		r.oracle.mirror = mirror
	}
	switch {
	case st.baseline.Valid >= 400:
		st.reason = fmt.Sprintf("The valid token is not accepted: status %d. Is it expired, for another API, or without the scope that the route needs?", st.baseline.Valid)
	case r.oracle.public(none):
		st.reason = fmt.Sprintf("Public route: without a token it answers %d as with one, so nothing can be said about what it accepts.", none.status)
	case r.oracle.public(garbage):
		only(none)
		st.unsigned = "any text is accepted as a token"
	case r.oracle.public(broken):
		only(none, garbage)
		st.unsigned = "the valid token with a broken signature is accepted"
	}
	if st.unsigned == "" {
		return st, nil
	}
	token := "garbage"
	if !r.oracle.public(garbage) {
		token = flipped(r.valid)
	}
	again, err := r.send(ctx, shot{token: token})
	if err == nil && !r.oracle.public(again) {
		st.reason, st.unsigned = "A token with a broken signature was accepted once and refused once: the route does not answer steadily.", ""
	}
	if errors.Is(err, errLimited) {
		st.reason, err = r.limitedReason(), nil
	}
	return st, err
}

func (r *route) limitedReason() string {
	text := fmt.Sprintf("The route limits the rate: too many requests after %d", r.sent.Load())
	if asked := r.pace.limitedFor(); asked > 0 {
		text += fmt.Sprintf(", and it asks to wait %s", asked)
	}
	return text + ". Exempt the auditor's address, or try a lower --rate and a longer --patience."
}

func (r *route) hungReason() string {
	return fmt.Sprintf("The route left requests without an answer for %s in all, so the rest was not sent. That alone lets anybody keep its connections busy.", hungLong)
}

// flipped is a token with one bit of its signature flipped.
func flipped(raw string) string {
	at := max(len(raw)-10, 0)
	if len(raw) == 0 {
		return "garbage"
	}
	changed := byte('A')
	if raw[at] == 'A' {
		changed = 'B'
	}
	return raw[:at] + string(changed) + raw[at+1:]
}
