package iam

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// AuthMethod is the one way in which a client proves who it is (C20).
type AuthMethod string

const (
	AuthNone   AuthMethod = "none"            // public clients name themselves
	AuthSecret AuthMethod = "client_secret"   // in the Basic header or in the form, as the client's library does it
	AuthKey    AuthMethod = "private_key_jwt" // RFC 7523 §2.2, with keys that only the client has
)

// Secrets of a client while they are replaced: two at most.
const (
	SecretOverlap    = 24 * time.Hour      // how long the old one stays valid, unless said otherwise
	MaxSecretOverlap = 30 * 24 * time.Hour // a secret that never ends was not replaced
)

// AuthMethod is how c proves who it is; a client that does not say follows its type.
func (c Client) AuthMethod() AuthMethod {
	switch {
	case c.Auth != "":
		return c.Auth
	case c.Type == Public:
		return AuthNone
	}
	return AuthSecret
}

// SameProof tells whether what proved c still proves other, a later reading of
// the same client: no secret and no key was replaced in between.
func (c Client) SameProof(other Client) bool {
	return c.ID == other.ID && c.Type == other.Type && c.AuthMethod() == other.AuthMethod() && c.KeysURI == other.KeysURI &&
		bytes.Equal(c.SecretHash, other.SecretHash) && slices.EqualFunc(c.Keys.Keys(), other.Keys.Keys(), jose.Key.Equal)
}

func (c Client) checkAuth() error {
	method := c.AuthMethod()
	hasKeys := c.Keys.Len() > 0 || c.KeysURI != ""
	switch {
	case method != AuthNone && method != AuthSecret && method != AuthKey:
		return Invalidf("The authentication method %q is not one of client_secret, private_key_jwt.", Printable(string(method), 32))
	case (method == AuthNone) != (c.Type == Public):
		return Invalidf("A public client proves nothing (none); every other client needs client_secret or private_key_jwt.")
	case c.Type == Public && len(c.SecretHash) > 0:
		return Invalidf("A public client cannot keep a secret.")
	case method == AuthSecret && len(c.SecretHash) == 0:
		return Invalidf("A client that is not public needs a secret.")
	case method != AuthSecret && len(c.SecretHash)+len(c.OldSecretHash) > 0:
		return Invalidf("A client that proves itself with keys has no secret: one authentication method a client.")
	case method != AuthKey && hasKeys:
		return Invalidf("Keys belong to private_key_jwt: one authentication method a client.")
	case method == AuthKey && (c.Keys.Len() > 0) == (c.KeysURI != ""):
		return Invalidf("A client with private_key_jwt has either keys (--jwks FILE) or an address of them (--jwks-uri URL).")
	case c.KeysURI != "":
		return CheckKeysURI(c.KeysURI)
	}
	return nil
}

// ParseClientKeys reads the JWKS that an administrator registers for a client.
// Where a fetched set may hold keys for other purposes, here every key must be
// good: public, asymmetric, of a known algorithm, RSA with 2048 bits at least,
// and each with a kid of its own. One public key as PEM is good too.
func ParseClientKeys(document []byte) (jose.KeySet, error) {
	if bytes.HasPrefix(bytes.TrimSpace(document), []byte("-----BEGIN ")) {
		key, err := jose.ParsePublicPEM(document)
		if err != nil {
			return jose.KeySet{}, Invalidf("The key is not usable: %s. Register the public half, as `openssl pkey -pubout` writes it.", err)
		}
		return jose.NewKeySet(key), nil
	}
	set, skipped, err := jose.ParseKeySet(document)
	if err != nil {
		return jose.KeySet{}, Invalidf("The key set is not a JWKS such as {\"keys\":[…]}: %s.", err)
	}
	if len(skipped) > 0 {
		return jose.KeySet{}, Invalidf("The key set is not usable: %s. Register public signing keys only.", skipped[0])
	}
	if set.Len() == 0 {
		return jose.KeySet{}, Invalidf("The key set holds no key.")
	}
	return set, nil
}

// CheckKeysURI reports why uri cannot be where a client's keys are: https, or
// http on loopback, which only `gatehouse dev` fetches from.
func CheckKeysURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || !u.IsAbs() || u.Hostname() == "" || len(uri) > 512 || strings.ContainsAny(uri, " \\\"<>\t\r\n"):
		return Invalidf("The key set URI %q is not of the form https://client.example.com/jwks.json.", Printable(uri, 128))
	case u.User != nil || strings.Contains(uri, "#"):
		return Invalidf("The key set URI %q may have neither a user nor a fragment.", Printable(uri, 128))
	case u.Scheme == "https", u.Scheme == "http" && loopbackHost(u.Hostname()):
		return nil
	}
	return Invalidf("The key set URI %q must be https; http is for loopback in `gatehouse dev` only.", Printable(uri, 128))
}

// maxOrigins bounds the origins of a client.
const maxOrigins = 32

func (c Client) checkOrigins() error {
	if len(c.Origins) > 0 && c.Type == Service {
		return Invalidf("A service account does not run in a browser and has no origins.")
	}
	if len(c.Origins) > maxOrigins {
		return Invalidf("A client has at most %d origins.", maxOrigins)
	}
	for _, o := range c.Origins {
		if err := CheckOrigin(o); err != nil {
			return err
		}
	}
	return nil
}

// CheckOrigin reports why origin cannot be allowed to read answers (C21). It
// must be written exactly as browsers send it (RFC 6454 §6.2), because it is
// compared byte for byte: lower case, no path, no default port, no wildcard.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	form := "The origin %q is not of the form https://app.example.com, as browsers send it: lower case, without path, wildcard or default port."
	if err != nil || u.Host == "" || len(origin) > 256 || origin != u.Scheme+"://"+u.Host {
		return Invalidf(form, Printable(origin, 128))
	}
	port := u.Port()
	if strings.HasSuffix(u.Host, ":") || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return Invalidf(form, Printable(origin, 128))
	}
	if strings.ContainsFunc(origin, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(":/.-[]", r)
	}) {
		return Invalidf(form, Printable(origin, 128))
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopbackHost(u.Hostname()) {
		return nil
	}
	return Invalidf("The origin %q must be https; http is for loopback only.", Printable(origin, 128))
}

// MayRead tells whether a page of the origin may read the client's answers.
func (c Client) MayRead(origin string) bool {
	return origin != "" && slices.Contains(c.Origins, origin)
}
