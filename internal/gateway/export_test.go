package gateway

import "time"

// SetNow gives a gateway another clock.
func (c *Config) SetNow(now func() time.Time) { c.now = now }
