package guard

import "time"

// For tests.
var (
	CleanReturn = cleanReturn
	SplitNonce  = splitNonce
)

// SpentForTest is what remembers when an app passes nothing.
func SpentForTest(clock *func() time.Time) Spent {
	return &spentInMemory{now: func() time.Time { return (*clock)() }}
}
