package targets_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// reports are the forms of a run that has findings and of one that has none.
func reports(t *testing.T, format string) map[string][]byte {
	t.Helper()
	w := newWorld(t)
	all := map[string][]byte{}
	for name, library := range map[string]string{"findings": "jwt-simple-0.5.2", "none": "jwt-simple-fixed"} {
		url := w.serve(t, "node", "node/server.mjs", library)
		out, err := exec.Command(binary, "audit", url, "--token", "@"+filepath.Join(w.dir, "rs.jwt"), "--jwks", filepath.Join(w.dir, "jwks.json"), "--format", format, "--quiet", "--rate", "1000").Output()
		if len(out) == 0 {
			t.Fatal(err)
		}
		all[name] = out
	}
	return all
}

// The JSON report is of the schema that we publish.
func TestJSONReportIsOfItsSchema(t *testing.T) {
	file, err := os.ReadFile("../../docs/reference/audit.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("audit.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("audit.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, report := range reports(t, "json") {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(report))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if wrong, _ := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(`{"schema":"gatehouse-audit/1"}`))); schema.Validate(wrong) == nil {
		t.Error("the schema takes anything")
	}
}

// sarifSchema is the one of OASIS, as a library for SARIF carries it.
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "pkg/report/v210/sarif/schema.go"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(source), "`")
	if len(parts) < 3 || !strings.Contains(parts[1], "sarif-schema-2.1.0") {
		t.Fatal("the schema is not where it was")
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(parts[1]))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("sarif.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// SARIF is of the OASIS schema.
func TestSARIFIsOfItsSchema(t *testing.T) {
	schema := sarifSchema(t)
	for name, report := range reports(t, "sarif") {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(report))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var r struct {
			Runs []struct {
				Results []struct{ PartialFingerprints map[string]string }
			}
		}
		if err := json.Unmarshal(report, &r); err != nil {
			t.Fatal(err)
		}
		if n := len(r.Runs[0].Results); (n > 0) != (name == "findings") {
			t.Errorf("%s: %d results", name, n)
		}
		for _, result := range r.Runs[0].Results {
			if len(result.PartialFingerprints["gatehouseAudit/v1"]) != 16 {
				t.Errorf("%s: no fingerprint", name)
			}
		}
	}
	if wrong, _ := jsonschema.UnmarshalJSON(strings.NewReader(`{"version":"2.1.0"}`)); schema.Validate(wrong) == nil {
		t.Error("the schema takes anything")
	}
}
