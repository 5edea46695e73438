package guardtest

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
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
)

// sloppy is a verifier that somebody in a hurry wrote by hand: lenient where
// the standard library is lenient, but with all checks. Each flaw takes one
// check away or adds one kindness.
type sloppy struct {
	algorithm string
	public    crypto.PublicKey
	kid       string
	issuer    string
	audience  string
	flaw      string
	seen      map[string][]byte // signing input → signature, for the comparison that is cut short
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

func (s *sloppy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if s.flaw == "passwords take as long as the token says" && strings.Count(raw, ".") == 4 {
		derive(r.Context(), raw)
	}
	if raw == "" || !s.accepts(raw) {
		w.WriteHeader(http.StatusUnauthorized)
	}
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

func (s *sloppy) accepts(raw string) bool {
	if s.flaw == "five segments are decrypted" && strings.Count(raw, ".") == 4 {
		return s.encrypted(raw)
	}
	if s.flaw == "JSON serialization" && strings.HasPrefix(raw, "{") {
		raw = s.unwrapped(raw)
	}
	p, ok := s.parse(raw)
	return ok && s.signed(p) && s.claimsHold(p)
}

// encrypted believes whatever opens with its key: that nobody else could have
// made it is the mistake. The key is not needed to see that it would open.
func (s *sloppy) encrypted(raw string) bool {
	sealed, err := jose.ParseEncryptedCompact(raw, []jose.KeyAlgorithm{jose.ECDH_ES}, []jose.ContentEncryption{jose.A128GCM})
	return err == nil && sealed.Header.KeyID == s.kid
}

func (s *sloppy) unwrapped(raw string) string {
	var flat struct{ Protected, Payload, Signature string }
	if json.Unmarshal([]byte(raw), &flat) != nil {
		return ""
	}
	return flat.Protected + "." + flat.Payload + "." + flat.Signature
}

func (s *sloppy) parse(raw string) (parts, bool) {
	segments := strings.Split(raw, ".")
	if len(segments) == 2 && s.flaw == "algorithm none" {
		segments = append(segments, "")
	}
	if len(segments) > 3 && s.flaw == "more segments are ignored" {
		segments = segments[:3]
	}
	if len(segments) != 3 {
		return parts{}, false
	}
	p := parts{input: segments[0] + "." + segments[1], segments: [3]string(segments)}
	var err error
	if p.signature, err = s.decode(segments[2]); err != nil {
		return parts{}, false
	}
	for i, into := range []*map[string]any{&p.header, &p.claims} {
		decoded, err := s.decode(segments[i])
		if err != nil && !(i == 1 && s.flaw == "b64 is honoured" && strings.HasPrefix(segments[1], "{")) {
			return parts{}, false
		}
		if err != nil {
			decoded = []byte(segments[1])
		}
		p.raw[i] = string(decoded)
		if !s.unmarshal(decoded, into) {
			return parts{}, false
		}
	}
	return p, true
}

func (s *sloppy) decode(segment string) ([]byte, error) {
	if s.flaw != "lenient base64" {
		return base64.RawURLEncoding.Strict().DecodeString(segment)
	}
	segment = strings.NewReplacer("+", "-", "/", "_", "=", "", " ", "").Replace(segment)
	return base64.RawURLEncoding.DecodeString(segment)
}

// unmarshal refuses what encoding/json does not mind, unless that is the flaw.
func (s *sloppy) unmarshal(text []byte, into *map[string]any) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if decoder.Decode(into) != nil {
		return false
	}
	if s.flaw == "lenient JSON" {
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

func (s *sloppy) signed(p parts) bool {
	algorithm, _ := p.header["alg"].(string)
	kid, _ := p.header["kid"].(string)
	mac := func(secret string) bool {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte(p.input))
		return hmac.Equal(h.Sum(nil), p.signature)
	}
	switch s.flaw {
	case "signature not checked":
		return true
	case "signature checked only when there is one":
		if p.segments[2] == "" {
			return algorithm == s.algorithm
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
			der, _ := x509.MarshalPKIXPublicKey(s.public)
			return mac(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
		}
	case "a development secret":
		if algorithm == "HS256" && mac("secret") {
			return true
		}
	case "an empty secret":
		if algorithm == "HS256" && kid == s.kid && mac("") {
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
		if kid != s.kid && mac("") {
			return true
		}
	case "the secret of the client that the token names":
		if client, _ := p.claims["client_id"].(string); algorithm == "HS256" && mac(client) {
			return true
		}
	case "the key of the header":
		if jwk, ok := p.header["jwk"]; ok {
			text, _ := json.Marshal(jwk)
			var key jose.JSONWebKey
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
			return ecdsa.Verify(s.public.(*ecdsa.PublicKey), digest[:], pair.R, pair.S)
		}
	case "a comparison that is cut short":
		if known, ok := s.seen[p.input]; ok && len(p.signature) > 0 {
			return bytes.HasPrefix(known, p.signature)
		}
	case "more bytes of a signature are ignored":
		p.signature = p.signature[:min(len(p.signature), 64)]
	case "a cache keyed by the signature":
		for _, known := range s.seen {
			if bytes.Equal(known, p.signature) {
				return true
			}
		}
	case "keys are fetched from jku", "keys are fetched from x5u":
		if _, ok := p.header[s.flaw[len(s.flaw)-3:]]; ok {
			return true // what lies there is the forger's
		}
	case "any issuer is as good as ours":
		if p.claims["iss"] != s.issuer {
			return true // discovery leads to the forger's keys
		}
	case "expired is asked first":
		if exp, _ := p.claims["exp"].(float64); exp < float64(time.Now().Unix()) {
			return true
		}
	case "the algorithm of the token is not looked at":
		algorithm = s.algorithm
	case "S is not compared with the order":
		p.signature = reduced(p.signature)
	case "any salt will do":
		if algorithm == "PS256" && kid == s.kid {
			return jwt.SigningMethodPS256.Verify(p.input, p.signature, s.public) == nil // the library's default
		}
	}
	good := algorithm == s.algorithm && kid == s.kid && verifies(algorithm, s.public, p)
	if good {
		s.seen[p.input] = p.signature
	}
	return good
}

func verifies(algorithm string, key crypto.PublicKey, p parts) bool {
	method := jwt.GetSigningMethod(algorithm)
	if pss, ok := method.(*jwt.SigningMethodRSAPSS); ok {
		method = &jwt.SigningMethodRSAPSS{SigningMethodRSA: pss.SigningMethodRSA, VerifyOptions: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}}
	}
	return method != nil && !strings.HasPrefix(algorithm, "HS") && algorithm != "none" && method.Verify(p.input, p.signature, key) == nil
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
func (s *sloppy) claimsHold(p parts) bool {
	now := float64(time.Now().Unix())
	number := func(name string) (float64, bool) { n, ok := p.claims[name].(float64); return n, ok }
	text := func(name string) string { t, _ := p.claims[name].(string); return t }
	optional := func(name string, fits func(any) bool) bool {
		v, there := p.claims[name]
		return !there || fits(v)
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
		"aud":  func() bool { return text("aud") == s.audience },
		"iss":  func() bool { return text("iss") == s.issuer },
		"cnf":  func() bool { _, ok := p.claims["cnf"]; return !ok },
		"size": func() bool { return len(p.input) < 16<<10 && !strings.Contains(p.raw[1], "[[[[[") },
		"types": func() bool {
			return text("sub") != "" && text("client_id") != "" && text("jti") != "" && isNumber(p.claims["iat"]) && optional("scope", isText) &&
				optional("roles", isList) && optional("acr", isText) && optional("auth_time", isNumber) && optional("sid", isText)
		},
	}
	switch s.flaw {
	case "audience by prefix":
		checks["aud"] = func() bool { return strings.HasPrefix(text("aud"), s.audience) }
	case "issuer in a list":
		checks["iss"] = func() bool { return strings.Contains(fmt.Sprint(p.claims["iss"]), s.issuer) }
	case "b64 is honoured":
		delete(checks, "b64")
		delete(checks, "crit")
	case "expired is asked first":
		delete(checks, "exp")
	case "any issuer is as good as ours":
		delete(checks, "iss")
	case "a cache keyed by the signature":
		delete(checks, "zip")
	case "five minutes of leeway and more":
		checks["exp"] = func() bool { return exp > now-600 && exp < 1e11 }
	}
	if name, ok := strings.CutPrefix(s.flaw, "no check of "); ok {
		delete(checks, name)
	}
	for _, check := range checks {
		if !check() {
			return false
		}
	}
	return true
}

func TestAttackFindsTheFlawAndNoOther(t *testing.T) {
	issuers := map[string]*Issuer{}
	for _, algorithm := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
		issuers[algorithm] = NewIssuer(t)
		issuers[algorithm].RotateTo(algorithm)
		issuers[algorithm].patience = 5 * time.Second
	}
	seen := map[string]bool{}
	for _, tc := range []struct {
		flaw      string
		rows      string // exactly these rows are reported
		algorithm string // of the key, "" for ES256
	}{
		{"", "", ""},
		{"", "", "RS256"},
		{"", "", "PS256"},
		{"", "", "EdDSA"},
		{"signature not checked", "*", ""},
		{"signature checked only when there is one", "T03", ""},
		{"algorithm none", "T01", ""},
		{"algorithm none in any case", "T02", ""},
		{"one key for every algorithm", "T05", ""},
		{"a development secret", "T10 T25", ""},
		{"an empty secret", "T11", ""},
		{"zero is a signature", "T12 T13", ""},
		{"DER is a signature", "T13", ""},
		{"S is not compared with the order", "T14", "EdDSA"},
		{"the key of the header", "T15 T25", "RS256"},
		{"any salt will do", "T15", "PS256"},
		{"a comparison that is cut short", "T13 T16 T63", ""},
		{"more bytes of a signature are ignored", "T13 T63", ""},
		{"a cache keyed by the signature", "T01 T04 T32 T37", ""},
		{"keys are fetched from jku", "T23", ""},
		{"keys are fetched from x5u", "T24", ""},
		{"any issuer is as good as ours", "T09 T30 T55", ""},
		{"more segments are ignored", "T39", ""},
		{"expired is asked first", "T17 T51 T52", ""},
		{"the secret of the client that the token names", "T18", ""},
		{"kid is a file", "T20", ""},
		{"kid is a query", "T21", ""},
		{"an unknown kid finds no key", "T20 T21 T22", ""},
		{"the key of the header", "T25", ""},
		{"the certificate of the header", "T26", ""},
		{"the algorithm of the token is not looked at", "T07 T08", ""},
		{"no check of crit", "T27", ""},
		{"no check of b64", "T28", ""},
		{"b64 is honoured", "T27 T28", ""},
		{"lenient JSON", "T29 T32", ""},
		{"lenient base64", "T31", ""},
		{"no check of zip", "T32", ""},
		{"JSON serialization", "T33", ""},
		{"five segments are decrypted", "T34 T35 T37", ""},
		{"passwords take as long as the token says", "T36", ""},
		{"no check of size", "T38", ""},
		{"no check of dates", "T50 T52", ""},
		{"no check of exp", "T51 T52", ""},
		{"five minutes of leeway and more", "T51", ""},
		{"no check of nbf", "T52 T53", ""},
		{"no check of aud", "T54", ""},
		{"audience by prefix", "T54", ""},
		{"no check of iss", "T55", ""},
		{"issuer in a list", "T55", ""},
		{"no check of typ", "T56", ""},
		{"no check of types", "T58", ""},
		{"no check of cnf", "C9", ""},
	} {
		algorithm := or(tc.algorithm, "ES256")
		iss := issuers[algorithm]
		t.Run(strings.TrimSpace(tc.flaw+" "+tc.algorithm), func(t *testing.T) {
			h := &sloppy{algorithm: algorithm, public: iss.signer.Private().Public(), kid: iss.signer.Key().ID(), issuer: iss.URL(), audience: audience, flaw: tc.flaw, seen: map[string][]byte{}}
			r := iss.attack(h, httptest.NewRequest("GET", "/", nil), Token{Audience: audience}, nil)
			if tc.rows == "*" {
				if !strings.Contains(r.broken, "broken gets the same answer") {
					t.Errorf("got %q", r.broken)
				}
				return
			}
			if r.broken != "" {
				t.Fatal(r.broken)
			}
			found := map[string]bool{}
			for _, f := range r.findings {
				found[f.forged.ID], seen[f.forged.ID] = true, true
			}
			if got := strings.Join(slices.Sorted(maps.Keys(found)), " "); got != tc.rows {
				t.Errorf("rows %q, want %q", got, tc.rows)
				for _, f := range r.findings {
					t.Log(f.forged.ID, f.forged.Name)
				}
			}
		})
	}
	for _, row := range forge.Catalogue {
		if row.Without == "" && !seen[row.ID] {
			t.Errorf("%s %s: no flaw shows that Attack finds it", row.ID, row.Title)
		}
	}
}
