// Package pgtest runs real PostgreSQL servers for tests: a throwaway cluster in
// a temporary folder, made by initdb and run by an unprivileged user, with what
// tests of faults need: kill, stop, hang, stand-by servers, PgBouncer, and
// network links that can be slow or cut.
//
// It is for tests and for bench only; nothing of the product imports it. It
// does not own schemas: a caller brings the function that makes one.
//
// Everything that it started ends with the process that started it, however
// that ends: a watchdog waits for the end of a pipe.
package pgtest
