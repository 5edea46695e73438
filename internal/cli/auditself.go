package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/demo"
	"github.com/gatehouse-auth/gatehouse/internal/finding"
	"github.com/gatehouse-auth/gatehouse/internal/forge"
)

func (a *app) auditSelf() *cobra.Command {
	f := &auditing{failOn: "low"}
	c := &cobra.Command{
		Use: "self", Short: "Attack Gatehouse itself: its authority, an API behind guard and one behind the gateway", Args: cobra.NoArgs,
		Long: `Start what gatehouse dev starts, in this process and on free ports, and attack
the endpoints of the authority that take tokens, the demo API behind package
guard, and an API that checks nothing behind the gateway, with the whole
catalogue. Nothing may be found.`,
		Example: "  gatehouse audit self\n  gatehouse audit self --format junit -o self.xml",
		RunE: func(c *cobra.Command, _ []string) error {
			least, err := f.check()
			if err != nil {
				return err
			}
			return a.self(c.Context(), f, least)
		},
	}
	s := c.Flags()
	s.StringVar(&f.format, "format", "terminal", strings.Join(attack.Formats, ", "))
	s.StringVarP(&f.output, "output", "o", "", "write the report to a file")
	s.StringVar(&f.failOn, "fail-on", "low", "exit code 3 for findings of this severity or worse: low, medium, high, critical")
	s.BoolVar(&f.allowDoS, "allow-dos", false, "also attacks that cost time and memory, and timing")
	s.Float64Var(&f.rate, "rate", 500, "requests a second")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	return c
}

// devLine is what is needed of the line that `dev --json` prints.
type devLine struct {
	Data, Issuer, API string
	Users             []struct{ Token string }
	Clients           []struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
		Token  string
	}
}

// self starts everything and attacks it.
func (a *app) self(ctx context.Context, f *auditing, least finding.Severity) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := demo.Run(running, demo.Options{Listen: "localhost:0", APIListen: "localhost:0", JSON: true, Out: in})
		in.CloseWithError(errors.Join(err, io.EOF))
		ended <- err
	}()
	var dev devLine
	line, err := bufio.NewReaderSize(out, 1<<20).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &dev)
	}
	if err != nil {
		stop()
		return errors.Join(fmt.Errorf("start what is to be attacked: %w", err), <-ended)
	}
	s, err := devSigning(ctx, dev.Data)
	if err != nil {
		return err
	}
	report, err := a.attackSelf(ctx, f, dev, s)
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	if err := a.writeReport(report, f); err != nil {
		return err
	}
	return auditVerdict(ctx, report, nil, least)
}

// part is a group of our own endpoints that one token opens.
type part struct {
	targets []attack.Target
	token   string
	skip    []string
	note    string
}

// parts are the endpoints that take a token.
func selfParts(dev devLine, s signing) ([]part, error) {
	ada, robot := dev.Users[0].Token, dev.Clients[1]
	withOpenID, err := resigned(ada, s, map[string]any{"scope": "openid orders:read"})
	if err != nil {
		return nil, err
	}
	const noAudience = "T54 is left out at /oauth/userinfo and /oauth/introspect: both take their own client's or user's token whatever its audience."
	basic := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(robot.ID+":"+robot.Secret))}}
	return []part{
		{targets: []attack.Target{{URL: dev.API + "/orders"}, {URL: dev.API + "/orders", Method: "POST", Body: `{"item":"lantern"}`, Headers: http.Header{"Content-Type": {"application/json"}}}, {URL: dev.API + "/whoami"}}, token: ada},
		{targets: []attack.Target{{URL: dev.Issuer + "/oauth/userinfo"}}, token: withOpenID, skip: []string{"T54"},
			note: noAudience},
		{targets: []attack.Target{{URL: dev.Issuer + "/oauth/introspect", Method: "POST", Field: "token", Headers: basic}}, token: robot.Token, skip: []string{"T54"}},
	}, nil
}

// resigned is a genuine token of the dev folder with other claims.
func resigned(raw string, s signing, changes map[string]any) (string, error) {
	claims, err := attack.ClaimsOf(raw)
	if err != nil {
		return "", err
	}
	maps.Copy(claims, changes)
	return s.signer.Sign(forge.AccessToken, claims)
}

func (a *app) attackSelf(ctx context.Context, f *auditing, dev devLine, s signing) (attack.Report, error) {
	parts, err := selfParts(dev, s)
	if err != nil {
		return attack.Report{}, err
	}
	behind, err := guardNothing(dev.Issuer, s.audience)
	if err != nil {
		return attack.Report{}, err
	}
	defer behind.close()
	parts = append(parts, part{targets: []attack.Target{{URL: behind.url + "/orders"}}, token: dev.Users[0].Token})
	published, err := attack.DiscoverKeys(ctx, dev.Issuer)
	if err != nil {
		return attack.Report{}, err
	}
	var reports []attack.Report
	for _, p := range parts {
		report, err := attack.Run(ctx, attack.Config{
			Targets: p.targets, Token: func(context.Context) (string, error) { return p.token, nil }, Keys: published.Keys, KeysDocument: published.Document, Issuer: s.issuer, Audience: s.audience, Lab: s.signer,
			CallbackListen: "127.0.0.1:0", AllowDoS: f.allowDoS, Skip: p.skip, Rate: f.rate, Progress: a.progress(f.quiet), Version: version(), Now: time.Now,
		})
		if err != nil {
			return report, err
		}
		if p.note != "" {
			report.Notes = append(report.Notes, p.note)
		}
		reports = append(reports, report)
	}
	return attack.Join(reports...), nil
}
