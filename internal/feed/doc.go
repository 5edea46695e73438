// Package feed is the revocation feed without its transport: what an issuer
// says about revoked tokens, and the memory in which a verifier keeps it.
//
// It owns the entries (a fingerprint, a least epoch, a time to forget it), the
// Set that answers "is this token revoked" in nanoseconds, the signed messages,
// the framing of server-sent events and the state machine that reads them. It
// has no network, no clock and no database: package follow brings a feed here
// over HTTP, package server writes one.
//
// The format is described for readers in other languages in
// docs/reference/revocation-feed.md.
package feed
