// Package visit keeps the sessions of browsers at a gateway: opaque cookies
// outside, tokens sealed in one SQLite file inside.
//
// It owns the file, its key, the limits of a session, and what may happen once
// only. It does not own the tokens' meaning, nor cookies as HTTP knows them.
package visit
