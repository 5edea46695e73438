package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/inspect"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
)

func (a *app) tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Tokens: read, check, compare",
		Long: `Explain a JSON Web Token: who made it, for whom, until when, whether the
signature holds, and what is risky about it.`,
		Example: "  gatehouse token inspect @token.jwt\n  gatehouse token verify --issuer https://id.example.com --audience https://api.example.com @token.jwt\n  gatehouse token diff @old.jwt @new.jwt",
		RunE:    verbless,
	}
	c.SuggestionsMinimumDistance = 2
	c.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON (schema: docs/reference/token-inspect.schema.json)")
	c.AddCommand(a.tokenInspect(), a.tokenVerify(), a.tokenDiff())
	return c
}

// checking is how a token is judged, as the flags say it.
type checking struct {
	key, jwks, secret string
	issuer, audience  string
	kind              string
	at                string
	leeway            time.Duration
	reveal            bool
}

func (k *checking) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&k.key, "key", "", "file with the key: PEM, certificate, JWK or JWKS")
	f.StringVar(&k.jwks, "jwks", "", "key set: a file, or an address to fetch it from")
	f.StringVar(&k.secret, "secret", "", "shared secret of HS256 and the like: @FILE")
	f.StringVar(&k.issuer, "issuer", "", "expected issuer; without --key, --jwks and --secret its keys are fetched")
	f.StringVar(&k.audience, "audience", "", "expected audience")
	f.StringVar(&k.kind, "type", "", "expected typ, such as at+jwt")
	f.StringVar(&k.at, "at", "", "judge for another time: RFC 3339, a date, seconds, or -2h, +10m")
	f.DurationVar(&k.leeway, "leeway", 0, "for clocks that differ; guard's default is 30s")
	f.BoolVar(&k.reveal, "show-secrets", false, "do not mask ids, names and addresses")
	c.MarkFlagsMutuallyExclusive("key", "jwks", "secret")
}

func (a *app) tokenInspect() *cobra.Command {
	k := &checking{}
	c := &cobra.Command{
		Use:   "inspect [TOKEN | @FILE | FILE | -]",
		Short: "Explain a token",
		Long: `Explain a token: the verdict first, then its life, its claims in words, and
what is risky about it.

The input may be a token in any wrapping: with Bearer in front, in quotes, over
several lines, in a cookie, a curl command, a token response or a HAR file.
Nothing is sent anywhere; keys are fetched only with --issuer alone or with an
address in --jwks. Ids, names and addresses are masked.

Exit codes: 0 shown, 2 usage or no token, 3 the token is invalid, 6 the keys
cannot be reached.`,
		Example: `  gatehouse token inspect @token.jwt
  pbpaste | gatehouse token inspect
  gatehouse token inspect --issuer https://id.example.com @token.jwt
  gatehouse token inspect --secret @secret.txt --at 2026-01-31 @token.jwt
  gatehouse token inspect --json @token.jwt | jq .findings`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			input, err := a.tokenText(args)
			if err != nil {
				return err
			}
			o, err := k.options(c.Context())
			if err != nil {
				return err
			}
			return a.report(inspect.Inspect(input, o))
		},
	}
	k.flags(c)
	return c
}

func (a *app) tokenVerify() *cobra.Command {
	k := &checking{}
	c := &cobra.Command{
		Use:   "verify [@FILE | -]",
		Short: "Check a token, and answer by the exit code",
		Long: `Check a token: signature, issuer, audience, expiry. Without a key the keys of
the issuer are fetched.

Exit codes: 0 good, 3 not good, 2 usage or no token, 6 the keys cannot be
reached.`,
		Example: `  gatehouse token verify --issuer https://id.example.com --audience https://api.example.com @token.jwt
  gatehouse token verify --issuer https://id.example.com --audience api --key key.pem --type at+jwt - < token.jwt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] != "-" && !strings.HasPrefix(args[0], "@") {
				return errTokenArgument
			}
			if k.issuer == "" || k.audience == "" {
				return usagef("a token is good for somebody: name who must have made it with --issuer, and for whom with --audience. To look at a token, use: gatehouse token inspect")
			}
			input, err := a.tokenText(args)
			if err != nil {
				return err
			}
			o, err := k.options(c.Context())
			if err != nil {
				return err
			}
			o.Strict = true
			return a.answer(inspect.Inspect(input, o))
		},
	}
	k.flags(c)
	return c
}

func (a *app) tokenDiff() *cobra.Command {
	k := &checking{}
	c := &cobra.Command{
		Use:   "diff @FILE @FILE",
		Short: "Say what two tokens do not have alike",
		Long: `Compare two tokens, claim by claim. Values are masked; that two masked ones
differ is said. One of the two may be - for the input.`,
		Example: "  gatehouse token diff @old.jwt @new.jwt\n  gatehouse token diff @old.jwt - --json < new.jwt",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			var texts [2]string
			for i, arg := range args {
				if arg != "-" && !strings.HasPrefix(arg, "@") {
					return errTokenArgument
				}
				text, err := a.tokenText([]string{arg})
				if err != nil {
					return err
				}
				texts[i] = text
			}
			o, err := k.options(c.Context())
			if err != nil {
				return err
			}
			d := inspect.Diff(texts[0], texts[1], o)
			if !d.Before.Holds() || !d.After.Holds() {
				return errNoToken
			}
			if a.json {
				return a.printJSON(d)
			}
			return a.sheetOf().diff(d)
		},
	}
	k.flags(c)
	return c
}

// badToken is a verdict that was printed already; the exit code repeats it.
type badToken struct{ verdict string }

func (e *badToken) Error() string { return e.verdict }

// unreachable is a server that does not answer.
type unreachable struct{ cause error }

func (e *unreachable) Error() string { return e.cause.Error() }
func (e *unreachable) Unwrap() error { return e.cause }

var (
	errNoToken       = usagef("there is no token in the input. A JWT begins with eyJ and has two dots")
	errTokenArgument = usagef("a token as an argument stays in the shell's history and shows in the list of processes. Pass it as @FILE, or - for the input; only `gatehouse token inspect` takes it as it is")
)

// tokenText reads what was given: an argument, a file, or the input.
func (a *app) tokenText(args []string) (string, error) {
	switch {
	case len(args) == 1 && strings.HasPrefix(args[0], "@"):
		return readText(args[0][1:])
	case len(args) == 1 && args[0] != "-" && namesFile(args[0]):
		fmt.Fprintf(a.Err, "reading the file %s (its name with @ in front says so)\n", args[0])
		return readText(args[0])
	case len(args) == 1 && args[0] != "-":
		return args[0], nil
	}
	if _, ok := a.terminal(); ok && len(args) == 0 {
		fmt.Fprintln(a.Err, "Paste the token, then press Ctrl-D:")
	}
	data, err := io.ReadAll(io.LimitReader(a.In, inspect.MaxInputBytes))
	if err != nil {
		return "", fmt.Errorf("read the input: %w", err)
	}
	return string(data), nil
}

// namesFile tells whether an argument is the name of a file where a token was
// meant. What begins as a token does is one.
func namesFile(text string) bool {
	if len(text) > 255 || strings.HasPrefix(text, "ey") {
		return false
	}
	info, err := os.Stat(text)
	return err == nil && info.Mode().IsRegular()
}

// readText reads a bounded file.
func readText(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", usagef("%s", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, inspect.MaxInputBytes))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(data), nil
}

func (k *checking) options(ctx context.Context) (inspect.Options, error) {
	o := inspect.Options{Issuer: k.issuer, Audience: k.audience, Type: k.kind, Leeway: k.leeway, Reveal: k.reveal}
	var err error
	if o.Now, err = parseTime(k.at, time.Now()); err != nil {
		return o, err
	}
	o.Keys, err = k.keys(ctx)
	return o, err
}

// keys come from a file, or, when that is asked for, from the network.
func (k *checking) keys(ctx context.Context) (inspect.Keys, error) {
	switch {
	case k.secret != "":
		return k.secretKey()
	case k.key != "":
		return keyFile(strings.TrimPrefix(k.key, "@"))
	case strings.HasPrefix(k.jwks, "https://"), strings.HasPrefix(k.jwks, "http://"):
		return fetchKeys(ctx, jwks.Config{Issuer: k.jwks, KeysURL: k.jwks})
	case k.jwks != "":
		return keyFile(strings.TrimPrefix(k.jwks, "@"))
	case strings.HasPrefix(k.issuer, "https://"), strings.HasPrefix(k.issuer, "http://"):
		return fetchKeys(ctx, jwks.Config{Issuer: k.issuer})
	case k.issuer != "":
		return inspect.Keys{}, usagef("the keys of an issuer that is no address cannot be fetched. Name them with --key or --jwks")
	}
	return inspect.Keys{}, nil
}

func (k *checking) secretKey() (inspect.Keys, error) {
	path, isFile := strings.CutPrefix(k.secret, "@")
	if !isFile {
		return inspect.Keys{}, usagef("a secret as an argument stays in the shell's history and shows in the list of processes. Write it to a file and pass --secret @FILE")
	}
	secret, err := readText(path)
	if err != nil {
		return inspect.Keys{}, err
	}
	// An editor ends a file with a line break, which no secret has meant.
	return inspect.FromSecret([]byte(strings.TrimSuffix(strings.TrimSuffix(secret, "\n"), "\r")), path), nil
}

func keyFile(path string) (inspect.Keys, error) {
	data, err := readText(path)
	if err != nil {
		return inspect.Keys{}, err
	}
	keys, err := inspect.ParseKeys([]byte(data), path)
	if err != nil {
		return keys, usagef("%s", err)
	}
	return keys, nil
}

func fetchKeys(ctx context.Context, c jwks.Config) (inspect.Keys, error) {
	c.Lazy, c.Logger = true, slog.New(slog.DiscardHandler)
	cache, err := jwks.New(c)
	if err != nil {
		return inspect.Keys{}, err
	}
	defer cache.Close()
	snapshot, err := cache.Ready(ctx)
	if err != nil {
		return inspect.Keys{}, &unreachable{fmt.Errorf("fetch the keys: %w. If the key set is elsewhere, name it with --jwks URL; without the network, use --key or --jwks FILE", err)}
	}
	return inspect.FromSet(snapshot.Keys, c.Issuer), nil
}

// parseTime reads a point of time, or a span before or after now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	if d, err := time.ParseDuration(text); err == nil && strings.IndexByte("+-", text[0]) >= 0 {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 && seconds < 253402300800 {
		return time.Unix(seconds, 0), nil
	}
	return now, usagef("--at %q is no time. Write 2026-01-31T12:00:00Z, 2026-01-31, seconds since 1970, or a span such as -2h or +10m", text)
}

// report prints everything; the exit code says whether it is invalid.
func (a *app) report(r inspect.Report) error {
	if !r.Holds() {
		if a.json {
			return errors.Join(a.printJSON(r), errNoToken)
		}
		return usagef("%s", r.Kind.Advice)
	}
	var err error
	if a.json {
		err = a.printJSON(r)
	} else {
		err = a.sheetOf().report(r)
	}
	if err == nil && r.Verdict == inspect.Invalid {
		err = &badToken{"invalid"}
	}
	return err
}

// answer prints the verdict alone; whatever is not verified is not good.
func (a *app) answer(r inspect.Report) error {
	if !r.Holds() {
		return usagef("%s", r.Kind.Advice)
	}
	var err error
	if a.json {
		err = a.printJSON(r)
	} else {
		s := a.sheetOf()
		s.verdict(r)
		err = s.flush()
	}
	if err == nil && r.Verdict != inspect.Verified {
		err = &badToken{"not verified"}
	}
	return err
}
