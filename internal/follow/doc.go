// Package follow reads the revocation feed of one issuer over HTTP into a
// feed.Set, so that a verifier knows what was revoked within a second and asks
// nobody for a request: connecting, connecting again, the feed's keys, how old
// its knowledge is, a private file for a restart while the issuer is down, and
// the question about one token (RFC 7662) while the feed is stale.
//
// It decides nothing about a request: guard does. What a message means is feed's.
package follow
