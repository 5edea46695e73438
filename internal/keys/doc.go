// Package keys owns the signing and sealing keys of an installation: it
// generates them, seals them at rest, decides which one is in use, rotates and
// retires them, and publishes the public halves.
//
// It does not own what is signed (token), how a signature is made (jose) or
// where rows live (store).
package keys
