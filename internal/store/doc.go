// Package store owns the records of an installation, in plain SQL: one method
// for each thing that is read or decided, one transaction for each method that
// writes. A security decision is one conditional statement, so that races lose.
//
// It does not own rules: what a name may be, what a token carries and who may
// ask is decided above. A method that changes security state takes its events
// and writes them in its own transaction.
package store
