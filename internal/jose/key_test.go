package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// JOSE-5: RSA keys have 2048 bits at least and a sane exponent, curves fit
// their algorithm (RFC 7518 §3.3, §3.4).
func TestJOSE5_WeakKeysAreRefused(t *testing.T) {
	good := signer(t, jose.RS256).Key().Public().(*rsa.PublicKey)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	even := new(big.Int).Add(good.N, big.NewInt(1))
	point := signer(t, jose.ES256).Key().Public().(*ecdsa.PublicKey)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		name      string
		algorithm jose.Algorithm
		public    crypto.PublicKey
	}{
		{"RSA of 1024 bits", jose.RS256, &small.PublicKey},
		{"RSA of 2047 bits", jose.RS256, &rsa.PublicKey{N: new(big.Int).Rsh(good.N, 1), E: 65537}},
		{"RSA of 16384 bits", jose.RS256, &rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).Set(good.N), 16383, 1), E: 65537}},
		{"exponent 1", jose.RS256, &rsa.PublicKey{N: good.N, E: 1}},
		{"exponent 0", jose.RS256, &rsa.PublicKey{N: good.N}},
		{"exponent -1", jose.RS256, &rsa.PublicKey{N: good.N, E: -1}},
		{"exponent 2", jose.RS256, &rsa.PublicKey{N: good.N, E: 2}},
		{"even exponent", jose.RS256, &rsa.PublicKey{N: good.N, E: 65536}},
		{"huge exponent", jose.RS256, &rsa.PublicKey{N: good.N, E: 1<<31 + 1}},
		{"even modulus", jose.RS256, &rsa.PublicKey{N: even, E: 65537}},
		// A power of 65537 is one modulo every small prime, too.
		{"ROCA (CVE-2017-15361)", jose.RS256, &rsa.PublicKey{N: new(big.Int).Exp(big.NewInt(65537), big.NewInt(128), nil), E: 65537}},
		{"no modulus", jose.RS256, &rsa.PublicKey{E: 65537}},
		{"nil RSA", jose.RS256, (*rsa.PublicKey)(nil)},
		{"RSA for ES256", jose.ES256, good},
		{"RSA for EdDSA", jose.EdDSA, good},
		{"P-256 for ES384", jose.ES384, point},
		{"P-256 for RS256", jose.RS256, point},
		{"P-224", jose.ES256, &p224.PublicKey},
		{"nil EC", jose.ES256, (*ecdsa.PublicKey)(nil)},
		{"short Ed25519", jose.EdDSA, ed25519.PublicKey(make([]byte, 31))},
		{"nil Ed25519", jose.EdDSA, ed25519.PublicKey(nil)},
		{"Ed25519 for ES256", jose.ES256, ed25519.PublicKey(make([]byte, 32))},
		{"private key", jose.ES256, signer(t, jose.ES256).Private()},
		{"bytes", jose.HS256, make([]byte, 32)},
		{"nil", jose.ES256, nil},
	} {
		if key, err := jose.NewKey(v.algorithm, v.public); !errors.Is(err, jose.ErrKey) || !key.IsZero() {
			t.Errorf("%s: got %v, %v", v.name, key, err)
		}
	}
}

// JOSE-5, BCP-5: an HMAC secret has the size of its hash at least
// (RFC 7518 §3.2). No configuration of Gatehouse takes one.
func TestBCP5_SecretsAreLong(t *testing.T) {
	for algorithm, size := range map[jose.Algorithm]int{jose.HS256: 32, jose.HS384: 48, jose.HS512: 64} {
		if _, err := jose.NewSecret(algorithm, make([]byte, size-1)); !errors.Is(err, jose.ErrKey) {
			t.Errorf("%s with %d bytes: got %v", algorithm, size-1, err)
		}
		if _, err := jose.NewSecret(algorithm, nil); !errors.Is(err, jose.ErrKey) {
			t.Errorf("%s without secret: got %v", algorithm, err)
		}
		secret := bytes.Repeat([]byte{7}, size)
		key, err := jose.NewSecret(algorithm, secret)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key.MarshalJSON(); !errors.Is(err, jose.ErrKey) {
			t.Errorf("a secret is published: %v", err)
		}
		if text := fmt.Sprintf("%v %+v %#v %s", key, key, key, key); strings.Contains(text, "7 7") || strings.Contains(text, "\a") || strings.Contains(text, "0x7") {
			t.Errorf("a secret is printed: %s", text)
		}
		raw := secretToken(t, algorithm, secret)
		if err := raw.Verify(key); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		clear(secret) // the caller's bytes are the caller's
		if err := raw.Verify(key); err != nil {
			t.Errorf("%s after the caller's bytes changed: %v", algorithm, err)
		}
		if key.Public() != nil || key.Thumbprint() != "" || jose.NewKeySet(key).Len() != 0 {
			t.Error("a secret looks like a public key")
		}
	}
	if _, err := jose.NewSecret(jose.ES256, make([]byte, 64)); !errors.Is(err, jose.ErrKey) {
		t.Errorf("ES256 with a secret: got %v", err)
	}
}

// secretToken is a token with the HMAC of a secret.
func secretToken(t *testing.T, algorithm jose.Algorithm, secret []byte) jose.Token {
	t.Helper()
	text := encode(`{"alg":"`+string(algorithm)+`"}`) + "." + encode(`{}`)
	mac, err := jwt.GetSigningMethod(string(algorithm)).Sign(text, secret)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(text + "." + encode(mac))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// JOSE-6: `use`, `key_ops` and `alg` are honoured (RFC 7517 §4.2 to §4.4).
func TestJOSE6_MembersOfAJWK(t *testing.T) {
	ec := jwk(t, signer(t, jose.ES256), "use", "alg", "kid")
	rs := jwk(t, signer(t, jose.RS256), "use", "alg", "kid")
	okp := jwk(t, signer(t, jose.EdDSA), "use", "alg", "kid")
	for _, v := range []struct {
		name, jwk, more string
		want            jose.Algorithm // "": refused
	}{
		{"bare EC", ec, ``, jose.ES256},
		{"bare RSA", rs, ``, jose.RS256},
		{"bare OKP", okp, ``, jose.EdDSA},
		{"alg", ec, `,"alg":"ES256"`, jose.ES256},
		{"alg PS512", rs, `,"alg":"PS512"`, jose.PS512},
		{"alg Ed25519 (RFC 9864)", okp, `,"alg":"Ed25519"`, jose.EdDSA},
		{"use sig", ec, `,"use":"sig"`, jose.ES256},
		{"key_ops verify", ec, `,"key_ops":["verify"]`, jose.ES256},
		{"use and key_ops agree", ec, `,"use":"sig","key_ops":["verify"]`, jose.ES256},
		{"unknown member", ec, `,"more":{"y":[1]}`, jose.ES256},
		{"x5c of another key", ec, `,"x5c":["AAAA"],"x5t":"AA","x5u":"https://attacker.invalid/"`, jose.ES256},
		{"use enc", ec, `,"use":"enc"`, ""},
		{"use Sig", ec, `,"use":"Sig"`, ""},
		{"use empty list", ec, `,"use":[]`, ""},
		{"use null", ec, `,"use":null`, ""},
		{"key_ops sign only", ec, `,"key_ops":["sign"]`, ""},
		{"key_ops encrypt", ec, `,"key_ops":["encrypt"]`, ""},
		{"key_ops verify and encrypt", ec, `,"key_ops":["verify","encrypt"]`, ""},
		{"key_ops twice", ec, `,"key_ops":["verify","verify"]`, ""},
		{"key_ops empty", ec, `,"key_ops":[]`, ""},
		{"key_ops string", ec, `,"key_ops":"verify"`, ""},
		{"key_ops null", ec, `,"key_ops":null`, ""},
		{"use sig, key_ops encrypt", ec, `,"use":"sig","key_ops":["encrypt"]`, ""},
		{"use enc, key_ops verify", ec, `,"use":"enc","key_ops":["verify"]`, ""},
		{"alg none", ec, `,"alg":"none"`, ""},
		{"alg HS256", ec, `,"alg":"HS256"`, ""},
		{"alg ES384 on P-256", ec, `,"alg":"ES384"`, ""},
		{"alg ES256K", ec, `,"alg":"ES256K"`, ""},
		{"alg RSA-OAEP", rs, `,"alg":"RSA-OAEP"`, ""},
		{"alg rs256", rs, `,"alg":"rs256"`, ""},
		{"alg EdDSA on EC", ec, `,"alg":"EdDSA"`, ""},
		{"alg number", ec, `,"alg":1`, ""},
		{"kid number", ec, `,"kid":1`, ""},
		{"kid too long", ec, `,"kid":"` + strings.Repeat("k", 300) + `"`, ""},
		{"kty twice", ec, `,"kty":"oct"`, ""},
		{"kty twice, by case", ec, `,"KTY":"oct"`, ""},
		{"x twice, escaped", ec, `,"\u0078":"AA"`, ""},
		{"trailing data", ec, `}{`, ""},
	} {
		key, err := jose.ParseKey([]byte(strings.TrimSuffix(v.jwk, "}") + v.more + "}"))
		if v.want == "" && !errors.Is(err, jose.ErrKey) || v.want != "" && (err != nil || key.Algorithm() != v.want) {
			t.Errorf("%s: got %s, %v, want %q", v.name, key.Algorithm(), err, v.want)
		}
	}
}

// BCP-4: a point is on its curve and is not infinity.
func TestBCP4_PointsAreValidated(t *testing.T) {
	var good struct{ X, Y string }
	if err := json.Unmarshal([]byte(jwk(t, signer(t, jose.ES256))), &good); err != nil {
		t.Fatal(err)
	}
	x, y := decode(t, good.X), decode(t, good.Y)
	moved := slices.Clone(y)
	moved[31] ^= 1
	zero := make([]byte, 32)
	p := elliptic.P256().Params().P.Bytes()
	for name, v := range map[string]struct {
		crv  string
		x, y []byte
	}{
		"off the curve": {"P-256", x, moved}, "infinity": {"P-256", zero, zero}, "coordinates swapped": {"P-256", y, x}, "x only": {"P-256", x, zero}, "x is p": {"P-256", p, y},
		"short x": {"P-256", x[:31], y}, "long x": {"P-256", join(zero[:1], x), y}, "empty": {"P-256", nil, nil},
		"wrong curve": {"P-384", x, y}, "secp256k1": {"secp256k1", x, y}, "p-256": {"p-256", x, y}, "no curve": {"", x, y}, "Ed25519": {"Ed25519", x, y},
	} {
		text := fmt.Sprintf(`{"kty":"EC","crv":%q,"x":%q,"y":%q}`, v.crv, encode(v.x), encode(v.y))
		if key, err := jose.ParseKey([]byte(text)); !errors.Is(err, jose.ErrKey) {
			t.Errorf("%s: got %v, %v", name, key, err)
		}
	}
	curve := elliptic.P256()
	for name, public := range map[string]*ecdsa.PublicKey{
		"off the curve": {Curve: curve, X: big.NewInt(1), Y: big.NewInt(1)}, "infinity": {Curve: curve, X: new(big.Int), Y: new(big.Int)},
		"negative": {Curve: curve, X: big.NewInt(-1), Y: big.NewInt(1)}, "no curve": {X: big.NewInt(1), Y: big.NewInt(1)},
	} {
		if _, err := jose.NewKey(jose.ES256, public); !errors.Is(err, jose.ErrKey) {
			t.Errorf("NewKey, %s: got %v", name, err)
		}
	}
}

// JOSE-10: a key's id is its thumbprint, so it is never used for another key.
func TestJOSE10_KeyIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		for _, algorithm := range []jose.Algorithm{jose.ES256, jose.ES384, jose.EdDSA} {
			key := mustGenerate(t, algorithm).Key()
			if key.ID() == "" || key.ID() != key.Thumbprint() || seen[key.ID()] {
				t.Errorf("id %q, thumbprint %q", key.ID(), key.Thumbprint())
			}
			seen[key.ID()] = true
		}
	}
}

// jwk is the public JWK of a signer without some members.
func jwk(t testing.TB, s jose.Signer, without ...string) string {
	t.Helper()
	var members map[string]string
	if err := json.Unmarshal([]byte(marshal(t, s.Key())), &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range without {
		delete(members, name)
	}
	return marshal(t, members)
}
