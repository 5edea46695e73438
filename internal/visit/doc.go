// Package visit keeps what a gateway must not lose: the sessions of browsers,
// opaque cookies outside and sealed tokens inside, in one SQLite file or, for
// several gateways, in PostgreSQL; and sealed files, such as certificates.
//
// It owns the tables, the key, the limits of a session, and what may happen once
// only. It does not own the tokens' meaning, nor cookies as HTTP knows them.
package visit
