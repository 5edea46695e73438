package attack

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/finding"
)

// verdictOf is what one shot showed, after a second try where it was not refused.
type verdictOf struct {
	shot   shot
	what   outcome
	answer string
	took   time.Duration
	second bool // the second try showed the same

	implied string // why it was accepted, and shows nothing of this row
}

// fire sends the shots of one row and judges them.
func (r *run) fire(ctx context.Context, route *route, row finding.Finding, shots []shot, notes *odd) (Result, error) {
	if len(shots) == 0 {
		return untestable("It was left out."), nil
	}
	verdicts := make([]verdictOf, len(shots))
	failed := make([]error, len(shots))
	lanes := make(chan struct{}, r.lanes(route))
	var all sync.WaitGroup
	var stopped atomic.Bool
	for i, s := range shots {
		lanes <- struct{}{}
		if ctx.Err() != nil || stopped.Load() {
			<-lanes
			break
		}
		all.Go(func() {
			defer func() { <-lanes }()
			verdicts[i], failed[i] = r.try(ctx, route, s, notes)
			if errors.Is(failed[i], errLimited) || errors.Is(failed[i], errHung) {
				stopped.Store(true)
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	result := r.weigh(row, verdicts)
	result.Sent = len(shots)
	// What was accepted stays accepted, also when the rest could not be sent.
	if err := errors.Join(failed...); err != nil && result.Verdict != Vulnerable {
		return result, err
	}
	return result, nil
}

func (r *run) lanes(route *route) int {
	switch {
	case r.config.Concurrency > 0:
		return r.config.Concurrency
	case route.target.Loopback():
		return 4
	}
	return 1
}

// try sends a shot, and once more if it was not refused: what is reported was
// seen twice.
func (r *run) try(ctx context.Context, route *route, s shot, notes *odd) (verdictOf, error) {
	v, a, err := r.once(ctx, route, s)
	if err != nil {
		return v, err
	}
	notes.look(s, a)
	if v.what == refused {
		return v, nil
	}
	again, _, err := r.once(ctx, route, s)
	if err != nil {
		return v, err
	}
	v.second = again.what == v.what
	if v.what == crashed && v.second {
		notes.crash(s, v.answer)
	}
	return v, nil
}

func (r *run) once(ctx context.Context, route *route, s shot) (verdictOf, answer, error) {
	a, err := route.send(ctx, s)
	if err != nil {
		return verdictOf{shot: s}, a, err
	}
	what, why := route.oracle.judge(a, s.least())
	switch {
	case !s.echo || what != accepted && what != unclear:
	case !route.oracle.echoes(a):
		what, why = refused, "the headers change nothing"
	case route.oracle.mirror:
		what, why = unclear, "the route repeats whatever headers it is sent, so a forged name in its answer says little"
	}
	if s.id == "T78" && what == unclear && !route.oracle.same(a) {
		what = refused // another method has another answer: that tells nothing
	}
	v := verdictOf{shot: s, what: what, answer: why, took: a.took}
	if s.implied != "" && what == accepted {
		v.what, v.implied = refused, s.implied
	}
	switch {
	case s.delay && a.took > 4500*time.Millisecond && route.oracle.slowest < time.Second:
		v.what, v.answer = accepted, fmt.Sprintf("the answer took %s: the command was run", a.took.Round(time.Millisecond))
	case s.costly && a.took > max(2*time.Second, 20*route.oracle.slowest):
		v.what, v.answer = accepted, fmt.Sprintf("the answer took %s, a valid one %s", a.took.Round(time.Millisecond), route.oracle.slowest.Round(time.Millisecond))
	}
	return v, a, nil
}

// weigh makes one result of what the shots of a row showed.
func (r *run) weigh(row finding.Finding, verdicts []verdictOf) Result {
	result := Result{Verdict: Resisted}
	worst := finding.Severity("")
	var doubtful []Evidence
	for _, v := range verdicts {
		evidence := Evidence{Name: v.shot.name, Title: v.shot.title, Answer: v.answer}
		severity := v.shot.severity
		if severity == "" {
			severity = row.Severity
		}
		if v.shot.name == "twice-claim-sub-case" && strings.HasSuffix(v.answer, "in the forged name") {
			severity = finding.Medium // names are read in any case: that no standard allows
		}
		switch {
		case v.what == accepted && v.second, v.what == crashed && v.second && (row.ID == "T39" || v.shot.costly):
			result.Evidence = append(result.Evidence, evidence)
			if worst == "" || severity.AtLeast(worst) {
				worst = severity
			}
		case v.what == accepted:
			evidence.Answer += ", once of two times"
			doubtful = append(doubtful, evidence)
		case v.what == unclear && v.second:
			doubtful = append(doubtful, evidence)
		}
	}
	called := r.listener.fetched(row.ID)
	switch {
	case len(result.Evidence) > 0:
		result.Verdict, result.Severity = Vulnerable, worst
		result.Reason = fmt.Sprintf("%d of %d accepted, such as %s: %s.", len(result.Evidence), len(verdicts), result.Evidence[0].Name, result.Evidence[0].Answer)
	case called:
		return callback(row, result)
	case len(doubtful) > 0:
		result.Verdict, result.Evidence = Suspect, doubtful
		result.Reason = fmt.Sprintf("%s: %s. Look at it by hand.", doubtful[0].Name, doubtful[0].Answer)
	case slices.ContainsFunc(verdicts, func(v verdictOf) bool { return v.implied != "" }):
		at := slices.IndexFunc(verdicts, func(v verdictOf) bool { return v.implied != "" })
		result.Verdict, result.Reason = NotTestable, verdicts[at].implied
	default:
		result.Reason = fmt.Sprintf("All %d refused.", len(verdicts))
	}
	return result
}

// callback is a result of a fetch that the listener saw: the target lets
// strangers choose whom it talks to, though it did not take the token.
func callback(row finding.Finding, result Result) Result {
	result.Verdict, result.Severity = Vulnerable, finding.High
	result.Reason = "Something was fetched from the address in the token before its signature was verified (server-side request forgery)."
	result.Evidence = append(result.Evidence, Evidence{Name: "callback", Title: "the token leads to the auditor's listener", Answer: "fetched"})
	result.Fix = row.Fix
	return result
}

// lateCallbacks looks once more at what was fetched: some servers fetch after
// they have answered.
func (r *run) lateCallbacks(ctx context.Context, results []Result) {
	if r.listener == nil {
		return
	}
	_ = sleep(ctx, 200*time.Millisecond)
	for i, one := range results {
		row, _ := finding.Find(one.ID)
		if one.Verdict != Vulnerable && one.Sent > 0 && r.listener.fetched(one.ID) {
			late := callback(row, Result{Sent: one.Sent})
			one.Verdict, one.Severity, one.Reason, one.Evidence, one.Why, one.Fix = late.Verdict, late.Severity, late.Reason, late.Evidence, row.Why, row.Fix
			results[i] = one
		}
	}
}

// odd collects what answers give away on the way (T82).
type odd struct {
	mu      sync.Mutex
	crashes []Evidence
	leaks   []Evidence
}

func (o *odd) look(s shot, a answer) {
	if what := leaks(a); what != "" {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.leaks = append(o.leaks, Evidence{Name: s.name, Title: s.title, Answer: what})
	}
}

// crash notes an error of the server, but for the row that is about crashes.
func (o *odd) crash(s shot, answer string) {
	if s.id == "T39" || s.id == "T78" || s.costly { // a method that is none may end the connection
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.crashes = append(o.crashes, Evidence{Name: s.name, Title: s.title, Answer: answer})
}

func (o *odd) result() Result {
	seen := slices.Concat(o.leaks, o.crashes)
	if len(seen) == 0 {
		return resisted("No answer had an error of the server or a stack trace.")
	}
	slices.SortFunc(seen, func(a, b Evidence) int { return strings.Compare(a.Name, b.Name) })
	return Result{Verdict: Vulnerable, Reason: fmt.Sprintf("%d forged requests ended in an error of the server or a stack trace, such as %s: %s.", len(seen), seen[0].Name, seen[0].Answer), Evidence: seen}
}

func hostOf(t Target) string {
	u, err := url.Parse(t.URL)
	if err != nil {
		return ""
	}
	return u.Host
}
