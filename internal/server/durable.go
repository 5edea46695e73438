package server

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// durableFor is how long an answer about the database's durability is good for:
// anybody may ask /readyz, and standbys come and go slowly.
const durableFor = 10 * time.Second

// durable is what the database said last.
type durable struct {
	mu   sync.Mutex
	at   time.Time
	last store.Durability
}

// Durability is what a change that was answered survives, as the database said
// in the last seconds; "" for a file, and when it does not say.
func (p *Parts) Durability() string {
	d := &p.durable
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.IsZero() || time.Since(d.at) > durableFor {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		said, err := p.Store.Durability(ctx)
		if err != nil || said == store.DurableFile {
			said = ""
		}
		d.at, d.last = time.Now(), said
	}
	return string(d.last)
}
