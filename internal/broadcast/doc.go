// Package broadcast is the issuer's side of the revocation feed: it reads what
// was revoked out of the database again and again, signs each message once, and
// hands it to every reader of this node.
//
// It does not own the format (package feed), the rows (package store) or the
// connections (package api).
package broadcast
