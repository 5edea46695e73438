package gateway

import "time"

// SetNow gives a gateway another clock.
func (c *Config) SetNow(now func() time.Time) { c.now = now }

// Renew is what a request does that saw a session at a generation.
func (g *Gateway) Renew(cookie string, generation int64) error {
	_, err := g.bff.renew(g.bff.visits.KeyOf(cookie), generation)
	return err
}
