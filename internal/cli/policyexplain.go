package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

func (a *app) policyExplain() *cobra.Command {
	var q asked
	c := &cobra.Command{
		Use:   "explain {METHOD PATH | --log FILE --request-id ID}",
		Short: "Show why a request is allowed or denied, and the smallest change",
		Long: `Show every check of a request: the path as it is read, the route with its file
and line, and each condition with both sides; then the smallest change that would
allow a denied one.

The token is read from a file (or from the input as @-), and is NOT VERIFIED,
unless the issuer's key set is given with --keys. Without --token nobody asks.

With --log and --request-id it explains a request of the gateway's decision log:
who asked is what the log says, at the time of the request.

Exit code 3 when the request is denied.`,
		Example: `  gatehouse policy explain --policy policy.yaml GET /healthz
  gatehouse policy explain --policy policy.yaml --token @token.jwt GET /tenants/t2/orders/7
  gatehouse policy explain --policy policy.yaml --token @token.jwt --keys jwks.json --json GET /orders
  gatehouse policy explain --policy policy.yaml --log decisions.ndjson --request-id 01JD3V9Q`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case q.log != "" && len(args) > 0:
				return usagef("with --log the request is that of --request-id: leave out METHOD and PATH")
			case q.log == "" && len(args) != 2:
				return usagef("which request? Name METHOD and PATH, as in GET /orders/7, or --log and --request-id")
			case q.log == "":
				q.method, q.target = args[0], args[1]
			}
			return a.explainRequest(c.Context(), q)
		},
	}
	c.Flags().StringVar(&q.policy, "policy", "policy.yaml", "the policy file")
	c.Flags().StringVar(&q.token, "token", "", "the file with the access token, as @FILE, or @- for the input")
	c.Flags().StringVar(&q.keys, "keys", "", "a file with the issuer's key set (JWKS), to verify the token")
	c.Flags().StringVar(&q.log, "log", "", "the gateway's decision log, one JSON record a line; - is the input")
	c.Flags().StringVar(&q.requestID, "request-id", "", "the request in that log")
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	c.MarkFlagsRequiredTogether("log", "request-id")
	c.MarkFlagsMutuallyExclusive("log", "token")
	c.MarkFlagsMutuallyExclusive("log", "keys")
	return c
}

// asked is what explain was asked.
type asked struct{ policy, token, keys, log, requestID, method, target string }

// explanation is what explain prints as JSON.
type explanation struct {
	Method   string         `json:"method"`
	Path     string         `json:"path"`
	Token    string         `json:"token"` // none, not verified, verified, refused, logged
	Allow    bool           `json:"allow"`
	Status   int            `json:"status"`
	Reason   string         `json:"reason,omitempty"`
	Route    string         `json:"route,omitempty"`
	Rule     string         `json:"rule,omitempty"` // file:line
	Shadow   bool           `json:"shadow,omitempty"`
	Checks   []explainCheck `json:"checks"`
	Fix      string         `json:"fix,omitempty"`
	Warnings []string       `json:"warnings,omitempty"`
}

type explainCheck struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
	Rule string `json:"rule,omitempty"`
}

func (a *app) explainRequest(ctx context.Context, q asked) error {
	p, err := a.loadPolicy(q.policy)
	if err != nil {
		return err
	}
	if q.keys != "" && q.token == "" {
		return usagef("--keys verifies a token: name it with --token @FILE")
	}
	who, at := presenter{}, time.Now()
	if q.log != "" {
		who, at, err = a.logged(&q)
	} else {
		who, err = a.presented(ctx, p, q)
	}
	if err != nil {
		return err
	}
	d := p.Explain(q.method, q.target, who.caller, at)
	e := explanation{Method: q.method, Path: q.target, Token: who.state, Allow: d.Allow, Status: d.Status, Reason: d.Reason, Shadow: d.Shadow, Fix: d.Fix, Warnings: who.warnings}
	if d.Route != nil {
		e.Route, e.Rule = d.Route.String(), place(d.Route, d.Route.Line)
	}
	for _, c := range d.Trace {
		row := explainCheck{Name: c.Name, OK: c.OK, Text: c.Text}
		if who.state == tokenRefused && c.Name == "token" {
			row.Text = "refused"
		}
		if c.Line > 0 {
			row.Rule = place(d.Route, c.Line)
		}
		e.Checks = append(e.Checks, row)
	}
	// A public route asks for no token; any other refuses one that is not valid.
	if who.state == tokenRefused && !d.Public && d.Route != nil {
		e.Allow, e.Status, e.Reason, e.Fix = d.Shadow, 401, "invalid_token", "Get a valid token of "+who.issuer+"."
	}
	if a.json {
		err = a.printJSON(e)
	} else {
		a.printExplanation(e)
	}
	if err == nil && !e.Allow {
		return &findings{fmt.Errorf("denied: %s", e.Reason)}
	}
	return err
}

func place(r *policy.Route, line int) string { return fmt.Sprintf("%s:%d", r.File, line) }

func (a *app) printExplanation(e explanation) {
	fmt.Fprintf(a.Out, "%s %s\n", printable(e.Method), printable(e.Path))
	for _, w := range e.Warnings {
		fmt.Fprintf(a.Out, "! %s\n", printable(w))
	}
	for i, c := range e.Checks {
		branch, mark := "├─", "ok  "
		if i == len(e.Checks)-1 {
			branch = "└─"
		}
		if !c.OK {
			mark = "FAIL"
		}
		where := ""
		if c.Rule != "" {
			where = "  (" + c.Rule + ")"
		}
		fmt.Fprintf(a.Out, "%s %s %s: %s%s\n", branch, mark, c.Name, printable(c.Text), where)
	}
	verdict := "DENY"
	if e.Allow {
		verdict = "ALLOW"
	}
	fmt.Fprintf(a.Out, "%s %d %s", verdict, e.Status, e.Reason)
	if e.Shadow {
		fmt.Fprint(a.Out, " (the route only watches)")
	}
	fmt.Fprintln(a.Out)
	if e.Fix != "" {
		fmt.Fprintf(a.Out, "Smallest change: %s\n", printable(e.Fix))
	}
}

// printable keeps what a token says from writing on the terminal.
func printable(s string) string { return iam.Printable(s, 1000) }

// States of the token that explain was given.
const (
	tokenNone        = "none"
	tokenNotVerified = "not verified"
	tokenVerified    = "verified"
	tokenRefused     = "refused"
	tokenLogged      = "logged"
)

// presenter is who asks, and how much of it is known.
type presenter struct {
	caller   *policy.Caller
	state    string
	issuer   string
	warnings []string
}

func (p *presenter) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// logged finds the request in a decision log, and who made it.
func (a *app) logged(q *asked) (presenter, time.Time, error) {
	var found *policy.Record
	err := a.eachRecord(q.log, func(r policy.Record) {
		if r.RequestID == q.requestID {
			found = &r
		}
	})
	if err != nil {
		return presenter{}, time.Time{}, err
	}
	if found == nil {
		return presenter{}, time.Time{}, usagef("%s has no request %q", q.log, q.requestID)
	}
	q.method, q.target = found.Method, found.Path
	who := presenter{caller: found.Caller(), state: tokenLogged}
	who.warn("As logged at %s: %s %s. Of the token's claims the log has those that a where compared.", found.Time.Format(time.RFC3339), found.Decision, found.Reason)
	return who, found.Time, nil
}

func (a *app) presented(ctx context.Context, p *policy.Policy, q asked) (presenter, error) {
	if q.token == "" {
		return presenter{state: tokenNone}, nil
	}
	name, ok := strings.CutPrefix(q.token, "@")
	if !ok || name == "" {
		return presenter{}, usagef("--token takes a file, as @token.jwt, or @- for the input: a token on the command line can be read by others")
	}
	text, err := a.readFileBounded(name)
	if err != nil {
		return presenter{}, err
	}
	raw := strings.TrimSpace(string(text))
	parsed, err := jose.Parse(raw)
	if err != nil {
		return presenter{}, fmt.Errorf("%s holds no JSON Web Token: %w", name, err)
	}
	claims, err := jose.ParseClaims(parsed.Payload())
	if err != nil {
		return presenter{}, fmt.Errorf("read the claims of %s: %w", name, err)
	}
	who := presenter{state: tokenNotVerified, issuer: claims.Issuer}
	entry, known := entryFor(p, claims.Issuer)
	if !known {
		who.state = tokenRefused
		who.warn("The token is refused: it is of %q, an issuer that the policy does not list.", claims.Issuer)
		return who, nil
	}
	if entry.Algorithms != nil && !slices.Contains(entry.Algorithms, string(parsed.Algorithm())) {
		who.state = tokenRefused
		who.warn("The token is refused: it is signed with %s, and the policy takes %s.", parsed.Algorithm(), strings.Join(entry.Algorithms, ", "))
		return who, nil
	}
	if who.caller, err = unverified(claims, entry); err != nil {
		return presenter{}, err
	}
	if q.keys == "" {
		who.warn("The token is NOT VERIFIED: signature, audience and expiry were not looked at. Give the issuer's keys with --keys to verify it.")
		return who, nil
	}
	return a.verified(ctx, who, raw, entry, q.keys)
}

func entryFor(p *policy.Policy, issuer string) (policy.Token, bool) {
	for _, t := range p.Tokens() {
		if t.Issuer == issuer {
			return t, true
		}
	}
	return policy.Token{}, false
}

// verified asks guard, with the key set of a file in place of the issuer's.
func (a *app) verified(ctx context.Context, who presenter, raw string, entry policy.Token, keys string) (presenter, error) {
	set, err := a.readFileBounded(keys)
	if err != nil {
		return presenter{}, err
	}
	if _, _, err := jose.ParseKeySet(set); err != nil {
		return presenter{}, fmt.Errorf("%s is no key set: %w", keys, err)
	}
	g, err := guard.New(guard.Config{
		Issuer: entry.Issuer, Audience: entry.Audience, KeysURL: strings.TrimSuffix(entry.Issuer, "/") + "/keys", Profile: guardProfiles[entry.Profile],
		HTTPClient: &http.Client{Transport: fileKeys(set)}, Logger: slog.New(slog.DiscardHandler), InsecureHTTPIssuer: true,
	})
	if err != nil {
		return presenter{}, err
	}
	defer g.Close()
	caller, err := g.Verify(ctx, raw)
	if err != nil {
		who.state, who.caller = tokenRefused, nil
		who.warn("The token is refused: %s", err)
		return who, nil
	}
	who.state = tokenVerified
	who.caller.Scopes, who.caller.Roles, who.caller.Subject, who.caller.ClientID = caller.Scopes(), caller.Roles(), caller.Subject(), caller.ClientID()
	return who, nil
}

var guardProfiles = map[string]guard.Profile{"rfc9068": guard.RFC9068, "auth0": guard.Auth0, "keycloak": guard.Keycloak, "entra": guard.Entra}

// fileKeys answers each request with the key set of a file.
type fileKeys []byte

func (k fileKeys) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/jwk-set+json"}},
		Body: io.NopCloser(bytes.NewReader(k)), ContentLength: int64(len(k))}, nil
}

// unverified reads what a decision needs, as the profile says where it stands.
func unverified(claims jose.Claims, entry policy.Token) (*policy.Caller, error) {
	issued, err0 := claims.Time("iat")
	where := "scope"
	if entry.Profile == "entra" {
		where = "scp"
	}
	scope, err1 := claims.String(where)
	var roles []string
	var err2 error
	switch entry.Profile {
	case "auth0":
		roles, err2 = claims.Strings("permissions")
	case "keycloak":
		var realm []string
		var err error
		roles, err2 = claims.Strings("resource_access", entry.Audience, "roles")
		roles = slices.DeleteFunc(roles, func(r string) bool { return strings.HasPrefix(r, "realm:") })
		realm, err = claims.Strings("realm_access", "roles")
		for _, r := range realm {
			roles = append(roles, "realm:"+r)
		}
		err2 = errors.Join(err2, err)
	default:
		roles, err2 = claims.Strings("roles")
	}
	client, err3 := claims.String("client_id")
	if err := errors.Join(err0, err1, err2, err3); err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	return &policy.Caller{Issuer: claims.Issuer, Subject: claims.Subject, ClientID: client, Scopes: strings.Fields(scope), Roles: roles, Issued: issued,
		Claim: func(name string) (string, bool) { return policy.ClaimText(claims.Raw(name)) }}, nil
}
