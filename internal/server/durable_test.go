package server

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
)

// What a confirmed change survives is in /readyz, in the metrics and, when a
// failover may forget it, a warning of the start.
func TestDurabilityIsShown(t *testing.T) {
	for _, c := range []struct {
		want     string
		database func(t *testing.T) string
		warns    bool
	}{
		{"", func(*testing.T) string { return "" }, false},
		{"single", func(t *testing.T) string { return pgtest.StartOwn(t, pgtest.Config{Durable: true}).Database(t) }, false},
		{"async", func(t *testing.T) string {
			s := pgtest.StartOwn(t, pgtest.Config{Durable: true})
			s.Standby(t, pgtest.Async, nil)
			return s.Database(t)
		}, true},
		{"quorum", func(t *testing.T) string {
			s := pgtest.StartOwn(t, pgtest.Config{Durable: true})
			s.Standby(t, pgtest.Sync, nil)
			return s.Database(t)
		}, false},
	} {
		t.Run(c.want, func(t *testing.T) {
			said := &locked{}
			database := c.database(t)
			kek, _ := keys.GenerateKEK()
			p, err := Assemble(context.Background(), Config{Issuer: "https://auth.example.com", Dir: t.TempDir(), Database: database, Connections: 6, KEKs: []keys.KEK{kek}, Logger: slog.New(slog.NewTextHandler(said, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			w := httptest.NewRecorder()
			p.Handler.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
			want, mode := `{"status":"ready","durability":"`+c.want+`"}`, c.want
			if c.want == "" {
				want, mode = `{"status":"ready"}`, "file"
			}
			if strings.TrimSpace(w.Body.String()) != want {
				t.Errorf("/readyz: %s, want %s", w.Body, want)
			}
			if text := body(t, p); !strings.Contains(text, `gatehouse_database_durability{mode="`+mode+`"} 1`) {
				t.Errorf("the metrics: %s", text)
			}
			if warned := strings.Contains(said.String(), "can forget logins"); warned != c.warns {
				t.Errorf("warned: %v\n%s", warned, said)
			}
		})
	}
}
