package forge

import (
	"crypto/rsa"
	"encoding/base64"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

func encode[T ~string | ~[]byte](data T) string {
	return base64.RawURLEncoding.EncodeToString([]byte(data))
}

// join makes a compact token of a header, a payload and a signature.
func join[T ~string | ~[]byte](header, payload string, signature T) string {
	return encode(header) + "." + encode(payload) + "." + encode(signature)
}

// mac signs with HMAC and whatever secret.
func (f *forger) mac(algorithm, header, payload string, secret []byte) string {
	signed := encode(header) + "." + encode(payload)
	signature, err := jwt.GetSigningMethod(algorithm).Sign(signed, secret)
	f.fail(err)
	return signed + "." + encode(signature)
}

// byOwn signs with the forger's own key.
func (f *forger) byOwn(header, payload string) string {
	return f.by(f.own, encode(header)+"."+encode(payload))
}

// byLab signs with the issuer's key: what comes out is genuine.
func (f *forger) byLab(header, payload string) string {
	return f.by(f.Lab, encode(header)+"."+encode(payload))
}

// by signs text that is already encoded, so that it may be encoded oddly.
func (f *forger) by(s jose.Signer, signed string) string {
	return f.as(string(s.Key().Algorithm()), s, signed)
}

// as is by with another algorithm that the key can compute.
func (f *forger) as(algorithm string, s jose.Signer, signed string) string {
	method := jwt.GetSigningMethod(algorithm)
	if pss, ok := method.(*jwt.SigningMethodRSAPSS); ok {
		method = salted(pss, rsa.PSSSaltLengthEqualsHash)
	}
	signature, err := method.Sign(signed, s.Private())
	f.fail(err)
	return signed + "." + encode(signature)
}

func salted(m *jwt.SigningMethodRSAPSS, salt int) jwt.SigningMethod {
	return &jwt.SigningMethodRSAPSS{SigningMethodRSA: m.SigningMethodRSA, Options: &rsa.PSSOptions{SaltLength: salt, Hash: m.Hash}}
}

// genuine is the header of a genuine token with more members.
func (f *forger) genuine(more ...string) string {
	return f.labHeader(string(f.Lab.Key().Algorithm()), f.labType(), more...)
}

func (f *forger) labType() string {
	if f.typ == "" {
		return AccessToken
	}
	return f.typ
}

func (f *forger) labHeader(algorithm, kind string, more ...string) string {
	return object(append([]string{"alg", quote(algorithm), "kid", quote(f.Lab.Key().ID()), "typ", quote(kind)}, more...)...)
}

// lab is a genuine token whose claims are those of the valid one but for the
// given changes.
func (f *forger) lab(pairs ...string) string { return f.byLab(f.genuine(), f.changed(pairs...)) }
