// Package forge makes every forged token that needs no second party, by name
// and as data: for the tests of whoever accepts tokens, for `gatehouse dev`,
// for the auditor. Each one is what a named attack sends; the ids are those of
// the catalogue (T01 …).
//
// Tokens that are signed but wrong need the issuer's own key. It exists here
// only as an argument: in tests, in a lab, in a dev folder (C9). A production
// authority has nothing that calls this package.
package forge
