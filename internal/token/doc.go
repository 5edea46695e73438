// Package token owns the life of tokens: it issues access tokens for service
// accounts, codes and refresh tokens, rotates refresh tokens with reuse
// detection, revokes, and introspects.
//
// The protocol's words are oauth's, the decision what a token carries is
// iam's, keys are held by keys, rows by the store. Signing comes after the row
// that records the token is committed: a crash loses a token, it never leaves
// one that nobody recorded.
package token
