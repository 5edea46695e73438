package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Config of a run. Targets and Token are required.
type Config struct {
	Targets []Target
	// Token returns a valid token, as fresh as can be. It is called at the
	// beginning and when the one in use is about to expire.
	Token func(context.Context) (string, error)
	// More are other tokens of the same issuer, to recover its key from.
	More []string
	// RecoverKey allows a computation of minutes for that, with 600 MB of memory.
	RecoverKey bool
	// Keys are the issuer's, and KeysDocument the set as it is served; KeysNote
	// says why there are none.
	Keys         jose.KeySet
	KeysDocument []byte
	KeysNote     string
	// Certificates are X.509 certificates of the keys, each as DER.
	Certificates [][]byte
	// Issuer and Audience are what the API expects; "": as in the token.
	Issuer, Audience string
	// Lab is the issuer's own signer, of a lab or a dev folder (C9).
	Lab jose.Signer
	// Fetches counts how often an issuer in this process was asked for its keys;
	// nil: it is another process.
	Fetches func() int
	Extra   []Extra
	Words   []string // secrets to try, beside the embedded list
	// CallbackListen is where tokens lead to: an address of this machine; "" for
	// none. CallbackURL is how targets reach it, "" for the address itself.
	CallbackListen, CallbackURL string
	AllowDoS                    bool
	Only, Skip                  []string // rows or names of single requests
	Rate                        float64  // requests a second; 0: 100 on loopback, 5 elsewhere
	Concurrency                 int      // requests at once; 0: 4 on loopback, 1 elsewhere
	Timeout                     time.Duration
	Patience                    time.Duration     // for a route that limits its rate, in all; 0: 15 s
	Accepted                    map[string]string // fingerprints of known findings, with a note
	Authorized                  bool              // the user may attack targets that are not this machine
	Progress                    func(Progress)
	Version                     string
	Now                         func() time.Time
}

func (c Config) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// Progress is where a run is.
type Progress struct {
	Done, All int // attacks, over all targets
	ID        string
	Route     string
	Doing     string // what takes long just now; "" for requests
}

// run is one run.
type run struct {
	config      Config
	own         jose.Signer
	listener    *listener
	recovered   jose.Key
	recoverNote string
	notes       []string
	done, all   int
}

// ErrNotPermitted says that a target is not this machine and nobody said that
// it may be attacked.
var ErrNotPermitted = errors.New("the target is not this machine. Attack only what you own or were asked to test: confirm it with --i-am-authorized")

// Run attacks every target in turn. When ctx ends the report is what was found
// until then, marked as interrupted. An error is something that kept it from
// beginning.
func Run(ctx context.Context, c Config) (Report, error) {
	r := &run{config: c, all: len(c.Targets) * len(Rows())}
	report := Report{Schema: Schema, Tool: Tool{"gatehouse", c.Version}, Started: c.now().UTC(), Permission: "loopback", Results: []Result{}}
	for _, t := range c.Targets {
		if err := t.check(); err != nil {
			return report, err
		}
		if !t.Loopback() {
			if !c.Authorized {
				return report, fmt.Errorf("%s: %w", t.Route(), ErrNotPermitted)
			}
			report.Permission = "the user confirmed with --i-am-authorized to be allowed to attack hosts other than this machine"
		}
	}
	if c.CallbackListen != "" && len(c.Targets) > 0 && (c.CallbackURL != "" || c.Targets[0].Loopback()) {
		var err error
		if r.listener, err = listen(c.CallbackListen, c.CallbackURL); err != nil {
			return report, err
		}
		defer r.listener.close()
	}
	var failed error
	for _, t := range c.Targets {
		at, results, err := r.attack(ctx, t)
		if err != nil && ctx.Err() == nil {
			failed = errors.Join(failed, err)
			at.Reason = err.Error() + "."
		}
		report.Targets = append(report.Targets, at)
		report.Results = append(report.Results, results...)
	}
	report.Notes = append(report.Notes, r.notes...)
	report.Interrupted = ctx.Err() != nil
	report.Ended = c.now().UTC()
	report.conclude()
	if len(report.Targets) > 0 && !report.Measured() && failed != nil {
		return report, failed
	}
	return report, nil
}

func (r *run) newRoute(t Target) *route {
	rate, timeout, patience := r.config.Rate, r.config.Timeout, r.config.Patience
	if rate == 0 {
		rate = 5
		if t.Loopback() {
			rate = 100
		}
	}
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	if patience == 0 {
		patience = 15 * time.Second
	}
	client := &http.Client{Transport: t.dialer(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &route{target: t, client: client, pace: newPace(rate, patience), token: r.config.Token, limit: timeout}
}

// attack measures one route and sends it everything.
func (r *run) attack(ctx context.Context, t Target) (TargetReport, []Result, error) {
	route := r.newRoute(t)
	defer route.client.CloseIdleConnections()
	at := TargetReport{Route: t.Route(), Host: hostOf(t), Declared: t.Declared}
	token, err := route.token(ctx)
	if err != nil {
		return at, r.all0(route, "No valid token: "+err.Error()), err
	}
	route.valid = token
	st, err := route.measure(ctx, r.expired())
	at.Baseline, at.Reason, at.Measurable = st.baseline, st.reason, err == nil && st.reason == ""
	if err != nil {
		reason := "The target could not be measured: " + err.Error() + "."
		if ctx.Err() != nil {
			reason = "The run was interrupted."
		}
		at.Requests = route.sent.Load()
		return at, r.all0(route, reason), err
	}
	results, err := r.rows(ctx, route, st)
	at.Requests = route.sent.Load()
	return at, results, err
}

// all0 are the results of a route that nothing was sent to.
func (r *run) all0(route *route, reason string) []Result {
	var results []Result
	for _, row := range Rows() {
		r.step(route, row.ID)
		if r.wanted(row.ID) {
			results = append(results, r.complete(route, row, untestable(reason)))
		}
	}
	return results
}

func (r *run) step(route *route, id string) {
	r.done++
	if r.config.Progress != nil {
		r.config.Progress(Progress{Done: r.done, All: r.all, ID: id, Route: route.target.Route()})
	}
}

// wanted tells whether a row, or a single request of it, is to be sent.
func (r *run) wanted(id string) bool {
	if slices.Contains(r.config.Skip, id) {
		return false
	}
	return len(r.config.Only) == 0 || slices.ContainsFunc(r.config.Only, func(o string) bool {
		_, row := finding.Find(o)
		return o == id || !row
	})
}

// unnamed tells that single requests are asked for, and none of this row's is.
func (r *run) unnamed(id string, p plan) bool {
	return len(r.config.Only) > 0 && !slices.Contains(r.config.Only, id) && len(r.pick(p.shots[id])) == 0
}

func (r *run) expired() string {
	for _, e := range r.config.Extra {
		if e.Row == "T51" {
			return e.Raw
		}
	}
	return ""
}

// rows attacks a route row by row. After each row the valid token is sent
// again: what a route refuses that refuses everybody means nothing.
func (r *run) rows(ctx context.Context, route *route, st state) ([]Result, error) {
	p := plan{}
	blocked := st.reason
	if blocked == "" && st.unsigned == "" {
		r.recover(ctx, route)
		var err error
		if p, err = r.prepare(route); err != nil {
			return r.all0(route, "Nothing could be forged from the valid token: "+err.Error()+"."), err
		}
	}
	notes := &odd{}
	var results []Result
	var late []finding.Finding
	for _, row := range Rows() {
		r.step(route, row.ID)
		if !r.wanted(row.ID) || blocked == "" && st.unsigned == "" && r.unnamed(row.ID, p) {
			continue
		}
		if row.ID == "T82" {
			late = append(late, row)
			continue
		}
		if ctx.Err() != nil {
			results = append(results, r.complete(route, row, untestable("The run was interrupted before it.")))
			continue
		}
		result, err := r.row(ctx, route, st, p, row, blocked, notes)
		switch {
		case errors.Is(err, errLimited):
			blocked = route.limitedReason()
			result = untestable(blocked)
		case errors.Is(err, errHung):
			blocked = route.hungReason()
			result = untestable(blocked)
		case ctx.Err() != nil:
			result = untestable("The run was interrupted in the middle of it.")
		case err != nil:
			result = untestable("It could not be sent: " + cause(err) + ".")
		case result.Sent > 0 && blocked == "" && st.unsigned == "":
			if again, reason := r.recheck(ctx, route); reason != "" {
				blocked = reason
				if result.Verdict == Resisted {
					result = untestable(reason)
				}
			} else if again {
				if p, err = r.prepare(route); err != nil {
					blocked = "Nothing could be forged from the renewed token: " + err.Error() + "."
				}
			}
		}
		results = append(results, r.complete(route, row, result))
	}
	for _, row := range late {
		result := notes.result()
		if blocked != "" && result.Verdict != Vulnerable {
			result = untestable(blocked)
		}
		at := slices.IndexFunc(results, func(one Result) bool { return one.ID > row.ID && one.ID[0] == 'T' || one.ID[0] != 'T' })
		if at < 0 {
			at = len(results)
		}
		results = slices.Insert(results, at, r.complete(route, row, result))
	}
	r.lateCallbacks(ctx, results)
	return results, nil
}

// prepare makes the plan for the valid token in use.
func (r *run) prepare(route *route) (plan, error) {
	p, err := r.planFor(route)
	if err != nil || r.listener == nil {
		return p, err
	}
	source, err := r.source(route.valid)
	if err != nil {
		return p, err
	}
	return p, r.listener.publish(source)
}

// row decides one row.
func (r *run) row(ctx context.Context, route *route, st state, p plan, row finding.Finding, blocked string, notes *odd) (Result, error) {
	id := row.ID
	switch {
	case id == "T04" && st.unsigned != "":
		return Result{Verdict: Vulnerable, Reason: "The signature is not checked: " + st.unsigned + ".", Sent: 2, Evidence: []Evidence{{Name: "signature-flipped", Title: st.unsigned, Answer: fmt.Sprintf("status %d", st.baseline.Flipped)}}}, nil
	case id == "T50" && endless(route.valid):
		return found("no exp", "The valid token has no exp: it never expires."), nil
	case id == "T10" && blocked == "":
		return r.secrets(ctx, route, st, p, notes)
	case id == "T80", id == "J01", id == "J02", id == "P01":
		return r.passive(ctx, route, id)
	case blocked != "":
		return untestable(blocked), nil
	case id[0] == 'P' || id == "T83":
		return r.passive(ctx, route, id)
	case st.unsigned != "":
		return untestable("Implied by T04: no signature is checked, so every other forged token is accepted too."), nil
	case id == "T77":
		return r.mixing(ctx, route)
	case id == "T79":
		return r.storm(ctx, route)
	case id == "T81":
		return r.timing(ctx, route)
	case p.without[id] != "":
		return untestable(p.without[id]), nil
	}
	shots, err := r.marked(ctx, route, p, id, r.pick(p.shots[id]))
	if err != nil {
		return Result{}, err
	}
	result, err := r.fire(ctx, route, row, shots, notes)
	if err == nil && id == "T51" && result.Verdict == Resisted {
		return r.leeway(ctx, route, result)
	}
	return result, err
}

// pick keeps the shots that are wanted.
func (r *run) pick(shots []shot) []shot {
	var kept []shot
	for _, s := range shots {
		only := len(r.config.Only) == 0 || slices.Contains(r.config.Only, s.id) || slices.Contains(r.config.Only, s.name)
		if only && !slices.Contains(r.config.Skip, s.name) {
			kept = append(kept, s)
		}
	}
	return kept
}

// recheck sends the valid token again. When it has expired a fresh one takes
// its place, and renewed tells that the plan is out of date. reason is why
// nothing more can be measured.
func (r *run) recheck(ctx context.Context, route *route) (renewed bool, reason string) {
	a, err := route.send(ctx, shot{token: route.valid})
	if errors.Is(err, errLimited) {
		return false, route.limitedReason()
	}
	if errors.Is(err, errHung) {
		return false, route.hungReason()
	}
	if err != nil {
		return false, "The run was interrupted."
	}
	expires, ends := expiry(route.valid)
	if route.oracle.public(a) || a.err == nil && route.oracle.same(a) && !route.oracle.soft() {
		if !ends || time.Until(expires) > 30*time.Second {
			return false, ""
		}
	}
	fresh, err := route.token(ctx)
	if err == nil && fresh != route.valid {
		if again, err := route.send(ctx, shot{token: fresh}); err == nil && again.err == nil && route.oracle.same(again) {
			route.valid = fresh
			return true, ""
		}
	}
	if route.oracle.public(a) {
		return false, "" // about to expire, and there is no other: it still holds
	}
	if ends && !r.config.now().Before(expires) {
		return false, "The valid token expired during the run. Give one that lives longer, or let --login-client renew it."
	}
	what := fmt.Sprintf("status %d", a.status)
	if a.err != nil {
		what = cause(a.err)
	}
	return false, "The valid token is not accepted any more (" + what + "): the route locked out or broke on the way, so what it refuses means nothing."
}

func expiry(raw string) (time.Time, bool) {
	token, err := jose.Parse(raw)
	if err != nil {
		return time.Time{}, false
	}
	return numericDate(claimsOf(token)["exp"])
}

// complete adds to a result what follows from row and route.
func (r *run) complete(route *route, row finding.Finding, result Result) Result {
	result.ID, result.Title, result.Route, result.Declared = row.ID, row.Title, route.target.Route(), route.target.Declared
	if result.Severity == "" {
		result.Severity = row.Severity
	}
	result.References = row.References()
	result.Fingerprint = fingerprint(row.ID, route.target)
	if result.Verdict == Vulnerable || result.Verdict == Suspect {
		result.Why, result.Fix = row.Why, row.Fix
		result.Reproduce = reproduce(route.target, result)
	}
	if note, known := r.config.Accepted[result.Fingerprint]; known && result.Verdict == Vulnerable {
		result.Accepted = note
	}
	return result
}
