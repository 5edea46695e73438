// Package forge makes every forged token we know, by name, as data: for the
// tests of guard and of the authority, for guardtest, and for `dev`. Each one
// ought to be refused by anything that checks tokens.
//
// It owns the tokens, not the verdict: it sends nothing and knows no acceptor.
// Tokens that are correctly signed and wrong all the same need the issuer's own
// key, which only a test, a lab or a dev folder has.
package forge
