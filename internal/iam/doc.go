// Package iam owns the nouns of Gatehouse (User, Role, API, Client, Session,
// Grant, Key, Event, Revocation) and their pure decisions: which names are
// allowed, which scopes a token carries, when a key signs, when a grant lives.
//
// It does not own storage, HTTP, clocks or cryptographic operations: every
// function here is a value in, a value out.
package iam
