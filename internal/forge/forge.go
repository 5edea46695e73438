package forge

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Source is what a forger knows.
type Source struct {
	// Valid is an access token that the acceptor takes. Required.
	Valid string
	// Keys are the issuer's published keys.
	Keys jose.KeySet
	// Lab is the issuer's own signer, in tests and dev folders only. Zero: the
	// tokens that are correctly signed but wrong are left out.
	Lab jose.Signer
	// Issuer and Audience are what the acceptor expects.
	Issuer, Audience string
	// Now is the acceptor's clock.
	Now time.Time
}

// Token is one forged token.
type Token struct {
	ID    string // the row of the catalogue, such as "T01"
	Name  string // kebab case and unique, such as "alg-none"
	Title string // what was done, in a few words
	Want  string // what an acceptor should object to, one sentence
	Raw   string
}

// All forges every token that the source allows.
func All(s Source) ([]Token, error) { return nil, nil }
