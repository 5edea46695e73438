// Package jwks finds, fetches and keeps the key set of one issuer: discovery,
// a snapshot that readers take without a lock, refresh ahead of time, one
// bounded refetch for an unknown key, a private file for a restart while the
// issuer is down, and an honest error when keys cannot be had.
//
// A Cache is for one issuer that is asked all the time. A Pool is for the many
// clients of an authority, whose keys are fetched when one of them is needed.
//
// It verifies nothing; jose reads the documents.
package jwks
