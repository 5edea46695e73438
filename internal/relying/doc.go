// Package relying is a client of an OpenID provider (a relying party) that has
// a server: it asks for a login, redeems the answer, proves ID tokens and logout
// tokens, renews and revokes tokens.
//
// It owns the protocol towards the provider. It does not own what a browser
// sees, nor where sessions and tokens are kept.
package relying
