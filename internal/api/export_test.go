package api

import "time"

// WithFeedTimes makes the bounds of a feed's connection short.
func WithFeedTimes(c Config, write, life, again time.Duration) Config {
	c.feed = feedTimes{write, life, again}
	return c
}
