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
	"log/slog"
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

// JOSE-6, T80: a set takes its good keys and names why it leaves the others:
// unknown kinds, secrets, private keys, keys for encryption, odd ones.
func TestJOSE6_KeySetSkipsOneByOne(t *testing.T) {
	good := jwk(t, signer(t, jose.ES256))
	id := signer(t, jose.ES256).Key().ID()
	for name, odd := range map[string]string{
		"symmetric":           `{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","alg":"HS256","kid":"s"}`,
		"symmetric by case":   `{"kty":"OCT","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","alg":"HS256"}`,
		"private":             strings.TrimSuffix(good, "}") + `,"d":"AQ"}`,
		"ML-DSA":              `{"kty":"AKP","alg":"ML-DSA-65","pub":"AAAA","kid":"pq"}`,
		"Ed448":               `{"kty":"OKP","crv":"Ed448","x":"AAAA"}`,
		"X25519":              `{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		"secp256k1":           `{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}`,
		"encryption":          strings.Replace(jwk(t, signer(t, jose.RS256)), `"sig"`, `"enc"`, 1),
		"no kty":              `{"kid":"x"}`,
		"kty number":          `{"kty":1}`,
		"empty object":        `{}`,
		"null":                `null`,
		"string":              `"x"`,
		"list":                `[]`,
		"missing y":           `{"kty":"EC","crv":"P-256","x":"AA"}`,
		"missing n":           `{"kty":"RSA","e":"AQAB"}`,
		"empty n and e":       `{"kty":"RSA","n":"","e":""}`,
		"n of another type":   `{"kty":"RSA","n":1,"e":"AQAB"}`,
		"e of 40 bytes":       `{"kty":"RSA","n":"` + strings.Repeat("A", 342) + `","e":"` + strings.Repeat("A", 56) + `"}`,
		"a name twice inside": `{"kty":"EC","kty":"oct"}`,
		"nested deep":         `{"kty":"EC","x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`,
	} {
		for _, document := range []string{`{"keys":[` + odd + `,` + good + `]}`, `{"keys":[` + good + `,` + odd + `],"more":1}`} {
			set, skipped, err := jose.ParseKeySet([]byte(document))
			if err != nil || set.Len() != 1 || len(skipped) != 1 || !errors.Is(skipped[0], jose.ErrKey) {
				t.Errorf("%s: %d keys, skipped %v, error %v", name, set.Len(), skipped, err)
				continue
			}
			if _, ok := set.Key(id); !ok {
				t.Errorf("%s: the good key is gone", name)
			}
		}
	}
}

// A document that is no key set is an error, and so is one without end.
func TestJOSE6_KeySetDocuments(t *testing.T) {
	for name, v := range map[string]struct {
		document string
		want     error
	}{
		"empty":         {``, jose.ErrMalformed},
		"HTML":          {`<html>`, jose.ErrMalformed},
		"list":          {`[]`, jose.ErrMalformed},
		"no keys":       {`{}`, jose.ErrMalformed},
		"keys null":     {`{"keys":null}`, jose.ErrMalformed},
		"keys object":   {`{"keys":{}}`, jose.ErrMalformed},
		"keys twice":    {`{"keys":[],"keys":[]}`, jose.ErrMalformed},
		"keys by case":  {`{"Keys":[]}`, jose.ErrMalformed},
		"error object":  {`{"error":"temporarily_unavailable"}`, jose.ErrMalformed},
		"trailing data": {`{"keys":[]}x`, jose.ErrMalformed},
		"not UTF-8":     {"{\"keys\":[],\"x\":\"\xff\"}", jose.ErrMalformed},
		"too large":     {`{"keys":[` + strings.Repeat(" ", jose.MaxKeySetBytes) + `]}`, jose.ErrTooLarge},
		"too many keys": {`{"keys":[{}` + strings.Repeat(",{}", 100) + `]}`, jose.ErrTooLarge},
		"no keys in it": {`{"keys":[]}`, nil},
	} {
		set, _, err := jose.ParseKeySet([]byte(v.document))
		if !errors.Is(err, v.want) || v.want == nil && err != nil || set.Len() != 0 {
			t.Errorf("%s: %d keys, got %v, want %v", name, set.Len(), err, v.want)
		}
	}
}

// T80: two keys under one id cannot be told apart, so both go; the same key
// twice is one key.
func TestJOSE6_OneIDTwoKeys(t *testing.T) {
	a, b := jwk(t, signer(t, jose.ES256), "kid"), jwk(t, mustGenerate(t, jose.ES256), "kid")
	named := func(jwk, kid string) string { return strings.TrimSuffix(jwk, "}") + `,"kid":"` + kid + `"}` }
	third := jwk(t, signer(t, jose.RS256))
	for name, v := range map[string]struct {
		keys          []string
		want, skipped int
	}{
		"different keys":        {[]string{named(a, "x"), named(b, "x"), third}, 1, 2},
		"different, three":      {[]string{named(a, "x"), named(b, "x"), named(a, "x"), third}, 1, 3},
		"the same key":          {[]string{named(a, "x"), named(a, "x"), third}, 2, 0},
		"one key, two ids":      {[]string{named(a, "x"), named(a, "y"), third}, 3, 0},
		"without kid":           {[]string{a, b, third}, 3, 0},
		"without kid, the same": {[]string{a, a, third}, 2, 0},
		"ids differ by case":    {[]string{named(a, "x"), named(b, "X"), third}, 3, 0},
	} {
		set, skipped, err := jose.ParseKeySet([]byte(`{"keys":[` + strings.Join(v.keys, ",") + `]}`))
		if err != nil || set.Len() != v.want || len(skipped) != v.skipped {
			t.Errorf("%s: %d keys, skipped %v, error %v", name, set.Len(), skipped, err)
		}
	}
	pkcs1 := signer(t, jose.RS256)
	pss, err := jose.NewSigner(jose.PS256, pkcs1.Private())
	if err != nil {
		t.Fatal(err)
	}
	if set := jose.NewKeySet(pkcs1.Key(), pss.Key()); set.Len() != 0 {
		t.Error("one id stands for two algorithms")
	}
}

// JOSE-6: what we publish has public members only, and reads back the same.
func TestJOSE6_PublishedSet(t *testing.T) {
	var keys []jose.Key
	for _, algorithm := range asymmetric {
		keys = append(keys, mustGenerate(t, algorithm).Key())
	}
	published := marshal(t, jose.NewKeySet(keys...))
	var document struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal([]byte(published), &document); err != nil || len(document.Keys) != len(keys) {
		t.Fatal(err, published)
	}
	for i, members := range document.Keys {
		for name := range members {
			if !slices.Contains([]string{"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}, name) {
				t.Errorf("member %s is published", name)
			}
		}
		if members["use"] != "sig" || members["alg"] != string(keys[i].Algorithm()) || members["kid"] != keys[i].ID() || members["kty"] == "oct" {
			t.Errorf("got %v", members)
		}
	}
	set, skipped, err := jose.ParseKeySet([]byte(published))
	if err != nil || len(skipped) > 0 || set.Len() != len(keys) {
		t.Fatal(err, skipped)
	}
	for _, k := range keys {
		if again, ok := set.Key(k.ID()); !ok || !again.Equal(k) {
			t.Errorf("%s does not read back", k)
		}
	}
	if got := marshal(t, jose.KeySet{}); got != `{"keys":[]}` {
		t.Errorf("the zero set: %s", got)
	}
	if _, ok := (jose.KeySet{}).Key(""); ok {
		t.Error("the zero set has a key")
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

// A signer never shows its key: not printed, not logged, not as JSON, not from
// within another struct.
func TestSignerIsRedacted(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0xab}, 32))
	s, err := jose.NewSigner(jose.EdDSA, private)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "signer", s, "holder", struct{ S jose.Signer }{s})
	type holder struct{ hidden jose.Signer }
	texts := []string{log.String(), marshal(t, s), marshal(t, struct{ S jose.Signer }{s})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		texts = append(texts, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, holder{s}), fmt.Sprintf(verb, []jose.Signer{s}))
	}
	for _, text := range texts {
		if strings.Contains(text, "171 171") || strings.Contains(strings.ToLower(text), "abab") || strings.Contains(text, "0xab, 0xab") {
			t.Errorf("shows the key: %s", text)
		}
	}
	if fmt.Sprint(s) != "redacted" || !strings.Contains(log.String(), "signer=redacted") {
		t.Errorf("%v in %s", s, log.String())
	}
}

func TestSignerReadsBack(t *testing.T) {
	for _, algorithm := range asymmetric {
		s := signer(t, algorithm)
		der, err := s.PKCS8()
		if err != nil {
			t.Fatal(err)
		}
		again, err := jose.ParseSigner(algorithm, der)
		if err != nil || !again.Key().Equal(s.Key()) {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	der, err := signer(t, jose.ES256).PKCS8()
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() (jose.Signer, error){
		"another algorithm": func() (jose.Signer, error) { return jose.ParseSigner(jose.RS256, der) },
		"another curve":     func() (jose.Signer, error) { return jose.ParseSigner(jose.ES384, der) },
		"no key":            func() (jose.Signer, error) { return jose.ParseSigner(jose.ES256, []byte("x")) },
		"nil":               func() (jose.Signer, error) { return jose.NewSigner(jose.ES256, nil) },
	} {
		if s, err := try(); !errors.Is(err, jose.ErrKey) || !s.IsZero() {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The zero Signer signs nothing and has no key.
func TestZeroSigner(t *testing.T) {
	var s jose.Signer
	if _, err := s.Sign("at+jwt", struct{}{}); err == nil {
		t.Error("it signs")
	}
	if _, err := s.PKCS8(); err == nil {
		t.Error("it has a private key")
	}
	if !s.IsZero() || !s.Key().IsZero() || s.Private() != nil {
		t.Error("it is not zero")
	}
}

// The header of our own tokens is exactly alg, kid and typ.
func TestSignWritesTheHeader(t *testing.T) {
	s := signer(t, jose.ES256)
	for _, kind := range []string{"at+jwt", "JWT", "", `q"uo\te`} {
		raw, err := s.Sign(kind, map[string]any{"a": 1})
		if err != nil {
			t.Fatal(err)
		}
		want := `{"alg":"ES256","kid":"` + s.Key().ID() + `","typ":` + marshal(t, kind) + `}`
		if got := string(decode(t, strings.Split(raw, ".")[0])); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if _, err := s.Sign("at+jwt", func() {}); err == nil {
		t.Error("claims that are no JSON are signed")
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
