package attack

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// secrets tries to find the secret of the valid token offline, then sends
// tokens with guessed secrets (T10).
func (r *run) secrets(ctx context.Context, route *route, st state, p plan, notes *odd) (Result, error) {
	secret, where, tried := guess(route.valid, r.config.Words)
	row, _ := findRow("T10")
	if secret == nil {
		if st.unsigned != "" {
			return untestable("Implied by T04."), nil
		}
		result, err := r.fire(ctx, route, row, r.pick(p.shots["T10"]), notes)
		if tried > 0 && result.Verdict == Resisted {
			result.Reason = fmt.Sprintf("%d secrets tried offline, none fits; %s", tried, strings.ToLower(result.Reason[:1])+result.Reason[1:])
		}
		return result, err
	}
	result := Result{Verdict: Vulnerable, Reason: "The secret of the valid token was found offline: " + where + ".", Evidence: []Evidence{{Name: "offline", Title: "the secret is " + where, Answer: "the signature fits"}}}
	if forged, err := withSecret(route.valid, secret); err == nil && st.unsigned == "" {
		s := shot{id: "T10", name: "forged-with-the-secret", title: "another user's token, signed with the secret that was found", token: forged}
		v, err := r.try(ctx, route, s, notes)
		if err != nil && !errors.Is(err, errLimited) {
			return result, err
		}
		result.Sent = 1
		result.Evidence = append(result.Evidence, Evidence{Name: s.name, Title: s.title, Answer: v.answer})
	}
	return result, nil
}

// withSecret is the valid token for another user, signed with a known secret.
func withSecret(valid string, secret []byte) (string, error) {
	token, err := jose.Parse(valid)
	if err != nil {
		return "", err
	}
	claims := claimsOf(token)
	claims["sub"] = forge.ForgedSubject
	made := jwt.NewWithClaims(jwt.GetSigningMethod(string(token.Algorithm())), jwt.MapClaims(claims))
	if token.Type() != "" {
		made.Header["typ"] = token.Type()
	}
	if token.KeyID() != "" {
		made.Header["kid"] = token.KeyID()
	}
	return made.SignedString(secret)
}

// recover computes the issuer's key where it is not published (T06), once a run.
func (r *run) recover(ctx context.Context, route *route) {
	if r.recoverNote != "" || !r.recovered.IsZero() || !r.wanted("T06") {
		return
	}
	more := r.config.More
	switch {
	case r.config.Keys.Len() > 0:
		r.recoverNote = "The issuer's key is known: what would be forged with a recovered one is sent as T05."
		return
	case strings.HasPrefix(string(algorithmOf(route.valid)), "HS"):
		r.recoverNote = "The valid token is signed with a secret: there is no public key to recover."
		return
	case len(more) == 0: // whoever obtains tokens by itself gets another one
		another, err := route.token(ctx)
		if err != nil || another == route.valid {
			r.recoverNote = "The issuer's key is not published: it can be recovered from two tokens. Give another one with --second-token."
			return
		}
		more = []string{another}
	}
	began := time.Now()
	key, err := recoverKey(ctx, append([]string{route.valid}, more...), r.config.RecoverKey, r.tellRecovering(route))
	if err != nil {
		r.recoverNote = "The key could not be recovered: " + err.Error() + "."
		return
	}
	r.recovered = key
	r.notes = append(r.notes, fmt.Sprintf("The issuer's key is not published. It was computed from %d tokens in %s.", 1+len(more), time.Since(began).Round(100*time.Millisecond)))
}

// tellRecovering shows how far a long computation is.
func (r *run) tellRecovering(route *route) func(float64) {
	last := time.Time{}
	return func(done float64) {
		if r.config.Progress != nil && time.Since(last) > 500*time.Millisecond {
			last = time.Now()
			r.config.Progress(Progress{Done: r.done, All: r.all, ID: "T06", Route: route.target.Route(), Doing: fmt.Sprintf("computing the issuer's key: %.0f %%", 100*done)})
		}
	}
}

// withRecovered are the tokens that misuse the recovered key: those of T05 under
// the name of T06, and the encrypted ones.
func (r *run) withRecovered(source forge.Source) []shot {
	if r.recovered.IsZero() {
		return nil
	}
	source.Keys = jose.NewKeySet(r.recovered)
	all, err := forge.All(source)
	if err != nil {
		return nil
	}
	var shots []shot
	for _, f := range all {
		switch f.ID {
		case "T05":
			shots = append(shots, shot{id: "T06", name: f.Name, title: f.Title + ", recovered from two tokens", want: f.Want, token: f.Raw})
		case "T34", "T35":
			shots = append(shots, shot{id: f.ID, name: f.Name, title: f.Title + ", recovered from two tokens", want: f.Want, token: f.Raw})
		}
	}
	return shots
}

// mint signs the claims of the valid token with changes, by the lab's key; nil
// takes a claim away.
func (r *run) mint(valid string, changes map[string]any) (string, error) {
	token, err := jose.Parse(valid)
	if err != nil {
		return "", err
	}
	claims := claimsOf(token)
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	kind := token.Type()
	if kind == "" {
		kind = "JWT"
	}
	return r.config.Lab.Sign(kind, claims)
}

// leeway finds how long after exp a token is still taken: 0 to an hour, to a
// second's precision in at most 12 requests (T51).
func (r *run) leeway(ctx context.Context, route *route, result Result) (Result, error) {
	if r.config.Lab.IsZero() {
		return result, nil
	}
	takes := func(seconds int) (bool, error) {
		raw, err := r.mint(route.valid, map[string]any{"exp": r.config.now().Add(-time.Duration(seconds) * time.Second).Unix()})
		if err != nil {
			return false, err
		}
		a, err := route.send(ctx, shot{token: raw})
		what, _ := route.oracle.judge(a, 0)
		return err == nil && what == accepted, err
	}
	low, high := 0, 300 // five minutes are refused already
	for high-low > 1 {
		middle := (low + high) / 2
		yes, err := takes(middle)
		if err != nil {
			return result, err
		}
		result.Sent++
		if yes {
			low = middle
		} else {
			high = middle
		}
	}
	result.Reason += fmt.Sprintf(" A token is taken until %d s after it expired.", low)
	if low > 90 {
		result.Verdict, result.Severity = Vulnerable, "low"
		result.Evidence = []Evidence{{Name: "leeway", Title: "expired tokens of growing age", Answer: fmt.Sprintf("accepted up to %d s after exp", low)}}
	}
	return result, nil
}

// mixing asks as two users in turn and at once, and looks whether one gets the
// other's answer (T77).
func (r *run) mixing(ctx context.Context, route *route) (Result, error) {
	if r.config.Lab.IsZero() {
		return untestable("It takes two users' tokens at once: with --lab they can be made."), nil
	}
	names := []string{"usr_audit_one", "usr_audit_two"}
	tokens := make([]string, 2)
	for i, name := range names {
		var err error
		if tokens[i], err = r.mint(route.valid, map[string]any{"sub": name, "jti": "same"}); err != nil {
			return Result{}, err
		}
	}
	result := Result{Verdict: Resisted, Reason: "Two users got their own answers."}
	for n := range 20 {
		a, err := route.send(ctx, shot{token: tokens[n%2]})
		if err != nil {
			return result, err
		}
		result.Sent++
		mine, other := strings.Contains(string(a.body), names[n%2]), strings.Contains(string(a.body), names[1-n%2])
		if !mine && !other {
			return untestable("The route does not say whom it answers."), nil
		}
		if other {
			result.Verdict, result.Reason = Vulnerable, "One user got the answer of another."
			result.Evidence = []Evidence{{Name: "two-users", Title: "two users' tokens in turn", Answer: "the name of the other one"}}
			return result, nil
		}
	}
	return result, nil
}

// storm sends tokens with kids that do not exist and counts how often the
// issuer is asked for its keys (T79).
func (r *run) storm(ctx context.Context, route *route) (Result, error) {
	if r.config.Fetches == nil {
		return untestable("Only the issuer sees how often its keys are fetched: let the auditor be the issuer, with --lab-listen."), nil
	}
	source, err := r.source(route.valid)
	if err != nil {
		return Result{}, err
	}
	before := r.config.Fetches()
	const storm = 50
	for range storm {
		signer, err := jose.GenerateSigner(source.Own.Key().Algorithm())
		if err != nil {
			return Result{}, err
		}
		raw, err := signer.Sign(forge.AccessToken, map[string]any{"iss": source.Issuer, "aud": source.Audience, "sub": forge.ForgedSubject, "exp": r.config.now().Add(time.Minute).Unix()})
		if err != nil {
			return Result{}, err
		}
		if _, err := route.send(ctx, shot{token: raw}); err != nil {
			return Result{}, err
		}
	}
	fetched := r.config.Fetches() - before
	what := strconv.Itoa(fetched) + " fetches of the key set for " + strconv.Itoa(storm) + " tokens with unknown kids."
	if fetched > 10 {
		result := found(what, what)
		result.Sent = storm
		return result, nil
	}
	return Result{Verdict: Resisted, Reason: what, Sent: storm}, nil
}
