package attack_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
)

// T81: a comparison that stops at the first difference is seen by its clock, one
// in constant time is not, and nothing is sent unless it is allowed.
func TestT81TellsAComparisonThatStops(t *testing.T) {
	h := newHouse(t)
	for _, tc := range []struct {
		api   string
		allow bool
		want  attack.Verdict
		says  string
	}{
		{"a comparison that takes longer the more fits", true, attack.Suspect, "longer to refuse"},
		{"a strong secret", true, attack.Resisted, "would not have been seen"},
		{"a strong secret", false, attack.NotTestable, "--allow-dos"},
		{"sound", true, attack.NotTestable, "no HMAC"},
	} {
		t.Run(tc.api, func(t *testing.T) {
			report := audited(t, h, tc.api, func(c *attack.Config) { c.AllowDoS, c.Only = tc.allow, []string{"T81"} })
			if got := report.Results[0]; got.Verdict != tc.want || !strings.Contains(got.Reason, tc.says) {
				t.Errorf("%s: %s", got.Verdict, got.Reason)
			} else {
				t.Log(got.Reason)
			}
		})
	}
}
