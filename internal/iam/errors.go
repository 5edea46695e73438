package iam

import "errors"

// What a store can say about a row, so that services tell the cases apart
// without knowing the store.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	// ErrConflict: the row changed since it was read. Read again and retry.
	ErrConflict = errors.New("changed meanwhile")
	// ErrUnavailable: the store cannot be used now, such as when its disk is
	// full. Nothing was done, and the same request may succeed later.
	ErrUnavailable = errors.New("the database cannot be used now")
)
