package iam

import "errors"

// What a store can say about a row, so that services tell the cases apart
// without knowing the store.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	// ErrConflict: the row changed since it was read. Read again and retry.
	ErrConflict = errors.New("changed meanwhile")
)
