package iam

import (
	"errors"
	"time"
)

// Lease says that one process, the owner, may do a job until it expires. Fence
// counts up with each owner: what is written under an old fence is refused, so
// a process that slept over the end of its lease changes nothing when it wakes.
type Lease struct {
	Name    string
	Owner   string
	Fence   int64
	Expires time.Time // by the database's clock
}

// ErrBeganAnew says that the store began a new history, after a failover or a
// restore: rows that were seen may be gone, and their numbers used again.
var ErrBeganAnew = errors.New("the database began a new history: what was read of it must be read again")

// ErrLeaseLost says that a lease ended, or that another process has it now.
var ErrLeaseLost = errors.New("the lease is lost: another process may do this job now")
