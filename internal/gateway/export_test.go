package gateway

import (
	"net/http"
	"time"
)

// SetNow gives a gateway another clock.
func (c *Config) SetNow(now func() time.Time) { c.now = now }

// SetClient gives a gateway another way to its issuers.
func (c *Config) SetClient(client *http.Client) { c.client = client }

// Renew is what a request does that saw a session at a generation.
func (g *Gateway) Renew(cookie string, generation int64) error {
	_, err := g.bff.renew(g.bff.visits.KeyOf(cookie), generation)
	return err
}
