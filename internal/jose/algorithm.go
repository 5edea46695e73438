package jose

import (
	"crypto"
	"crypto/rsa"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithm is a JWS algorithm (RFC 7518 §3.1, RFC 8037). There is no "none".
type Algorithm string

const (
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	EdDSA Algorithm = "EdDSA"
	HS256 Algorithm = "HS256" // for NewSecret only, never from a key set
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
)

// Asymmetric tells whether a is a known algorithm that a public key verifies:
// the only kind a key set can hold.
func (a Algorithm) Asymmetric() bool {
	return curves[a] != nil || rsaAlgorithms[a] || a == EdDSA || a == fullySpecifiedEdDSA
}

// fullySpecifiedEdDSA is RFC 9864's name for EdDSA with Ed25519.
const fullySpecifiedEdDSA Algorithm = "Ed25519"

// methods are golang-jwt's, except that a PSS signature must have a salt of
// exactly the hash's length (RFC 7518 §3.5); golang-jwt takes any.
var methods = map[Algorithm]jwt.SigningMethod{
	ES256: jwt.SigningMethodES256, ES384: jwt.SigningMethodES384, ES512: jwt.SigningMethodES512,
	RS256: jwt.SigningMethodRS256, RS384: jwt.SigningMethodRS384, RS512: jwt.SigningMethodRS512,
	PS256: strictPSS(jwt.SigningMethodPS256), PS384: strictPSS(jwt.SigningMethodPS384), PS512: strictPSS(jwt.SigningMethodPS512),
	EdDSA: jwt.SigningMethodEdDSA,
	HS256: jwt.SigningMethodHS256, HS384: jwt.SigningMethodHS384, HS512: jwt.SigningMethodHS512,
}

func strictPSS(m *jwt.SigningMethodRSAPSS) jwt.SigningMethod {
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.Hash}
	return &jwt.SigningMethodRSAPSS{SigningMethodRSA: m.SigningMethodRSA, Options: options, VerifyOptions: options}
}

// secretSizes are the least lengths of an HMAC key (RFC 7518 §3.2).
var secretSizes = map[Algorithm]int{HS256: crypto.SHA256.Size(), HS384: crypto.SHA384.Size(), HS512: crypto.SHA512.Size()}
