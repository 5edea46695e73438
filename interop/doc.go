// Package interop holds APIs in the languages that people use, which verify
// Gatehouse's tokens with the libraries that people use, and the tests that
// run them all against a fresh gatehouse dev. Nothing of it is part of the
// product.
package interop
