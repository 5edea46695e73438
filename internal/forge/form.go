package forge

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
)

// form is a public key written in one way: what a careless verifier hands to
// HMAC as the secret.
type form struct {
	name   string // "" for the usual one, PEM
	title  string
	secret []byte
}

// forms are all the ways we know to write the issuer's key. An X.509
// certificate is not among them: a key set need not come with one.
func (f *forger) forms() []form {
	der, err := x509.MarshalPKIXPublicKey(f.public.Public())
	f.fail(err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	lines := strings.Split(strings.TrimSpace(text), "\n")
	forms := []form{
		{"", "PEM", []byte(text)},
		{"pem-no-newline", "PEM without the last line break", []byte(strings.TrimSuffix(text, "\n"))},
		{"pem-two-newlines", "PEM with one more line break", []byte(text + "\n")},
		{"pem-crlf", "PEM with CRLF", []byte(strings.ReplaceAll(text, "\n", "\r\n"))},
		{"pem-leading-newline", "PEM after a line break", []byte("\n" + text)},
		{"pem-leading-space", "PEM after a space", []byte(" " + text)},
		{"pem-body", "PEM without its first and last line", []byte(strings.Join(lines[1:len(lines)-1], "\n"))},
		{"base64", "base64 of the DER on one line", []byte(base64.StdEncoding.EncodeToString(der))},
		{"der", "DER", der},
	}
	return slices.Concat(forms, f.jwkForms(), f.rawForms())
}

func (f *forger) jwkForms() []form {
	served := f.marshal(f.public)
	var members map[string]json.RawMessage
	f.fail(json.Unmarshal(served, &members))
	sorted := f.marshal(members)
	indented, err := json.MarshalIndent(members, "", "  ")
	f.fail(err)
	// The members that RFC 7638 §3.2 takes for the thumbprint.
	for name := range members {
		if !slices.Contains([]string{"crv", "e", "kty", "n", "x", "y"}, name) {
			delete(members, name)
		}
	}
	return []form{
		{"jwk", "a JWK as served", served},
		{"jwk-sorted", "a JWK with sorted members", sorted},
		{"jwk-indented", "a JWK with line breaks", indented},
		{"jwk-thumbprint", "the thumbprint form of a JWK", f.marshal(members)},
		{"jwks", "the whole key set", f.marshal(f.Keys)},
		{"kid", "its key id", []byte(f.public.ID())},
	}
}

// rawForms are the numbers of the key, and OpenSSH's line.
func (f *forger) rawForms() []form {
	switch key := f.public.Public().(type) {
	case *rsa.PublicKey:
		der := x509.MarshalPKCS1PublicKey(key)
		text := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der})
		forms := []form{
			{"pkcs1-pem", "PKCS #1 PEM", text},
			{"pkcs1-pem-no-newline", "PKCS #1 PEM without the last line break", bytes.TrimSuffix(text, []byte("\n"))},
			{"pkcs1-der", "PKCS #1 DER", der},
		}
		return slices.Concat(forms, numbers("modulus", key.N.Bytes()), ssh("ssh-rsa", mpint(big.NewInt(int64(key.E))), mpint(key.N)))
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		f.fail(err)
		curve := map[int]string{256: "nistp256", 384: "nistp384", 521: "nistp521"}[key.Curve.Params().BitSize]
		return slices.Concat(numbers("point", point), numbers("coordinates", point[1:]), numbers("x", point[1:1+len(point)/2]), ssh("ecdsa-sha2-"+curve, []byte(curve), point))
	case ed25519.PublicKey:
		return slices.Concat(numbers("point", key), ssh("ssh-ed25519", key))
	}
	return nil
}

func numbers(what string, value []byte) []form {
	return []form{
		{what, "the bytes of its " + what, value},
		{what + "-hex", "the hexadecimal of its " + what, []byte(hex.EncodeToString(value))},
		{what + "-base64url", "the base64url of its " + what, []byte(encode(value))},
	}
}

// ssh writes a key as a line of OpenSSH (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4).
func ssh(kind string, parts ...[]byte) []form {
	var blob []byte
	for _, part := range append([][]byte{[]byte(kind)}, parts...) {
		blob = binary.BigEndian.AppendUint32(blob, uint32(len(part)))
		blob = append(blob, part...)
	}
	return []form{{"ssh", "a line of OpenSSH", []byte(kind + " " + base64.StdEncoding.EncodeToString(blob))}}
}

// mpint is a positive integer of RFC 4251 §5: a zero byte in front keeps the
// sign bit clear.
func mpint(n *big.Int) []byte {
	value := n.Bytes()
	if value[0] >= 0x80 {
		value = append([]byte{0}, value...)
	}
	return value
}
