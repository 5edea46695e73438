package jwks

import (
	"io/fs"
	"time"
)

// Private is the check of a snapshot file's mode and owner, for users that a
// test cannot become.
func Private(info fs.FileInfo, user int) error { return private(info, user) }

// Parse reads a snapshot file as a cache of an issuer would at a time.
func Parse(data []byte, issuer string, now time.Time) (*Snapshot, error) {
	c := &Cache{issuer: issuer, now: func() time.Time { return now }, told: func(Metadata) {}}
	return c.parse(data)
}
