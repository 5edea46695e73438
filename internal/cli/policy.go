package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

func (a *app) policyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Who may call what: check, test, explain and compare policy files",
		Long: `A policy file says who may call what. Everything that it does not list is denied:

  version: 1
  tokens:
    - issuer: https://auth.example.com
      audience: https://api.example.com
  routes:
    - GET /healthz:          { public: true }
    - GET /orders:           { scope: orders:read }
    - POST,PUT /orders/**:   { scope: orders:write, max_token_age: 5m }
    - DELETE /users/{id}:    { scope: users:manage, role: admin }

These commands need no server and no network.`,
		Example: `  gatehouse policy check policy.yaml
  gatehouse policy test policy.yaml
  gatehouse policy explain --policy policy.yaml --token @token.jwt GET /orders/7`,
	}
	c.AddCommand(a.policyCheck(), a.policyTest(), a.policyExplain(), a.policyDiff(), a.policyImport())
	return c
}

// maxPolicyFile bounds what is read into memory as a policy or a test file.
const maxPolicyFile = 4 << 20

// readFileBounded reads a file of at most maxPolicyFile bytes; "-" is the input.
func (a *app) readFileBounded(name string) ([]byte, error) {
	from := a.In
	if name != "-" {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("%s: there is no such file", name)
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxPolicyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxPolicyFile {
		return nil, usagef("%s is larger than %d bytes", name, maxPolicyFile)
	}
	return text, nil
}

// loadPolicy reads a policy; its faults are a verdict.
func (a *app) loadPolicy(name string) (*policy.Policy, error) {
	text, err := a.readFileBounded(name)
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse(name, text)
	if err != nil {
		return nil, &findings{fmt.Errorf("%w\nMend these lines; docs/reference/policy.md has all words", err)}
	}
	return p, nil
}

func (a *app) policyCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check policy files as the gateway does when it loads them",
		Long: `Check policy files as the gateway does when it loads them: unknown words, routes
without methods, two routes of which neither is the more specific, references to
what is not there. All faults are printed, each with its line.

Exit code 3 when something is wrong.`,
		Example: `  gatehouse policy check policy.yaml
  gatehouse policy check --json policies/*.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.checkPolicies(args) },
	}
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

type checkedPolicy struct {
	File   string `json:"file"`
	OK     bool   `json:"ok"`
	Routes int    `json:"routes"`
	Public int    `json:"public"`
	Shadow int    `json:"shadow"`
	// Stale counts methods of routes by what they do while revocations are not known.
	Stale  map[string]int `json:"on_stale"`
	Faults []faultOfLine  `json:"faults"`
}

type faultOfLine struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

func (a *app) checkPolicies(files []string) error {
	var all []checkedPolicy
	var wrong []error
	for _, file := range files {
		text, err := a.readFileBounded(file)
		if err != nil {
			return err
		}
		one := checkedPolicy{File: file, Stale: map[string]int{}, Faults: []faultOfLine{}}
		p, err := policy.Parse(file, text)
		var faults policy.Faults
		switch {
		case errors.As(err, &faults):
			wrong = append(wrong, err)
			for _, f := range faults {
				one.Faults = append(one.Faults, faultOfLine{f.Line, f.Text})
			}
		case err != nil:
			return err
		default:
			one.OK = true
			one.count(p)
		}
		all = append(all, one)
	}
	if a.json {
		if err := a.printJSON(map[string]any{"policies": all}); err != nil {
			return err
		}
	} else {
		for _, one := range all {
			if one.OK {
				fmt.Fprintf(a.Out, "%s: fine. %d routes, %d of them public, %d only watch. Everything else is denied.\n", one.File, one.Routes, one.Public, one.Shadow)
				fmt.Fprintf(a.Out, "While revocations are not known, of the methods of these routes %d allow, %d allow for a minute, %d ask the issuer, %d deny.\n",
					one.Stale[policy.StaleAllow], one.Stale[policy.StaleBriefly], one.Stale[policy.StaleIntrospect], one.Stale[policy.StaleDeny])
			}
		}
	}
	if wrong != nil {
		return &findings{errors.Join(wrong...)}
	}
	return nil
}

func (c *checkedPolicy) count(p *policy.Policy) {
	for _, r := range p.Routes() {
		c.Routes++
		for _, m := range r.Methods {
			if rule := r.Stale(m); rule != "" {
				c.Stale[rule]++
			}
		}
		if r.Public {
			c.Public++
		}
		if r.Shadow {
			c.Shadow++
		}
	}
}

// testsBeside is the test file that belongs to a policy: policy.test.yaml.
func testsBeside(file string) string {
	ext := filepath.Ext(file)
	return strings.TrimSuffix(file, ext) + ".test" + ext
}
