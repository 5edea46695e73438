package guardgrpc_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/guard/guardgrpc"
	"github.com/gatehouse-auth/gatehouse/guardtest"
)

// The code of the guide stands in this file line by line, so that it compiles.

func guideServer(g *guard.Guard) (*grpc.Server, error) {
	gate, err := guardgrpc.New(guardgrpc.Config{
		Guard: g,
		Methods: map[string]guard.Rule{
			"/orders.v1.Orders/List":   {Scopes: []string{"orders:read"}},
			"/orders.v1.Orders/Delete": {Scopes: []string{"orders:write"}, Roles: []string{"editor"}},
			"/orders.v1.Orders/Whoami": {},
		},
		Public: []string{"/grpc.health.v1.Health/Check"},
	})
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(gate.Options()...)
	return server, nil
}

func guideHandler(ctx context.Context) string {
	caller := guard.MustFromContext(ctx)
	return caller.Subject()
}

func TestGuideRuns(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	server, err := guideServer(iss.Guard(t, audience))
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if who := guideHandler(iss.Context(t.Context(), guardtest.Token{Subject: "ada"})); who != "ada" {
		t.Errorf("got %q", who)
	}
}

func TestGuideCompiles(t *testing.T) {
	source, err := os.ReadFile("guide_test.go")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/guides/protect-grpc.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(guide), "```go\n")[1:]
	if len(blocks) != 2 {
		t.Errorf("the guide has %d blocks of code, this test knows 2", len(blocks))
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		if !strings.Contains(trimmed(string(source)), trimmed(code)) {
			t.Errorf("this code is not in guide_test.go, so nobody knows whether it compiles:\n%s", code)
		}
	}
}

func trimmed(code string) string {
	var lines []string
	for line := range strings.Lines(code) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}
