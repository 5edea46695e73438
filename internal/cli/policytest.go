package cli

import (
	"encoding/xml"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

func (a *app) policyTest() *cobra.Command {
	var tests string
	var junit bool
	c := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run the tests beside policy files",
		Long: `Run the tests beside policy files. Beside policy.yaml lies policy.test.yaml:

  tests:
    - as: { sub: amy, scope: "orders:read", tenant: t1 }
      allow: [ GET /orders, GET /tenants/t1/orders/7 ]
      deny:
        - GET /tenants/t2/orders/7: where
        - POST /orders: insufficient_scope
    - as: anonymous
      deny: [ GET /orders: missing_token ]

Behind the colon stands the reason for which it must be denied; without one any
will do. Beside the claims, "age: 10m" says how old the token is. Routes that no
test came to are warned about.

Exit code 3 when a test fails.`,
		Example: `  gatehouse policy test policy.yaml
  gatehouse policy test --junit policy.yaml > report.xml
  gatehouse policy test --tests shop.yaml policy.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if tests != "" && len(args) > 1 {
				return usagef("--tests is the test file of one policy, and there are %d", len(args))
			}
			return a.testPolicies(args, tests, junit)
		},
	}
	c.Flags().StringVar(&tests, "tests", "", "the test file, where it does not lie beside the policy")
	c.Flags().BoolVar(&junit, "junit", false, "print JUnit XML")
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("junit", "json")
	return c
}

// testedPolicy is one policy and what its tests came to.
type testedPolicy struct {
	File      string           `json:"file"`
	Tests     []testedRequest  `json:"tests"`
	Failed    int              `json:"failed"`
	Routes    int              `json:"routes"`
	Untouched []untouchedRoute `json:"untouched"`
}

type testedRequest struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Fault  string `json:"fault,omitempty"`
	Reason string `json:"reason,omitempty"`
	Route  string `json:"route,omitempty"`
	Rule   string `json:"rule,omitempty"` // file:line
	Fix    string `json:"fix,omitempty"`
}

type untouchedRoute struct {
	Route string `json:"route"`
	Line  int    `json:"line"`
}

func (a *app) testPolicies(files []string, tests string, junit bool) error {
	var all []testedPolicy
	failed, run := 0, 0
	for _, file := range files {
		beside := tests
		if beside == "" {
			beside = testsBeside(file)
		}
		one, err := a.testPolicy(file, beside)
		if err != nil {
			return err
		}
		failed, run = failed+one.Failed, run+len(one.Tests)
		all = append(all, one)
	}
	if err := a.printTests(all, junit); err != nil {
		return err
	}
	if failed > 0 {
		return &findings{fmt.Errorf("%d of %d expectations are not met. To see why one is not, run \"gatehouse policy explain\"", failed, run)}
	}
	return nil
}

func (a *app) testPolicy(file, tests string) (testedPolicy, error) {
	p, err := a.loadPolicy(file)
	if err != nil {
		return testedPolicy{}, err
	}
	text, err := a.readFileBounded(tests)
	if err != nil {
		return testedPolicy{}, fmt.Errorf("the tests of %s: %w. Write them there, or name them with --tests", file, err)
	}
	expected, err := policy.ParseTests(tests, text)
	if err != nil {
		return testedPolicy{}, &findings{err}
	}
	now, results := time.Now(), []policy.Result(nil)
	one := testedPolicy{File: file, Routes: len(p.Routes()), Untouched: []untouchedRoute{}}
	for _, e := range expected {
		result := p.Check(e, now)
		results = append(results, result)
		one.add(result)
	}
	for _, r := range p.Untouched(results) {
		one.Untouched = append(one.Untouched, untouchedRoute{r.String(), r.Line})
	}
	return one, nil
}

func (t *testedPolicy) add(r policy.Result) {
	row := testedRequest{File: r.File, Line: r.Line, Name: r.String(), OK: r.Fault == "", Fault: r.Fault, Reason: r.Decision.Reason}
	if route := r.Decision.Route; route != nil {
		row.Route, row.Rule = route.String(), fmt.Sprintf("%s:%d", route.File, route.Line)
	}
	if r.Fault != "" {
		row.Fix = r.Decision.Fix
		t.Failed++
	}
	t.Tests = append(t.Tests, row)
}

func (a *app) printTests(all []testedPolicy, junit bool) error {
	if a.json {
		return a.printJSON(map[string]any{"policies": all})
	}
	if junit {
		return a.printJUnit(all)
	}
	for _, one := range all {
		for _, row := range one.Tests {
			if row.OK {
				continue
			}
			fmt.Fprintf(a.Out, "FAIL %s:%d: %s\n     %s\n", row.File, row.Line, row.Name, row.Fault)
			if row.Rule != "" {
				fmt.Fprintf(a.Out, "     rule %s: %s\n", row.Rule, row.Route)
			}
		}
		for _, r := range one.Untouched {
			fmt.Fprintf(a.Out, "warning: %s:%d: no test comes to %s\n", one.File, r.Line, r.Route)
		}
		fmt.Fprintf(a.Out, "%s: %d expectations, %d failed; %d of %d routes tested.\n", one.File, len(one.Tests), one.Failed, one.Routes-len(one.Untouched), one.Routes)
	}
	return nil
}

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
	Out      string      `xml:"system-out,omitempty"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (a *app) printJUnit(all []testedPolicy) error {
	var made junitSuites
	for _, one := range all {
		suite := junitSuite{Name: one.File, Tests: len(one.Tests), Failures: one.Failed}
		for _, row := range one.Tests {
			c := junitCase{Name: row.Name, Class: one.File, File: row.File, Line: row.Line}
			if !row.OK {
				c.Failure = &junitFailure{Message: row.Fault, Text: row.Rule + " " + row.Route}
			}
			suite.Cases = append(suite.Cases, c)
		}
		for _, r := range one.Untouched {
			suite.Out += fmt.Sprintf("warning: %s:%d: no test comes to %s\n", one.File, r.Line, r.Route)
		}
		made.Suites = append(made.Suites, suite)
	}
	fmt.Fprint(a.Out, xml.Header)
	encoder := xml.NewEncoder(a.Out)
	encoder.Indent("", "  ")
	if err := encoder.Encode(made); err != nil {
		return err
	}
	fmt.Fprintln(a.Out)
	return nil
}
