package lab

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Verifier is one that somebody in a hurry wrote by hand: lenient where the
// standard library is lenient, but with all checks. Each flaw takes one check
// away or adds one kindness. Without a flaw it is sound. It must not guard
// anything.
type Verifier struct {
	Key      jose.Key
	Secret   []byte // of HS256, instead of Key
	Issuer   string
	Audience string
	Flaw     string
	// Fetch gets what lies at an address that a token names; nil: the forger's
	// keys lie there, whatever the address.
	Fetch func(address string) ([]byte, error)

	mu   sync.Mutex
	seen map[string][]byte // signing input → signature, for comparisons that are cut short
}

// parts is a token, read as leniently as encoding/json and base64 allow.
type parts struct {
	input     string
	header    map[string]any
	claims    map[string]any
	raw       [2]string // header and payload, decoded
	segments  [3]string
	signature []byte
}

// Caller is the subject of a token that the verifier takes.
func (v *Verifier) Caller(ctx context.Context, raw string) (subject string, ok bool) {
	if v.Flaw == "passwords take as long as the token says" && strings.Count(raw, ".") == 4 {
		derive(ctx, raw)
	}
	if raw == "" {
		return "", false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen == nil {
		v.seen = map[string][]byte{}
	}
	return v.accepts(raw)
}

// derive does the rounds that the header of an encrypted token asks for, until
// nobody waits any more.
func derive(ctx context.Context, raw string) {
	text, _ := base64.RawURLEncoding.DecodeString(raw[:strings.IndexByte(raw, '.')])
	var header struct{ P2C int }
	if json.Unmarshal(text, &header) != nil {
		return
	}
	const some = 20_000
	for done := 0; done < header.P2C && ctx.Err() == nil; done += some {
		_, _ = pbkdf2.Key(sha256.New, "secret", []byte("salt"), some, 16)
	}
}

func (v *Verifier) accepts(raw string) (string, bool) {
	if v.Flaw == "five segments are decrypted" && strings.Count(raw, ".") == 4 {
		return "somebody", v.encrypted(raw)
	}
	if v.Flaw == "JSON serialization" && strings.HasPrefix(raw, "{") {
		raw = v.unwrapped(raw)
	}
	p, ok := v.parse(raw)
	if !ok || !v.signed(p) || !v.claimsHold(p) {
		return "", false
	}
	subject, _ := p.claims["sub"].(string)
	return subject, true
}

// encrypted believes whatever opens with its key: that nobody else could have
// made it is the mistake. The key is not needed to see that it would open.
func (v *Verifier) encrypted(raw string) bool {
	sealed, err := gojose.ParseEncryptedCompact(raw, []gojose.KeyAlgorithm{gojose.ECDH_ES}, []gojose.ContentEncryption{gojose.A128GCM})
	return err == nil && sealed.Header.KeyID == v.Key.ID()
}

func (v *Verifier) unwrapped(raw string) string {
	var flat struct{ Protected, Payload, Signature string }
	if json.Unmarshal([]byte(raw), &flat) != nil {
		return ""
	}
	return flat.Protected + "." + flat.Payload + "." + flat.Signature
}

func (v *Verifier) parse(raw string) (parts, bool) {
	segments := strings.Split(raw, ".")
	if len(segments) == 2 && v.Flaw == "algorithm none" {
		segments = append(segments, "")
	}
	if len(segments) > 3 && v.Flaw == "more segments are ignored" {
		segments = segments[:3]
	}
	if len(segments) != 3 {
		return parts{}, false
	}
	p := parts{input: segments[0] + "." + segments[1], segments: [3]string(segments)}
	var err error
	if p.signature, err = v.decode(segments[2]); err != nil {
		return parts{}, false
	}
	for i, into := range []*map[string]any{&p.header, &p.claims} {
		decoded, err := v.decode(segments[i])
		if err != nil && !(i == 1 && v.Flaw == "b64 is honoured" && strings.HasPrefix(segments[1], "{")) {
			return parts{}, false
		}
		if err != nil {
			decoded = []byte(segments[1])
		}
		p.raw[i] = string(decoded)
		if !v.unmarshal(decoded, into) {
			return parts{}, false
		}
	}
	return p, true
}

func (v *Verifier) decode(segment string) ([]byte, error) {
	if v.Flaw != "lenient base64" {
		return base64.RawURLEncoding.Strict().DecodeString(segment)
	}
	segment = strings.NewReplacer("+", "-", "/", "_", "=", "", " ", "").Replace(segment)
	return base64.RawURLEncoding.DecodeString(segment)
}

// unmarshal refuses what encoding/json does not mind, unless that is the flaw.
func (v *Verifier) unmarshal(text []byte, into *map[string]any) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if decoder.Decode(into) != nil {
		return false
	}
	if v.Flaw == "lenient JSON" {
		return true
	}
	folded := map[string]bool{}
	for name := range *into {
		name = strings.ToLower(strings.ToUpper(name))
		if folded[name] {
			return false
		}
		folded[name] = true
	}
	again, _ := json.Marshal(*into)
	var compact bytes.Buffer
	return json.Compact(&compact, text) == nil && compact.Len() == len(again) && *into != nil
}

func (v *Verifier) signed(p parts) bool {
	algorithm, _ := p.header["alg"].(string)
	kid, _ := p.header["kid"].(string)
	mac := func(secret string) bool {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte(p.input))
		return hmac.Equal(h.Sum(nil), p.signature)
	}
	if v.Secret != nil && v.Flaw == "a comparison that takes longer the more fits" {
		h := hmac.New(sha256.New, v.Secret)
		h.Write([]byte(p.input))
		return algorithm == "HS256" && sameSlowly(h.Sum(nil), p.signature)
	}
	if v.Secret != nil {
		return algorithm == "HS256" && mac(string(v.Secret))
	}
	switch v.Flaw {
	case "signature not checked":
		return true
	case "signature checked only when there is one":
		if p.segments[2] == "" {
			return algorithm == string(v.Key.Algorithm())
		}
	case "algorithm none":
		if algorithm == "none" {
			return true
		}
	case "algorithm none in any case":
		if strings.EqualFold(algorithm, "none") && algorithm != "none" {
			return true
		}
	case "one key for every algorithm":
		if algorithm == "HS256" {
			der, _ := x509.MarshalPKIXPublicKey(v.Key.Public())
			return mac(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
		}
	case "a development secret":
		if algorithm == "HS256" && mac("secret") {
			return true
		}
	case "an empty secret":
		if algorithm == "HS256" && kid == v.Key.ID() && mac("") {
			return true
		}
	case "kid is a file":
		if (strings.HasPrefix(kid, "../") || strings.HasPrefix(kid, "file:")) && algorithm == "HS256" && mac("") { // what /dev/null holds
			return true
		}
	case "kid is a query":
		if strings.Contains(kid, "UNION SELECT 'k'") && mac("k") {
			return true
		}
	case "an unknown kid finds no key":
		if kid != v.Key.ID() && mac("") {
			return true
		}
	case "the secret of the client that the token names":
		if client, _ := p.claims["client_id"].(string); algorithm == "HS256" && mac(client) {
			return true
		}
	case "the key of the header":
		if jwk, ok := p.header["jwk"]; ok {
			text, _ := json.Marshal(jwk)
			var key gojose.JSONWebKey
			return key.UnmarshalJSON(text) == nil && verifies(algorithm, key.Key, p)
		}
	case "the certificate of the header":
		if chain, ok := p.header["x5c"].([]any); ok && len(chain) > 0 {
			der, _ := base64.StdEncoding.DecodeString(fmt.Sprint(chain[0]))
			certificate, err := x509.ParseCertificate(der)
			return err == nil && verifies(algorithm, certificate.PublicKey, p)
		}
	case "zero is a signature":
		if len(p.signature) == 64 && bytes.Equal(p.signature, make([]byte, 64)) {
			return true
		}
	case "DER is a signature":
		var pair struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(p.signature, &pair); err == nil && len(rest) == 0 {
			digest := sha256.Sum256([]byte(p.input))
			return ecdsa.Verify(v.Key.Public().(*ecdsa.PublicKey), digest[:], pair.R, pair.S)
		}
	case "a comparison that is cut short":
		if known, ok := v.seen[p.input]; ok && len(p.signature) > 0 {
			// One signature in 256 begins with the byte that T03 sends, and would be
			// found by chance.
			return !bytes.Equal(p.signature, []byte{0}) && bytes.HasPrefix(known, p.signature)
		}
	case "more bytes of a signature are ignored":
		p.signature = p.signature[:min(len(p.signature), 64)]
	case "a cache keyed by the signature":
		for _, known := range v.seen {
			if bytes.Equal(known, p.signature) {
				return true
			}
		}
	case "keys are fetched from jku", "keys are fetched from x5u":
		if address, ok := p.header[v.Flaw[len(v.Flaw)-3:]]; ok {
			return v.Fetch == nil || v.verifiesWith(algorithm, fmt.Sprint(address), p)
		}
	case "keys of the issuer in the token are fetched":
		if p.claims["iss"] != v.Issuer && v.Fetch != nil {
			return v.verifiesWith(algorithm, fmt.Sprint(p.claims["iss"])+"/jwks.json", p)
		}
	case "any issuer is as good as ours":
		if p.claims["iss"] != v.Issuer {
			return true // discovery leads to the forger's keys
		}
	case "expired is asked first":
		if exp, _ := p.claims["exp"].(float64); exp < float64(time.Now().Unix()) {
			return true
		}
	case "the algorithm of the token is not looked at":
		algorithm = string(v.Key.Algorithm())
	case "S is not compared with the order":
		p.signature = reduced(p.signature)
	case "any salt will do":
		if algorithm == "PS256" && kid == v.Key.ID() {
			return jwt.SigningMethodPS256.Verify(p.input, p.signature, v.Key.Public()) == nil // the library's default
		}
	}
	good := algorithm == string(v.Key.Algorithm()) && kid == v.Key.ID() && verifies(algorithm, v.Key.Public(), p)
	if good {
		v.seen[p.input] = p.signature
	}
	return good
}

// sameSlowly stops at the first difference, as strcmp does, and takes 10 µs for
// each byte that fits: a thousand times longer than real ones, so that a network
// and a busy machine do not hide it.
func sameSlowly(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
		for began := time.Now(); time.Since(began) < 10*time.Microsecond; {
			continue
		}
	}
	return true
}

func verifies(algorithm string, key crypto.PublicKey, p parts) bool {
	method := jwt.GetSigningMethod(algorithm)
	if pss, ok := method.(*jwt.SigningMethodRSAPSS); ok {
		method = &jwt.SigningMethodRSAPSS{SigningMethodRSA: pss.SigningMethodRSA, VerifyOptions: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}}
	}
	return method != nil && !strings.HasPrefix(algorithm, "HS") && algorithm != "none" && method.Verify(p.input, p.signature, key) == nil
}

// verifiesWith fetches keys or a certificate from an address and tries them.
func (v *Verifier) verifiesWith(algorithm, address string, p parts) bool {
	content, err := v.Fetch(address)
	if err != nil {
		return false
	}
	if block, _ := pem.Decode(content); block != nil {
		certificate, err := x509.ParseCertificate(block.Bytes)
		return err == nil && verifies(algorithm, certificate.PublicKey, p)
	}
	set, _, err := jose.ParseKeySet(content)
	return err == nil && slices.ContainsFunc(set.Keys(), func(k jose.Key) bool { return verifies(algorithm, k.Public(), p) })
}

// reduced is an Ed25519 signature with S modulo the order of the group, as
// implementations see it that do not check (RFC 8032 §5.1.7).
func reduced(signature []byte) []byte {
	if len(signature) != 64 {
		return signature
	}
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	s = new(big.Int).Mod(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(s)
	return append(slices.Clone(signature[:32]), s...)
}

// claimsHold is a list of checks; a flaw that bears the name of one leaves it out.
func (v *Verifier) claimsHold(p parts) bool {
	now := float64(time.Now().Unix())
	number := func(name string) (float64, bool) { n, ok := p.claims[name].(float64); return n, ok }
	text := func(name string) string { t, _ := p.claims[name].(string); return t }
	optional := func(name string, fits func(any) bool) bool {
		value, there := p.claims[name]
		return !there || fits(value)
	}
	isText := func(v any) bool { _, ok := v.(string); return ok }
	isNumber := func(v any) bool { _, ok := v.(float64); return ok }
	isList := func(v any) bool {
		list, ok := v.([]any)
		return ok && !slices.ContainsFunc(list, func(one any) bool { return !isText(one) })
	}
	exp, hasExp := number("exp")
	checks := map[string]func() bool{
		"crit": func() bool { _, ok := p.header["crit"]; return !ok },
		"b64":  func() bool { _, ok := p.header["b64"]; return !ok },
		"zip":  func() bool { _, ok := p.header["zip"]; return !ok },
		"typ":  func() bool { return p.header["typ"] == "at+jwt" },
		"exp":  func() bool { return !hasExp || exp < 1e11 && exp > now-60 && exp == float64(int64(exp)) },
		"dates": func() bool {
			return hasExp && exp >= 0 && exp < 1e11 && optional("nbf", isNumber) && optional("iat", isNumber)
		},
		"nbf": func() bool {
			nbf, _ := number("nbf")
			iat, _ := number("iat")
			return nbf < now+60 && iat < now+60 && iat >= 0
		},
		"aud":  func() bool { return text("aud") == v.Audience },
		"iss":  func() bool { return text("iss") == v.Issuer },
		"cnf":  func() bool { _, ok := p.claims["cnf"]; return !ok },
		"size": func() bool { return len(p.input) < 16<<10 && !strings.Contains(p.raw[1], "[[[[[") },
		"types": func() bool {
			return text("sub") != "" && text("client_id") != "" && text("jti") != "" && isNumber(p.claims["iat"]) && optional("scope", isText) &&
				optional("roles", isList) && optional("acr", isText) && optional("auth_time", isNumber) && optional("sid", isText)
		},
	}
	switch v.Flaw {
	case "audience by prefix":
		checks["aud"] = func() bool { return strings.HasPrefix(text("aud"), v.Audience) }
	case "issuer in a list":
		checks["iss"] = func() bool { return strings.Contains(fmt.Sprint(p.claims["iss"]), v.Issuer) }
	case "b64 is honoured":
		delete(checks, "b64")
		delete(checks, "crit")
	case "expired is asked first":
		delete(checks, "exp")
	case "any issuer is as good as ours", "keys of the issuer in the token are fetched":
		delete(checks, "iss")
	case "a cache keyed by the signature":
		delete(checks, "zip")
	case "two minutes of leeway":
		checks["exp"] = func() bool { return exp > now-121 && exp < 1e11 }
	case "five minutes of leeway and more":
		checks["exp"] = func() bool { return exp > now-600 && exp < 1e11 }
	}
	if name, ok := strings.CutPrefix(v.Flaw, "no check of "); ok {
		delete(checks, name)
	}
	for _, check := range checks {
		if !check() {
			return false
		}
	}
	return true
}
