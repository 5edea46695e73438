package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// own are rows that are decided by other means than single shots.
var own = map[string]bool{
	"T77": true, "T79": true, "T80": true, "T81": true, "T82": true, "T83": true, "J01": true, "J02": true,
	"P01": true, "P02": true, "P03": true, "P04": true, "P05": true, "P06": true, "P07": true, "P08": true,
}

// passive looks at what is there without an attack.
func (r *run) passive(ctx context.Context, route *route, id string) (Result, error) {
	switch id {
	case "T80":
		return r.keySetHolds(), nil
	case "J01", "J02":
		return r.life(route, id), nil
	case "P01":
		return transport(route.target), nil
	case "P02":
		return r.origins(ctx, route)
	case "P03", "P04", "P05":
		return cookies(route, id), nil
	case "P06":
		return r.crossSite(ctx, route)
	case "P07":
		return cached(route), nil
	case "P08":
		return challenged(route), nil
	case "T83":
		return Result{Verdict: NotTestable, Reason: "It is the sum of P02 to P06."}, nil
	}
	return Result{Verdict: NotTestable, Reason: "Nothing could be made for this route."}, nil
}

func found(answer, title string) Result {
	return Result{Verdict: Vulnerable, Reason: title, Evidence: []Evidence{{Name: "seen", Title: title, Answer: answer}}}
}

func resisted(reason string) Result { return Result{Verdict: Resisted, Reason: reason} }

func untestable(reason string) Result { return Result{Verdict: NotTestable, Reason: reason} }

// life is how long the valid token lives (T50, J01, J02).
func (r *run) life(route *route, id string) Result {
	token, err := jose.Parse(route.valid)
	if err != nil {
		return untestable("The token cannot be read.")
	}
	claims := claimsOf(token)
	exp, ok := numericDate(claims["exp"])
	if !ok {
		return untestable("The token has no exp: see T50.")
	}
	from, ok := numericDate(claims["iat"])
	if !ok {
		from = r.config.now()
	}
	life, limit := exp.Sub(from), time.Hour
	if id == "J02" {
		limit = 24 * time.Hour
	}
	// An issuer counts from a moment before.
	if life <= limit+time.Minute || id == "J01" && life > 24*time.Hour+time.Minute {
		return resisted(fmt.Sprintf("The token lives for %s.", life.Round(time.Second)))
	}
	return found("exp − iat", fmt.Sprintf("The token lives for %s.", life.Round(time.Second)))
}

// endless is T50 as the issuer's own token shows it.
func endless(valid string) bool {
	token, err := jose.Parse(valid)
	if err != nil {
		return false
	}
	_, ok := claimsOf(token)["exp"]
	return !ok
}

func transport(t Target) Result {
	if !strings.HasPrefix(strings.ToLower(t.URL), "http:") {
		return resisted("The route is served over HTTPS.")
	}
	if t.Loopback() {
		return untestable("On loopback there is no way on which others could listen.")
	}
	return found("http", "The route answers over plain HTTP.")
}

const foreignOrigin = "https://attacker.invalid"

// origins asks as a page of another site does (P02).
func (r *run) origins(ctx context.Context, route *route) (Result, error) {
	var seen []Evidence
	sent := 0
	for _, origin := range []string{foreignOrigin, "null"} {
		for _, method := range []string{route.target.method(), http.MethodOptions} {
			if method != http.MethodOptions && !harmless(method) {
				continue
			}
			sent++
			a, err := route.send(ctx, shot{token: map[bool]string{true: route.valid}[method != http.MethodOptions], change: func(q *http.Request) {
				q.Method = method
				q.Header.Set("Origin", origin)
				if method == http.MethodOptions {
					q.Header.Set("Access-Control-Request-Method", route.target.method())
				}
			}})
			if err != nil && !errors.Is(err, errLimited) {
				return Result{}, err
			}
			if a.header.Get("Access-Control-Allow-Origin") == origin && a.header.Get("Access-Control-Allow-Credentials") == "true" {
				seen = append(seen, Evidence{Name: "origin " + origin, Title: method + " with Origin: " + origin, Answer: "allowed with credentials"})
			}
		}
	}
	if len(seen) == 0 {
		return Result{Verdict: Resisted, Reason: "No foreign origin is allowed with credentials.", Sent: sent}, nil
	}
	return Result{Verdict: Vulnerable, Reason: "A foreign origin is allowed with credentials.", Evidence: seen, Sent: sent}, nil
}

func harmless(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// cookies looks at cookies that carry a token (P03 to P05).
func cookies(route *route, id string) Result {
	what := map[string]string{"P03": "HttpOnly", "P04": "Secure", "P05": "SameSite"}[id]
	for _, a := range route.oracle.valid {
		for _, line := range a.header.Values("Set-Cookie") {
			c, err := http.ParseSetCookie(line)
			if err != nil || strings.Count(c.Value, ".") != 2 || algorithmOf(c.Value) == "" {
				continue
			}
			bad := map[string]bool{"P03": !c.HttpOnly, "P04": !c.Secure, "P05": c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode}[id]
			if bad {
				return found("Set-Cookie: "+c.Name, "The cookie "+c.Name+" holds a token and lacks "+what+".")
			}
			return resisted("The cookie " + c.Name + " has " + what + ".")
		}
	}
	return untestable("No answer set a cookie with a token.")
}

// crossSite sends the cookie as a form of another site would (P06).
func (r *run) crossSite(ctx context.Context, route *route) (Result, error) {
	if route.target.Cookie == "" {
		return untestable("The token travels in a header, which other sites cannot set."), nil
	}
	if harmless(route.target.method()) {
		return untestable("The request changes nothing, so another site gains nothing by it."), nil
	}
	a, err := route.send(ctx, shot{token: route.valid, change: header("Origin", foreignOrigin, "Sec-Fetch-Site", "cross-site")})
	if errors.Is(err, errLimited) {
		return untestable(route.limitedReason()), nil
	}
	if err != nil {
		return Result{}, err
	}
	if what, _ := route.oracle.judge(a, 0); what == accepted {
		return found(fmt.Sprintf("status %d", a.status), "A request with the origin of another site was accepted."), nil
	}
	return resisted("A request with the origin of another site was refused."), nil
}

func cached(route *route) Result {
	for _, a := range route.oracle.valid {
		control := strings.ToLower(strings.Join(a.header.Values("Cache-Control"), ","))
		if strings.Contains(control, "public") || strings.Contains(control, "s-maxage") ||
			route.target.Cookie != "" && harmless(route.target.method()) && !strings.Contains(control, "no-store") && !strings.Contains(control, "private") && !strings.Contains(control, "no-cache") {
			return found("Cache-Control: "+control, "The answer to the valid token may be kept by shared caches.")
		}
	}
	return resisted("Shared caches may not keep the answer (RFC 9111 §3.5).")
}

func challenged(route *route) Result {
	for _, a := range route.oracle.refusal {
		if a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
			return found("status 401", "A refusal has no WWW-Authenticate.")
		}
	}
	return resisted("Refusals carry a challenge, or are none of 401.")
}

// keySetHolds looks at the issuer's key set as it is served (T80).
func (r *run) keySetHolds() Result {
	if len(r.config.KeysDocument) == 0 {
		return untestable("The issuer's key set was not fetched" + r.keysNote() + ".")
	}
	var document struct {
		Keys []map[string]any `json:"keys"`
	}
	if json.Unmarshal(r.config.KeysDocument, &document) != nil {
		return untestable("The issuer's key set cannot be read.")
	}
	var seen []Evidence
	kids := map[string]bool{}
	note := func(name, title string) {
		seen = append(seen, Evidence{Name: name, Title: title, Answer: "in the key set"})
	}
	for _, key := range document.Keys {
		kid := text(key["kid"])
		if key["kty"] == "oct" || key["k"] != nil {
			note("secret", "A symmetric key is published: everybody can sign with it.")
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi"} {
			if key[private] != nil {
				note("private", "A private key is published: everybody can sign with it.")
				break
			}
		}
		if kid != "" && kids[kid] {
			note("twice", "Two keys have one kid.")
		}
		kids[kid] = true
		if n := text(key["n"]); key["kty"] == "RSA" && n != "" && len(n) < 340 {
			note("weak", "An RSA key is shorter than 2048 bits.")
		}
	}
	if len(seen) > 0 {
		return Result{Verdict: Vulnerable, Reason: seen[0].Title, Evidence: seen}
	}
	return resisted(fmt.Sprintf("%d public keys of strength, each with its own id.", len(document.Keys)))
}

// leak are texts that belong in a log.
var leak = regexp.MustCompile(`(?m)(at [\w.$<>]+\([\w./-]+\.(?:java|js|ts|kt|scala):\d+|Traceback \(most recent call last\)|goroutine \d+ \[running\]|^\s+at .+:\d+:\d+\)?$|\.go:\d+ \+0x|System\.[\w.]+Exception|node_modules/|site-packages/|\bSQLSTATE\b|ORA-\d{5}|PG::\w+Error|SyntaxError: Unexpected)`)

// maxLeak is how much of an answer is searched: a trace is at its beginning.
const maxLeak = 32 << 10

// leaks names what kind of detail an answer gives away, "" for none.
func leaks(a answer) string {
	if a.status < 400 {
		return ""
	}
	if match := leak.Find(a.body[:min(len(a.body), maxLeak)]); match != nil {
		return "a piece of the server's own source: " + kindOf(match)
	}
	return ""
}

func kindOf(match []byte) string {
	switch {
	case bytes.Contains(match, []byte("Traceback")):
		return "a Python traceback"
	case bytes.Contains(match, []byte("goroutine")), bytes.Contains(match, []byte(".go:")):
		return "a Go stack trace"
	case bytes.Contains(match, []byte("SQLSTATE")), bytes.Contains(match, []byte("ORA-")), bytes.Contains(match, []byte("PG::")):
		return "a database error"
	}
	return "a stack trace"
}
