package page

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	maxReportBytes   = 8 << 10
	reportsPerMinute = 20
)

// Reports takes what browsers report about the content security policy, for
// POST /csp-report, and logs it. Anyone can send one, so at most 20 a minute are
// logged, each with its two telling fields cut short.
func Reports(logger *slog.Logger, now func() time.Time) http.Handler {
	var mu sync.Mutex
	var minute time.Time
	var logged int
	may := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if m := now().Truncate(time.Minute); !m.Equal(minute) {
			minute, logged = m, 0
		}
		logged++
		return logged <= reportsPerMinute
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		var report struct {
			Body struct {
				Directive string `json:"effective-directive"`
				Violated  string `json:"violated-directive"`
				Blocked   string `json:"blocked-uri"`
			} `json:"csp-report"`
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxReportBytes))
		if err != nil || json.Unmarshal(body, &report) != nil || !may() {
			return
		}
		directive := report.Body.Directive
		if directive == "" {
			directive = report.Body.Violated
		}
		logger.Warn("a page was blocked by its policy", "directive", plain(directive), "blocked", plain(report.Body.Blocked))
	})
}
