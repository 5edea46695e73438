// Package oauth owns the protocol rules of OAuth 2.1 as Gatehouse speaks it:
// reading a request, refusing it with the code of the RFC, proving a PKCE
// verifier, reading and writing the bearer headers.
//
// It is pure and imports the standard library only: guard builds on it. It
// does not know users, clients or storage.
package oauth
