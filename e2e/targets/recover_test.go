package targets_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// T06: the RSA key of an issuer that publishes none, with the exponent that
// nearly all have, is computed from two of its tokens and opens a real library.
// It takes one to three minutes.
func TestT06RecoversAKeyFromTwoTokens(t *testing.T) {
	w := newWorld(t)
	signer, err := w.issuer.Signer(jose.RS256)
	if err != nil {
		t.Fatal(err)
	}
	another, err := signer.Sign("JWT", w.issuer.Claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(w.dir, "second.jwt")
	if err := os.WriteFile(second, []byte(another), 0o600); err != nil {
		t.Fatal(err)
	}
	url := w.serve(t, "node", "node/server.mjs", "jwt-simple-0.5.2")
	began := time.Now()
	r, code := w.run(t, url, "--token", "@"+filepath.Join(w.dir, "rs.jwt"), "--second-token", "@"+second, "--recover-key", "--only", "T06")
	if len(r.Results) != 1 || r.Results[0].Verdict != "VULNERABLE" || code != 3 || !strings.Contains(strings.Join(r.Notes, " "), "computed from 2 tokens") {
		t.Errorf("exit code %d: %+v", code, r)
	}
	t.Logf("%s: %s", time.Since(began).Round(time.Second), r.Notes)
}
