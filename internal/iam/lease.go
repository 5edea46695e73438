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

// ErrLeaseLost says that a lease ended, or that another process has it now.
var ErrLeaseLost = errors.New("the lease is lost: another process may do this job now")
