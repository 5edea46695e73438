package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/finding"
)

// negative is a verdict that is no failure of ours: findings, an invalid token.
type negative struct{ reason string }

func (e *negative) Error() string { return e.reason }

// unmeasured says that nothing can be said.
type unmeasured struct{ reason string }

func (e *unmeasured) Error() string { return e.reason }

// auditing is what the flags of `audit` say.
type auditing struct {
	token, idToken, expired, otherAudience, revoked   string
	jwks, publicKey, issuer, audience, lab, labListen string
	format, output, failOn, baseline, wordlist        string
	targets, openapi, method, data, cookie, field     string
	headers, only, skip, methods, second              []string
	loginClient, loginSecret, scope                   string
	callbackListen, callbackURL                       string
	rate                                              float64
	concurrency                                       int
	timeout, patience                                 time.Duration
	authorized, allowDoS, quiet, recoverKey           bool
}

func (a *app) auditCommand() *cobra.Command {
	f := &auditing{}
	c := &cobra.Command{
		Use:   "audit URL… --token @FILE",
		Short: "Attack an API with forged tokens and report what it accepts",
		Long: `Attack an API with forged tokens and report what it accepts, with proof.

The valid token is sent first, to learn how the API answers it, then no token,
garbage and a broken signature; then every attack of the catalogue is judged
against that. A public route or a rate limit is recognised and never reported
as a finding.

Attack only what is yours or what you were asked to test. This machine may be
attacked freely; any other host needs --i-am-authorized.

Tokens are never flags, because a flag stays in the history of the shell: put
one into a file and name it with @, or pipe it in with -.`,
		Example: `  gatehouse audit http://127.0.0.1:8081/orders --token @token.jwt
  gatehouse audit http://localhost:8081/orders --lab ./gatehouse-data --format html -o report.html
  gatehouse audit https://api.example.com/orders --token - --i-am-authorized --fail-on high
  gatehouse audit http://127.0.0.1:8081 --openapi api.yaml --token @token.jwt --format sarif -o audit.sarif`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && f.targets == "" && f.openapi == "" {
				return c.Help()
			}
			return a.audit(c.Context(), f, args)
		},
	}
	f.flags(c)
	c.AddCommand(a.auditList(), a.auditExplain(), a.auditDiff(), a.auditLab(), a.auditSelf())
	return c
}

func (f *auditing) flags(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&f.token, "token", "", "a valid token for the route: @FILE, or - for standard input")
	s.StringArrayVar(&f.second, "second-token", nil, "another token of the same issuer, @FILE: recovers its key where it is not published (repeatable)")
	s.BoolVar(&f.recoverKey, "recover-key", false, "take one to three minutes and 600 MB of memory to recover an RSA key from two tokens")
	s.StringVar(&f.idToken, "id-token", "", "an ID token of the same user, @FILE: must be refused as access token")
	s.StringVar(&f.expired, "expired", "", "a token that has expired, @FILE: must be refused")
	s.StringVar(&f.otherAudience, "other-audience", "", "a token for another API, @FILE: must be refused")
	s.StringVar(&f.revoked, "revoked", "", "a token from before a logout, @FILE: must be refused")
	s.StringVar(&f.jwks, "jwks", "", "the issuer's key set, a file or a URL (default: by discovery from the token's iss)")
	s.StringVar(&f.publicKey, "public-key", "", "the issuer's public key or its certificate, a PEM file")
	s.StringVar(&f.issuer, "issuer", "", "the issuer that the API expects (default: the token's iss)")
	s.StringVar(&f.audience, "audience", "", "the audience that the API expects (default: the token's aud)")
	s.StringVar(&f.lab, "lab", "", "folder of `DIR` gatehouse dev or audit lab: signs wrong tokens with its keys")
	s.StringVar(&f.labListen, "lab-listen", "", "be the issuer of the API yourself, on this address: signs valid and wrong tokens (needs --audience)")
	s.StringVar(&f.format, "format", "terminal", strings.Join(attack.Formats, ", "))
	s.StringVarP(&f.output, "output", "o", "", "write the report to a file")
	s.StringVar(&f.failOn, "fail-on", "low", "exit code 3 for findings of this severity or worse: low, medium, high, critical")
	s.StringVar(&f.baseline, "baseline", "", "file of accepted findings: a fingerprint a line, and why")
	s.StringVar(&f.wordlist, "wordlist", "", "more HMAC secrets to try offline, a file with one a line")
	s.StringVar(&f.targets, "targets", "", "file of targets: a line is URL or METHOD URL")
	s.StringVar(&f.openapi, "openapi", "", "OpenAPI 3 document: every operation is a target")
	s.StringSliceVar(&f.methods, "methods", nil, "only operations of these methods of the document, such as GET,HEAD")
	s.StringVarP(&f.method, "method", "X", "", "method (default GET)")
	s.StringVarP(&f.data, "data", "d", "", "body, or @FILE")
	s.StringArrayVarP(&f.headers, "header", "H", nil, "header to send with every request, 'Name: value', or @FILE with one a line (repeatable)")
	s.StringVar(&f.cookie, "cookie", "", "name of the cookie that carries the token, instead of the Authorization header")
	s.StringVar(&f.loginClient, "login-client", "", "client id to obtain and renew tokens with (client_credentials at the --issuer)")
	s.StringVar(&f.loginSecret, "login-secret", "", "secret of that client: @FILE, or -")
	s.StringVar(&f.scope, "scope", "", "scopes of tokens that the auditor obtains or makes, separated by spaces")
	s.StringVar(&f.field, "form-field", "", "name of the form field that carries the token, instead of the Authorization header")
	s.StringVar(&f.callbackListen, "callback-listen", "127.0.0.1:0", "where tokens lead to (jku, x5u, kid, iss); \"\" for nowhere")
	s.StringVar(&f.callbackURL, "callback-url", "", "how the target reaches that address; needed for other hosts")
	s.StringSliceVar(&f.only, "only", nil, "only these attacks: ids, or names of single requests (repeatable)")
	s.StringSliceVar(&f.skip, "skip", nil, "not these (repeatable)")
	s.Float64Var(&f.rate, "rate", 0, "requests a second (default 100 on this machine, 5 elsewhere)")
	s.IntVar(&f.concurrency, "concurrency", 0, "requests at once (default 4 on this machine, 1 elsewhere)")
	s.DurationVar(&f.timeout, "timeout", 10*time.Second, "for one answer")
	s.DurationVar(&f.patience, "patience", 15*time.Second, "for a route that limits its rate, in all")
	s.BoolVar(&f.authorized, "i-am-authorized", false, "you own the target or were asked to test it")
	s.BoolVar(&f.allowDoS, "allow-dos", false, "also attacks that cost the target time and memory, and timing")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
}

// audit runs one audit and writes its report.
func (a *app) audit(ctx context.Context, f *auditing, args []string) error {
	least, err := f.check()
	if err != nil {
		return err
	}
	config, done, err := a.auditConfig(ctx, f, args)
	if err != nil {
		return err
	}
	defer done()
	report, err := attack.Run(ctx, config)
	if errors.Is(err, attack.ErrNotPermitted) {
		return usagef("%v", err)
	}
	if err != nil && len(report.Targets) == 0 {
		return usagef("%v", err)
	}
	if f.lab != "" {
		report.Notes = append(report.Notes, "Wrong tokens were signed with the keys of a lab or dev folder.")
	}
	report.Notes = append(report.Notes, undeclared(config.Targets, report)...)
	if writeErr := a.writeReport(report, f); writeErr != nil {
		return writeErr
	}
	return auditVerdict(ctx, report, err, least)
}

// undeclared tells of routes that are open although their document says
// otherwise.
func undeclared(targets []attack.Target, report attack.Report) []string {
	var notes []string
	for i, t := range report.Targets {
		if i < len(targets) && targets[i].Declared != "" && !targets[i].Open && strings.HasPrefix(t.Reason, "Public route") {
			notes = append(notes, t.Route+" declares security ("+t.Declared+") and answers without a token. Look at it by hand.")
		}
	}
	return notes
}

// auditVerdict is the exit code of a report (C37).
func auditVerdict(ctx context.Context, report attack.Report, err error, least finding.Severity) error {
	switch {
	case report.Interrupted || ctx.Err() != nil:
		return errors.New("interrupted: the report is a part")
	case report.FailsAt(least):
		return &negative{fmt.Sprintf("%d findings of severity %s or worse", countAt(report, least), least)}
	case errors.Is(err, attack.ErrUnreachable):
		return err
	case !report.Measured():
		reason := "no target"
		if len(report.Targets) > 0 {
			reason = report.Targets[0].Reason
		}
		return &unmeasured{"nothing could be measured: " + reason}
	}
	return nil
}

func countAt(report attack.Report, least finding.Severity) int {
	n := 0
	for _, f := range report.Findings() {
		if f.Severity.AtLeast(least) {
			n++
		}
	}
	return n
}

func (f *auditing) check() (finding.Severity, error) {
	least, err := finding.ParseSeverity(f.failOn)
	if err != nil || least == finding.Info {
		return "", usagef("--fail-on takes low, medium, high or critical")
	}
	if !slices.Contains(attack.Formats, f.format) {
		return "", usagef("there is no --format %s: use one of %s", f.format, strings.Join(attack.Formats, ", "))
	}
	for name, value := range map[string]string{"token": f.token, "id-token": f.idToken, "expired": f.expired, "other-audience": f.otherAudience, "revoked": f.revoked, "login-secret": f.loginSecret} {
		if value != "" && value != "-" && !strings.HasPrefix(value, "@") {
			return "", pasted(name)
		}
	}
	for _, value := range f.second {
		if value != "-" && !strings.HasPrefix(value, "@") {
			return "", pasted("second-token")
		}
	}
	return least, nil
}

// pasted is the refusal of a secret in a flag.
func pasted(flag string) error {
	return usagef("--%s does not take the secret itself: what is typed on a command line stays in the shell's history and in the list of processes. Put it into a file and give --%s @FILE, or pipe it in and give --%s -", flag, flag, flag)
}

// writeReport writes to the file that was named, readable by its owner only, or
// to standard output.
func (a *app) writeReport(report attack.Report, f *auditing) error {
	if f.output == "" {
		return report.Write(a.Out, f.format, a.coloured())
	}
	file, err := os.OpenFile(f.output, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := report.Write(file, f.format, false); err != nil {
		file.Close()
		return fmt.Errorf("write the report: %w", err)
	}
	fmt.Fprintf(a.Err, "report: %s\n", f.output)
	return file.Close()
}

// coloured tells whether output goes to a terminal that wants colours.
func (a *app) coloured() bool {
	file, ok := a.Out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// secretIn reads what a flag names: @FILE or - for standard input.
func (a *app) secretIn(flag, value string) (string, error) {
	var content []byte
	var err error
	if value == "-" {
		content, err = io.ReadAll(io.LimitReader(a.In, 64<<10))
	} else {
		content, err = os.ReadFile(strings.TrimPrefix(value, "@"))
	}
	if err != nil {
		return "", fmt.Errorf("read --%s: %w", flag, err)
	}
	text := strings.TrimSpace(string(content))
	// A header file of dev is as good as a bare token.
	text = strings.TrimSpace(strings.TrimPrefix(text, "Authorization:"))
	if scheme, rest, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "Bearer") {
		text = strings.TrimSpace(rest)
	}
	if text == "" {
		return "", usagef("--%s: there is nothing in %s", flag, value)
	}
	return text, nil
}

// targetsOf are the targets that arguments and flags name.
func (f *auditing) targetsOf(args []string) ([]attack.Target, error) {
	var targets []attack.Target
	if f.openapi != "" {
		document, err := os.ReadFile(f.openapi)
		if err != nil {
			return nil, fmt.Errorf("read --openapi: %w", err)
		}
		base := ""
		if len(args) > 0 {
			base, args = args[0], args[1:]
		}
		declared, err := attack.OpenAPI(document, f.openapi, base)
		if err != nil {
			return nil, usagef("%v", err)
		}
		for _, t := range declared {
			if len(f.methods) == 0 || slices.ContainsFunc(f.methods, func(m string) bool { return strings.EqualFold(m, t.Method) }) {
				targets = append(targets, t)
			}
		}
	}
	for _, address := range args {
		targets = append(targets, attack.Target{URL: address})
	}
	if f.targets != "" {
		content, err := os.ReadFile(f.targets)
		if err != nil {
			return nil, fmt.Errorf("read --targets: %w", err)
		}
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			switch {
			case len(fields) == 0 || strings.HasPrefix(fields[0], "#"):
			case len(fields) == 1:
				targets = append(targets, attack.Target{URL: fields[0]})
			default:
				targets = append(targets, attack.Target{Method: fields[0], URL: fields[1]})
			}
		}
	}
	return f.dress(targets)
}

// dress adds what every request has.
func (f *auditing) dress(targets []attack.Target) ([]attack.Target, error) {
	if len(targets) == 0 {
		return nil, usagef("there is no target. Give a URL, --targets FILE or --openapi FILE")
	}
	headers, err := f.headersOf()
	if err != nil {
		return nil, err
	}
	body := f.data
	if file, ok := strings.CutPrefix(f.data, "@"); ok {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read --data: %w", err)
		}
		body = string(content)
	}
	for i := range targets {
		t := &targets[i]
		if t.Method == "" {
			t.Method = f.method
		}
		if t.Body == "" {
			t.Body = body
		}
		t.Cookie, t.Field = f.cookie, f.field
		merged := headers.Clone()
		for name, values := range t.Headers {
			if merged.Get(name) == "" {
				merged[name] = values
			}
		}
		t.Headers = merged
	}
	return targets, nil
}

func (f *auditing) headersOf() (http.Header, error) {
	headers := http.Header{}
	for _, one := range f.headers {
		lines, fromFile := []string{one}, false
		if file, ok := strings.CutPrefix(one, "@"); ok {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("read --header: %w", err)
			}
			lines, fromFile = strings.Split(string(content), "\n"), true
		}
		for _, line := range lines {
			if strings.TrimSpace(line) == "" {
				continue
			}
			name, value, ok := strings.Cut(line, ":")
			name, value = strings.TrimSpace(name), strings.TrimSpace(value)
			if !ok || name == "" {
				return nil, usagef("--header %q is not of the form 'Name: value'", name)
			}
			if !fromFile && (strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Cookie") || strings.HasPrefix(value, "eyJ")) {
				return nil, usagef("--header does not take a token or cookie: what is typed on a command line stays in the shell's history. Give the token with --token @FILE, or the header with --header @FILE")
			}
			headers.Add(name, value)
		}
	}
	return headers, nil
}

// progress shows where a run is: one line that changes on a terminal, a line
// every few seconds elsewhere.
func (a *app) progress(quiet bool) func(attack.Progress) {
	if quiet {
		return nil
	}
	file, ok := a.Err.(*os.File)
	changing := ok && term.IsTerminal(int(file.Fd()))
	last := time.Now()
	return func(p attack.Progress) {
		line := fmt.Sprintf("attack %d/%d %s %s", p.Done, p.All, p.ID, p.Route)
		if p.Doing != "" {
			line = p.ID + " " + p.Doing
		}
		switch {
		case changing && p.Done == p.All:
			fmt.Fprint(a.Err, "\r\x1b[K")
		case changing:
			fmt.Fprintf(a.Err, "\r\x1b[K%.100s", line)
		case time.Since(last) > 2*time.Second:
			last = time.Now()
			fmt.Fprintln(a.Err, line)
		}
	}
}
