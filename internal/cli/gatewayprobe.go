package cli

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// notAuthorized is something that nobody said this user may do (C37).
type notAuthorized struct{ reason string }

func (e *notAuthorized) Error() string { return e.reason }

func (a *app) gatewayProbe() *cobra.Command {
	var to string
	var paths, header []string
	var authorized bool
	c := &cobra.Command{
		Use:   "probe --to URL --path PATH",
		Short: "Find paths that your API reads otherwise than the gateway does",
		Long: `Ask an API for many spellings of its own paths, and of those of the published
corpus, and show which of them it takes for another path. Where the gateway lets
such a spelling through as a path of its own, a rule for the one path may not hold
for the other name. No policy is read: a policy denies more, such as another
case of a segment that a route names.

Name paths that exist and that answer differently from others with --path. Only
GET is sent, a connection each, straight to the API and not through the gateway.

Exit code 3 when the API and the gateway disagree about a path that the gateway
accepts, 5 when the API answers everything alike, 6 when it cannot be reached.`,
		Example: `  gatehouse gateway probe --to http://127.0.0.1:3000 --path /orders/7
  gatehouse gateway probe --to http://127.0.0.1:3000 --path /admin --header "X-User-Id: usr_1" --json
  gatehouse gateway probe --to https://staging.example.com --path /admin --i-am-authorized`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			upstream, err := probeTarget(to, authorized)
			if err != nil {
				return err
			}
			if err := checkProbe(paths, header); err != nil {
				return err
			}
			seen, err := gateway.Probe(c.Context(), upstream, paths, header)
			return a.probed(to, seen, err)
		},
	}
	flags := c.Flags()
	flags.StringVar(&to, "to", "", "the API: http://HOST:PORT or https://HOST:PORT")
	flags.StringArrayVar(&paths, "path", nil, "a path that the API answers; may be repeated")
	flags.StringArrayVar(&header, "header", nil, "a header line to send along; may be repeated")
	flags.BoolVar(&authorized, "i-am-authorized", false, "the API is not on this machine, and its owner agrees")
	flags.BoolVar(&a.json, "json", false, "print JSON")
	if err := c.MarkFlagRequired("to"); err != nil {
		panic(err)
	}
	return c
}

func probeTarget(to string, authorized bool) (*url.URL, error) {
	upstream, err := gateway.ParseUpstream(to)
	if err != nil {
		return nil, &usage{err.Error()}
	}
	if upstream.Scheme == "h2c" {
		return nil, usagef("--to: h2c cannot be probed; give the address at which the API speaks HTTP/1.1")
	}
	ip := net.ParseIP(upstream.Hostname())
	if !authorized && upstream.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, &notAuthorized{fmt.Sprintf("%s is not this machine. If its owner agrees to some hundred odd requests, add --i-am-authorized", upstream.Host)}
	}
	return upstream, nil
}

func checkProbe(paths, header []string) error {
	for _, path := range paths {
		if c, err := policy.Canonicalize("GET", path); err != nil || c.HasQuery {
			return usagef("--path: %q is not a plain path such as /orders/7", path)
		}
	}
	for _, line := range header {
		name, _, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsAny(line, "\r\n") {
			return usagef("--header: %q is not of the form \"Name: value\"", line)
		}
	}
	return nil
}

func (a *app) probed(to string, seen gateway.Probed, err error) error {
	switch {
	case errors.Is(err, gateway.ErrSilent):
		return &unreachable{fmt.Errorf("%w. Is the API running at %s?", err, to)}
	case errors.Is(err, gateway.ErrNotMeasurable):
		return fmt.Errorf("%w. Name a path that exists with --path, and what it needs with --header", err)
	case err != nil:
		return err
	}
	if a.json {
		err = a.printJSON(seen)
	} else {
		err = a.printProbed(seen)
	}
	if n := seen.Disagreements(); err == nil && n > 0 {
		return &findings{fmt.Errorf("the API and the gateway disagree about %d accepted paths. Make the API strict, or name each segment of these paths in a route of the policy: what ** and {id} leave open reaches the API as written", n)}
	}
	return err
}

func (a *app) printProbed(seen gateway.Probed) error {
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	if len(seen.Findings) > 0 {
		fmt.Fprintln(w, "GATEWAY\tSENT\tTHE API\tSTATUS\tWHAT IT IS")
	}
	for _, f := range seen.Findings {
		gate, does := "refuses", "answers as "
		if f.Accepted {
			gate = "ACCEPTS"
		}
		if f.Kind == gateway.Redirected {
			does = "redirects to "
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s\t%d\t%s\n", gate, printable(f.Target), does, printable(f.Plain), f.Status, printable(f.What))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, path := range seen.Unmeasured {
		fmt.Fprintf(a.Out, "Nothing is known about %s: it is answered as paths that do not exist are.\n", path)
	}
	_, err := fmt.Fprintf(a.Out, "%d requests; %d spellings could be compared, %d were read as another path, %d of them pass the gateway.\n", seen.Sent, seen.Compared, len(seen.Findings), seen.Disagreements())
	return err
}
