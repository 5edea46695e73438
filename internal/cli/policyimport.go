package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

func (a *app) policyImport() *cobra.Command {
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Draft a policy from an OpenAPI document",
		Long: `Draft a policy from an OpenAPI 3 document, YAML or JSON. Operations that are
secured by OAuth 2.0, OpenID Connect or a bearer token become routes with their
scopes; those with "security: []" become public. What the document leaves open gets
no rule and is denied: it stands in the draft as a comment, and is listed.`,
		Example: `  gatehouse policy import openapi.yaml > policy.yaml
  gatehouse policy import openapi.json --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.importOpenAPI(args[0]) },
	}
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

func (a *app) importOpenAPI(file string) error {
	text, err := a.readFileBounded(file)
	if err != nil {
		return err
	}
	made, err := policy.ReadOpenAPI(file, text)
	if err != nil {
		return &findings{err}
	}
	bare := []policy.ImportedRoute{}
	for _, r := range made.Routes {
		if r.Rule == "" {
			bare = append(bare, r)
		}
	}
	draft := made.Draft(file)
	if a.json {
		return a.printJSON(map[string]any{"policy": draft, "routes": made.Routes, "without_rule": bare})
	}
	fmt.Fprint(a.Out, draft)
	for _, r := range bare {
		fmt.Fprintf(a.Err, "no rule: %s:%d: %s %s: %s\n", file, r.Line, r.Method, printable(r.Pattern), printable(r.Why))
	}
	fmt.Fprintf(a.Err, "%d routes, %d without a rule, which are denied. Next: set issuer and audience, then run \"gatehouse policy check\".\n", len(made.Routes), len(bare))
	if _, err := policy.Parse("draft", []byte(draft)); err != nil {
		fmt.Fprintf(a.Err, "The draft does not load yet; mend:\n%s\n", err)
	}
	return nil
}
