package guard

import "github.com/gatehouse-auth/gatehouse/internal/feed"

// Revocations is what a guard knows, for tests that need very much of it.
func Revocations(g *Guard) *feed.Set { return g.feed.Set() }
