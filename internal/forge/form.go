package forge

import (
	"bytes"
	"crypto"
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

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// form is a public key written in one way: what a careless verifier hands to
// HMAC as the secret.
type form struct {
	name   string // "" for the usual one, PEM
	title  string
	secret []byte
}

// forms are all the ways we know to write a key of the issuer's.
func (f *forger) forms(key jose.Key) []form {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
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
	return slices.Concat(forms, f.jwkForms(key), f.rawForms(key), f.servedForms(key), f.certificateForms(key))
}

func (f *forger) jwkForms(key jose.Key) []form {
	served := f.marshal(key)
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
		{"jwk", "a JWK", served},
		{"jwk-sorted", "a JWK with sorted members", sorted},
		{"jwk-indented", "a JWK with line breaks", indented},
		{"jwk-thumbprint", "the thumbprint form of a JWK", f.marshal(members)},
		{"jwks", "the whole key set", f.marshal(f.Keys)},
		{"kid", "its key id", []byte(key.ID())},
	}
}

// rawForms are the numbers of the key, and OpenSSH's line.
func (f *forger) rawForms(k jose.Key) []form {
	switch key := k.Public().(type) {
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

// servedForms are the key and the set, byte for byte as the issuer serves them.
func (f *forger) servedForms(key jose.Key) []form {
	if len(f.Document) == 0 {
		return nil
	}
	forms := []form{
		{"jwks-served", "the whole key set as it is served", f.Document},
		{"jwks-served-trimmed", "the whole key set as it is served, without white space around it", bytes.TrimSpace(f.Document)},
	}
	for _, member := range f.served() {
		if member.id == key.ID() {
			forms = append(forms, form{"jwk-served", "its JWK as it is served", member.raw})
			var compact bytes.Buffer
			if json.Compact(&compact, member.raw) == nil {
				forms = append(forms, form{"jwk-compact", "its JWK as it is served, without white space", compact.Bytes()})
			}
		}
	}
	return forms
}

// member is one key of a served set.
type member struct {
	id    string
	raw   json.RawMessage
	chain []string // x5c, the key's own certificate first
}

func (f *forger) served() []member {
	var document struct{ Keys []json.RawMessage }
	if json.Unmarshal(f.Document, &document) != nil {
		return nil
	}
	var members []member
	for _, raw := range document.Keys {
		var named struct {
			Kid string
			X5c []string
		}
		if json.Unmarshal(raw, &named) == nil {
			members = append(members, member{named.Kid, raw, named.X5c})
		}
	}
	return members
}

// certificateForms are the certificates of a key, in the ways in which they are
// configured: issuers such as Entra and Keycloak publish one for each key.
func (f *forger) certificateForms(key jose.Key) []form {
	ders := slices.Clone(f.Certificates)
	for _, m := range f.served() {
		if len(m.chain) > 0 {
			if der, err := base64.StdEncoding.DecodeString(m.chain[0]); err == nil {
				ders = append(ders, der)
			}
		}
	}
	var forms []form
	for _, der := range ders {
		certificate, err := x509.ParseCertificate(der)
		if err != nil || len(forms) > 0 || !same(certificate.PublicKey, key.Public()) {
			continue
		}
		text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		line := base64.StdEncoding.EncodeToString(der)
		forms = []form{
			{"x509-pem", "an X.509 certificate in PEM", []byte(text)},
			{"x509-pem-no-newline", "an X.509 certificate in PEM without the last line break", []byte(strings.TrimSuffix(text, "\n"))},
			{"x509-pem-crlf", "an X.509 certificate in PEM with CRLF", []byte(strings.ReplaceAll(text, "\n", "\r\n"))},
			{"x509-pem-one-line", "an X.509 certificate in PEM, its base64 on one line", []byte("-----BEGIN CERTIFICATE-----\n" + line + "\n-----END CERTIFICATE-----")},
			{"x509-pem-one-line-newline", "an X.509 certificate in PEM, its base64 on one line, and a line break", []byte("-----BEGIN CERTIFICATE-----\n" + line + "\n-----END CERTIFICATE-----\n")},
			{"x5c", "an X.509 certificate in base64, as in x5c", []byte(line)},
			{"x509-der", "an X.509 certificate in DER", der},
		}
	}
	return forms
}

func same(a, b any) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}
