// Package jose reads and writes tokens and keys, strictly: bytes to values and
// back. Whatever two implementations could read differently is refused before
// a key is looked at; the signature itself is checked and made by golang-jwt,
// a JWK is read by go-jose (docs/why/0001).
//
// It has no network and no clock. `jku`, `x5u`, `jwk` and `x5c` are never
// followed, because nothing here looks at them.
package jose
