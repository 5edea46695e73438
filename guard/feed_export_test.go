package guard

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
)

// Revocations is what a guard knows, for tests that need very much of it.
func Revocations(g *Guard) *feed.Set { return g.feed.Set() }

// SetClock is for tests in which time passes.
func (c *Config) SetClock(now func() time.Time) { c.now = now }
