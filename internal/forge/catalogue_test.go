package forge_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// rows are the numbers of the catalogue of attacks that a handler can be sent.
func rows() []string {
	var ids []string
	for _, span := range [][2]int{{1, 18}, {20, 40}, {50, 63}} {
		for n := span[0]; n <= span[1]; n++ {
			ids = append(ids, fmt.Sprintf("T%02d", n))
		}
	}
	return append(ids, "C9")
}

// made counts the tokens of each row, over all kinds of keys.
func made(t *testing.T) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA} {
		signer, err := jose.GenerateSigner(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		valid, err := signer.Sign("at+jwt", map[string]any{"iss": issuer, "aud": audience, "sub": "usr_1", "client_id": "app", "jti": "1", "iat": now.Unix(), "exp": now.Unix() + 600})
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := forge.All(forge.Source{Valid: valid, Keys: jose.NewKeySet(signer.Key()), Lab: signer, Issuer: issuer, Audience: audience, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range tokens {
			count[f.ID]++
		}
	}
	return count
}

func TestEveryRowHasTokensOrAReason(t *testing.T) {
	count := made(t)
	for i, id := range rows() {
		row, ok := forge.Find(id)
		if !ok || row.Title == "" || row.Fix == "" || row.Severity == "" || forge.Catalogue[i].ID != id {
			t.Errorf("%s is not in the catalogue, not in its place, or not whole: %+v", id, row)
		}
		if (count[id] == 0) != (row.Without != "") {
			t.Errorf("%s: %d tokens, and the reason for none is %q", id, count[id], row.Without)
		}
		delete(count, id)
	}
	if len(count) > 0 {
		t.Errorf("tokens of rows that nobody knows: %v", count)
	}
}

// page is where people read what is sent.
const page = "../../docs/reference/forged-tokens.md"

func TestThePageHasEveryRow(t *testing.T) {
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range forge.Catalogue {
		last := row.Fix
		if row.Without != "" {
			last = "Not sent: " + row.Without
		}
		line := fmt.Sprintf("| %s | %s | %s | %s |", row.ID, row.Title, row.Severity, last)
		if !strings.Contains(string(content), line+"\n") {
			t.Errorf("%s lacks the line\n%s", page, line)
		}
	}
}
