package inspect_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/inspect"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, time.November, 25, 12, 0, 0, 0, time.UTC)

// guide is the token that every guide shows: no exp, no aud, no iss, signed
// with a secret that is published with it.
const (
	guide       = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
	guideSecret = "your-256-bit-secret"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// made is a token of any header and payload, signed with a secret.
func made(header, payload string, secret string) string {
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

func ids(r inspect.Report) []string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.ID)
	}
	return all
}

func look(input string) inspect.Report { return inspect.Inspect(input, inspect.Options{Now: noon}) }

// A token is found and read in whatever it was copied from.
func TestForgivingInput(t *testing.T) {
	double := base64.StdEncoding.EncodeToString([]byte(guide))
	for _, tc := range []struct{ name, input, source, note string }{
		{"bare", guide, "a token", ""},
		{"white space", "\n\t " + guide + " \r\n", "a token", ""},
		{"byte order mark", "\ufeff" + guide, "a token", ""},
		{"Bearer", "Bearer " + guide, "a token", "Bearer"},
		{"bearer in lower case", "bearer " + guide, "a token", "bearer"},
		{"a header", "Authorization: Bearer " + guide, "a token", "Authorization"},
		{"double quotes", `"` + guide + `"`, "a token", "quotes"},
		{"single quotes and a comma", `'` + guide + `',`, "a token", "quotes"},
		{"wrapped at 64", wrap(guide, 64, "\n"), "a token", "joined"},
		{"wrapped with a mail's marks", "> " + wrap(guide, 60, "\n> "), "a token", "joined"},
		{"wrapped behind Bearer", "Authorization: Bearer " + wrap(guide, 40, "\r\n  "), "a token", "joined"},
		{"wrapped after the dots", "Bearer " + strings.ReplaceAll(guide, ".", ".\r\n"), "a token", "joined"},
		{"percent-encoded", strings.ReplaceAll(guide, ".", "%2E"), "a token", "percent"},
		{"a cookie", "session=" + guide + "; theme=dark", "a cookie", ""},
		{"Set-Cookie", "Set-Cookie: session=" + guide + "; HttpOnly; Path=/", "a cookie", ""},
		{"curl", "curl -H 'Authorization: Bearer " + guide + "' \\\n  https://api.example.com/orders", "a curl command", ""},
		{"a request", "GET /orders HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer " + guide + "\r\n\r\n", "a request", ""},
		{"an address", "https://app.example.com/#access_token=" + guide + "&state=1", "an address", ""},
		{"an encoded address", "https://app.example.com/?t=" + url.QueryEscape(guide), "an address", ""},
		{"a token response", `{"access_token":"` + guide + `","token_type":"Bearer"}`, "the access_token of a JSON document", ""},
		{"HAR", `{"log":{"entries":[{"request":{"headers":[{"name":"Authorization","value":"Bearer ` + guide + `"}]}}]}}`, "a JSON document", ""},
		{"a log line", "2026-11-25 level=info token=" + guide + " ok", "a cookie", ""},
		{"base64 twice", double, "a token", "base64 of a token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := look(tc.input)
			if r.Fingerprint != jose.Fingerprint(guide) {
				t.Fatalf("another token was found: %+v", r.Found)
			}
			if r.Found.Source != tc.source || !strings.Contains(strings.Join(r.Found.Notes, "\n"), tc.note) {
				t.Errorf("got %q, %q; want %q, %q", r.Found.Source, r.Found.Notes, tc.source, tc.note)
			}
			if r.Verdict != inspect.NotChecked {
				t.Errorf("without a key nothing is proven: %s", r.Verdict)
			}
		})
	}
	if r := look("a " + guide + " b " + made(`{"alg":"HS256"}`, `{"sub":"x"}`, "k")); r.Found.Others != 1 {
		t.Errorf("the second token is not mentioned: %+v", r.Found)
	}
}

// Two tokens on two lines are two.
func TestTokensSideBySide(t *testing.T) {
	if r := look(guide + "\n" + guide[:len(guide)-1] + "A"); r.Fingerprint != jose.Fingerprint(guide) || r.Found.Others != 1 {
		t.Errorf("got %+v", r.Found)
	}
}

func wrap(s string, width int, between string) string {
	var lines []string
	for len(s) > width {
		lines, s = append(lines, s[:width]), s[width:]
	}
	return strings.Join(append(lines, s), between)
}

// What is no JWT is named, and never called invalid for that.
func TestOtherSorts(t *testing.T) {
	jwe := b64([]byte(`{"alg":"RSA-OAEP-256","enc":"A256GCM","cty":"JWT"}`)) + ".a2V5.aXY.Y2lwaGVy.dGFn"
	saml := base64.StdEncoding.EncodeToString([]byte(`<samlp:Response xmlns:samlp="urn:x"><saml:Assertion/></samlp:Response>`))
	for _, tc := range []struct {
		name, input, form, title string
		holds                    bool
		verdict                  inspect.Verdict
	}{
		{"JWE", jwe, inspect.FormJWE, "encrypted token (JWE)", true, inspect.NotChecked},
		{"PASETO v2 local", "v2.local.QAxIpVe-ECVNI1z4xQbm_qQYomyT3h8FtV8bxkz8pBJWkT8f7HtlOpbroPDEZUKop_vaglyp76CzYy375cHmKCW8e1CCkV0Lflu4GTDyXMqQdpZMM1E6OaoQW27gaRSvWBrR3IgbFIa0AkuUFw.UGFyYWdvbiBJbml0aWF0aXZlIEVudGVycHJpc2Vz", inspect.FormPASETO, "PASETO token", true, inspect.NotChecked},
		{"SAML", saml, inspect.FormSAML, "SAML message", true, inspect.NotChecked},
		{"client secret", "ghs_4Jt0cW1k8Zr2vYxq5bN7uQmD9sL3pHfA6eGiKo", inspect.FormOpaque, "client secret of Gatehouse, or an installation token of GitHub", true, inspect.NotChecked},
		{"refresh token", "v1.mac1.gr_8Zr2vYxq5bN7uQmD.3.4Jt0cW1k8Zr2vYxq5bN7uQmD", inspect.FormOpaque, "refresh token of Gatehouse", true, inspect.NotChecked},
		{"code", "v1.seal1.4Jt0cW1k8Zr2vYxq5bN7uQmD9sL3pHfA6eGiKo", inspect.FormOpaque, "sealed value of Gatehouse, such as an authorization code", true, inspect.NotChecked},
		{"opaque", "2YotnFZFEjr1zCsicMWpAA", inspect.FormOpaque, "opaque token", true, inspect.NotChecked},
		{"JSON serialization", `{"payload":"e30","protected":"eyJhbGciOiJIUzI1NiJ9","signature":"AA"}`, inspect.FormJSON, "signature in JSON serialization", true, inspect.Invalid},
		{"a key", `{"kty":"EC","crv":"P-256","x":"a","y":"b"}`, inspect.FormKey, "a public key as JWK", false, inspect.NotChecked},
		{"a secret key", `{"kty":"oct","k":"c2VjcmV0"}`, inspect.FormKey, "a private key as JWK", false, inspect.NotChecked},
		{"PEM", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----", inspect.FormKey, "a PEM file", false, inspect.NotChecked},
		{"a sentence", "there is nothing here", inspect.FormOpaque, "text without a token", false, inspect.NotChecked},
		{"nothing", " \n", inspect.FormEmpty, "nothing", false, inspect.NotChecked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := look(tc.input)
			if r.Kind.Form != tc.form || r.Kind.Title != tc.title || r.Holds() != tc.holds || r.Verdict != tc.verdict || len(r.Reasons) == 0 {
				t.Errorf("got %+v, holds %v, %s", r.Kind, r.Holds(), r.Verdict)
			}
		})
	}
}

// A broken token shows what can be read, and where it breaks.
func TestBroken(t *testing.T) {
	parts := strings.Split(guide, ".")
	for _, tc := range []struct {
		name, input, segment string
		offset, claims       int
		reason               string
	}{
		{"cut in the payload", guide[:100], "payload", 100, 2, `the JSON ends too early, at "iat"`},
		{"cut within a character", guide[:98], "payload", 98, 2, "its last character stands alone"},
		{"cut before the payload", parts[0] + ".", "payload", 37, 0, "it is empty"},
		{"header alone", parts[0], "payload", 36, 0, "the token was cut off"},
		{"cut in the signature", guide[:len(guide)-7], "signature", 148, 3, "it was cut off: 27 bytes of 32 bytes"},
		{"a star in the payload", parts[0] + "." + parts[1][:20] + "*" + parts[1][21:] + "." + parts[2], "payload", 57, 0, `the character '*' is not base64url`},
		{"four parts", guide + ".AA", "signature", len(guide), 3, "more than three parts"},
		{"payload that is no JSON", parts[0] + "." + b64([]byte("hello, world")) + "." + parts[2], "payload", 37, 0, "it is not JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := look(tc.input)
			if r.Break == nil {
				t.Fatalf("no break: %+v", r)
			}
			if r.Break.Segment != tc.segment || r.Break.Offset != tc.offset || !strings.Contains(r.Break.Reason, tc.reason) || len(r.Claims) != tc.claims || r.Verdict != inspect.Invalid {
				t.Errorf("got %+v, %d claims, %s", *r.Break, len(r.Claims), r.Verdict)
			}
			if r.Break.Caret > len([]rune(r.Break.Line)) {
				t.Errorf("the caret %d is outside the line %q", r.Break.Caret, r.Break.Line)
			}
		})
	}
}

// keyring is a key of each kind, in every form that keys are passed around in.
type keyring struct {
	signer jose.Signer
	token  string
	forms  map[string][]byte
}

func newKeyring(t *testing.T, algorithm jose.Algorithm) keyring {
	t.Helper()
	signer, err := jose.GenerateSigner(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	k := keyring{signer: signer, forms: map[string][]byte{}}
	k.token, err = signer.Sign("at+jwt", map[string]any{"iss": "https://id.example.com", "aud": "https://api.example.com", "sub": "usr_2b7f0a91c3", "client_id": "shop", "jti": "tok_81f6", "iat": noon.Unix() - 60, "exp": noon.Unix() + 540})
	if err != nil {
		t.Fatal(err)
	}
	public := signer.Key().Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	k.forms["PEM"], k.forms["DER"] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), der
	if rsaKey, ok := public.(*rsa.PublicKey); ok {
		k.forms["PKCS#1"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(rsaKey)})
	}
	k.forms["JWK"], _ = json.Marshal(signer.Key())
	k.forms["JWKS"], _ = json.Marshal(jose.NewKeySet(signer.Key()))
	ca, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "id"}, NotBefore: noon, NotAfter: noon.Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, leaf, leaf, public, ca)
	if err != nil {
		t.Fatal(err)
	}
	k.forms["X.509"] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	return k
}

func options(t *testing.T, key []byte) inspect.Options {
	t.Helper()
	keys, err := inspect.ParseKeys(key, "key file")
	if err != nil {
		t.Fatal(err)
	}
	return inspect.Options{Keys: keys, Now: noon}
}

func TestKeysInEveryForm(t *testing.T) {
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.ES384, jose.RS256, jose.PS256, jose.EdDSA} {
		ring, other := newKeyring(t, algorithm), newKeyring(t, algorithm)
		for form, key := range ring.forms {
			t.Run(string(algorithm)+" "+form, func(t *testing.T) {
				r := inspect.Inspect(ring.token, options(t, key))
				if r.Verdict != inspect.Verified || r.Signature != inspect.SignatureGood || r.Key == nil || r.Key.Algorithm != string(algorithm) {
					t.Errorf("%s %+v", r.Verdict, r.Reasons)
				}
				if r = inspect.Inspect(other.token, options(t, key)); r.Verdict != inspect.Invalid || r.Signature != inspect.SignatureBad || r.Key != nil {
					t.Errorf("another's token: %s %+v", r.Verdict, r.Reasons)
				}
			})
		}
	}
}

// The verdict has three states, each with its reason.
func TestVerdict(t *testing.T) {
	es, rs := newKeyring(t, jose.ES256), newKeyring(t, jose.RS256)
	secret := func(s string) inspect.Keys { return inspect.FromSecret([]byte(s), "secret file") }
	public := func(k keyring, form string) inspect.Keys { return options(t, k.forms[form]).Keys }
	long := "a secret of more than thirty-two characters"
	hs := made(`{"alg":"HS256"}`, `{"sub":"x","exp":`+fmt.Sprint(noon.Unix()+60)+`}`, long)
	confused := made(`{"alg":"HS256"}`, `{"sub":"admin"}`, string(es.forms["PEM"]))
	twice := made(`{"alg":"HS256"}`, `{"sub":"me","sub":"admin"}`, long)
	for _, tc := range []struct {
		name, token string
		o           inspect.Options
		verdict     inspect.Verdict
		code, text  string
	}{
		{"no key", es.token, inspect.Options{}, inspect.NotChecked, "no_key", "--issuer https://id.example.com"},
		{"good", es.token, inspect.Options{Keys: public(es, "JWKS")}, inspect.Verified, "signature", "(ES256)"},
		{"good for whom it is", es.token, inspect.Options{Keys: public(es, "JWKS"), Issuer: "https://id.example.com", Audience: "https://api.example.com", Type: "application/at+jwt", Strict: true}, inspect.Verified, "signature", ""},
		{"good and expired", es.token, inspect.Options{Keys: public(es, "JWKS"), Now: noon.Add(time.Hour)}, inspect.Invalid, "expired", "its signature is good"},
		{"expired within the leeway", es.token, inspect.Options{Keys: public(es, "JWKS"), Now: noon.Add(550 * time.Second), Leeway: 30 * time.Second}, inspect.Verified, "signature", ""},
		{"expired, no key", es.token, inspect.Options{Now: noon.Add(time.Hour)}, inspect.NotChecked, "expired", "expired 51 min ago"},
		{"before its time", es.token, inspect.Options{Keys: public(es, "JWKS"), Now: noon.Add(-time.Hour)}, inspect.Invalid, "not_yet", "in the future"},
		{"T04: edited", strings.Replace(es.token, ".ey", ".ew", 1), inspect.Options{Keys: public(es, "JWKS")}, inspect.Invalid, "", ""},
		{"T54: another audience", es.token, inspect.Options{Keys: public(es, "JWKS"), Audience: "https://other.example.com"}, inspect.Invalid, "audience", `want "https://other.example.com"`},
		{"T54: another audience, no key", es.token, inspect.Options{Audience: "https://other.example.com"}, inspect.Invalid, "audience", ""},
		{"T55: another issuer", es.token, inspect.Options{Keys: public(es, "JWKS"), Issuer: "https://id.example.com/"}, inspect.Invalid, "issuer", ""},
		{"T56: another type", es.token, inspect.Options{Keys: public(es, "JWKS"), Type: "JWT"}, inspect.Invalid, "type", ""},
		{"key of another algorithm", es.token, inspect.Options{Keys: public(rs, "PEM")}, inspect.Invalid, "algorithm", "ES256"},
		{"secret for a public key's token", es.token, inspect.Options{Keys: secret(long)}, inspect.Invalid, "algorithm", "takes a public key"},
		{"public key for a secret's token", hs, inspect.Options{Keys: public(es, "PEM")}, inspect.Invalid, "algorithm", "takes a secret"},
		{"secret", hs, inspect.Options{Keys: secret(long)}, inspect.Verified, "signature", ""},
		{"wrong secret", hs, inspect.Options{Keys: secret("another")}, inspect.Invalid, "signature", "does not fit"},
		{"T05: the public key as secret", confused, inspect.Options{Keys: public(es, "PEM")}, inspect.Invalid, "confusion", "forged"},
		{"T10: a published secret", guide, inspect.Options{Keys: secret(guideSecret)}, inspect.Verified, "published", "anybody"},
		{"T10: a published secret, strictly", guide, inspect.Options{Keys: secret(guideSecret), Strict: true}, inspect.Invalid, "published", "anybody"},
		{"T50: without exp, strictly", made(`{"alg":"HS256"}`, `{"sub":"x"}`, long), inspect.Options{Keys: secret(long), Strict: true}, inspect.Invalid, "endless", ""},
		{"T01: alg none", b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(`{"sub":"admin"}`)) + ".", inspect.Options{}, inspect.Invalid, "unsigned", "anybody"},
		{"T03: signature taken away", es.token[:strings.LastIndex(es.token, ".")+1], inspect.Options{}, inspect.Invalid, "unsigned", "missing"},
		{"T29: a name twice, good signature", twice, inspect.Options{Keys: secret(long)}, inspect.Invalid, "strict", "given twice"},
		{"T27: crit", made(`{"alg":"HS256","crit":["x"],"x":1}`, `{"sub":"x"}`, long), inspect.Options{Keys: secret(long)}, inspect.Invalid, "strict", "crit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.o.Now.IsZero() {
				tc.o.Now = noon
			}
			r := inspect.Inspect(tc.token, tc.o)
			found := tc.code == "" || slices.ContainsFunc(r.Reasons, func(x inspect.Reason) bool { return x.Code == tc.code && strings.Contains(x.Text, tc.text) })
			if r.Verdict != tc.verdict || !found {
				t.Errorf("got %s %+v", r.Verdict, r.Reasons)
			}
			if r.Verdict == inspect.Verified && r.Key == nil {
				t.Error("verified without a key")
			}
		})
	}
}

// Nothing is ever verified without a key, whatever the token: all forged ones
// of the catalogue, and with the issuer's keys none but the genuine.
func TestForgedTokensAreNeverVerified(t *testing.T) {
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.RS256} {
		ring := newKeyring(t, algorithm)
		set := jose.NewKeySet(ring.signer.Key())
		all, err := forge.All(forge.Source{Valid: ring.token, Keys: set, Lab: ring.signer, Issuer: "https://id.example.com", Audience: "https://api.example.com", Now: noon})
		if err != nil {
			t.Fatal(err)
		}
		o := inspect.Options{Keys: inspect.FromSet(set, "the issuer"), Issuer: "https://id.example.com", Audience: "https://api.example.com", Type: "at+jwt", Strict: true, Now: noon}
		if r := inspect.Inspect(ring.token, o); r.Verdict != inspect.Verified {
			t.Fatalf("the genuine one: %+v", r.Reasons)
		}
		for _, f := range all {
			if r := inspect.Inspect(f.Raw, inspect.Options{Now: noon}); r.Verdict == inspect.Verified {
				t.Errorf("%s %s: verified without a key", f.ID, f.Name)
			}
			r := inspect.Inspect(f.Raw, o)
			if r.Verdict == inspect.Verified {
				t.Errorf("%s %s: verified", f.ID, f.Name)
			}
		}
	}
}

// The golden files are the whole reports of tokens as the field makes them.
func TestCorpus(t *testing.T) {
	for name, c := range corpus() {
		t.Run(name, func(t *testing.T) {
			o := inspect.Options{Now: noon}
			if c.secret != "" {
				o.Keys = inspect.FromSecret([]byte(c.secret), "secret.txt")
			}
			r := inspect.Inspect(c.token, o)
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "  ")
			if err := encoder.Encode(r); err != nil {
				t.Fatal(err)
			}
			if r.Kind.ID != c.kind || r.Kind.Maker != c.maker {
				t.Errorf("kind %q of %q, want %q of %q", r.Kind.ID, r.Kind.Maker, c.kind, c.maker)
			}
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s differs; run with -update and read what changed:\n%s", file, got.String())
			}
			// A second run says the same, by the same fingerprints.
			again := inspect.Inspect(c.token, o)
			for i, f := range again.Findings {
				if f.Fingerprint != r.Findings[i].Fingerprint {
					t.Errorf("finding %d: another fingerprint", i)
				}
			}
			// Nothing personal and nothing of the signature is shown.
			for _, hidden := range append(c.hidden, c.token[strings.LastIndex(c.token, ".")+1:], strings.Split(c.token, ".")[1]) {
				if strings.Contains(got.String(), hidden) {
					t.Errorf("the report shows %q", hidden)
				}
			}
		})
	}
}

func TestReveal(t *testing.T) {
	r := inspect.Inspect(guide, inspect.Options{Now: noon, Reveal: true})
	if r.Redacted || r.Claims[1].Value != `"John Doe"` || r.Claims[0].Masked {
		t.Errorf("%+v", r.Claims)
	}
	if r = look(guide); !r.Redacted || strings.Contains(r.Claims[1].Value, "Doe") || !r.Claims[0].Masked {
		t.Errorf("%+v", r.Claims)
	}
}

// An SD-JWT is its issuer's part, which a key verifies, and what is disclosed.
func TestDisclosures(t *testing.T) {
	ring := newKeyring(t, jose.ES256)
	token := ring.token + "~" + b64([]byte(`["salt","given_name","Ada"]`)) + "~" + b64([]byte(`["salt","DE"]`)) + "~"
	r := inspect.Inspect(token, options(t, ring.forms["JWK"]))
	if r.Kind.Form != inspect.FormSDJWT || r.Verdict != inspect.Verified || !strings.Contains(strings.Join(r.Found.Notes, " "), "given_name, an element of a list") || strings.Contains(fmt.Sprint(r), "Ada") {
		t.Errorf("%+v", r)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKIXPublicKey(&weak.PublicKey)
	keys, err := inspect.ParseKeys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "weak.pem")
	if err != nil || len(keys.Skipped) != 1 || !strings.Contains(keys.Skipped[0], "1024 bits") {
		t.Fatalf("%v %v", keys.Skipped, err)
	}
	r := inspect.Inspect(newKeyring(t, jose.RS256).token, inspect.Options{Keys: keys, Now: noon})
	if r.Verdict != inspect.NotChecked || !slices.Contains(ids(r), "J11") {
		t.Errorf("J11: %s %+v %v", r.Verdict, r.Reasons, ids(r))
	}
	private, _ := x509.MarshalPKCS8PrivateKey(weak)
	for name, tc := range map[string]struct{ data, want string }{
		"a private key": {string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), "private key"},
		"a private JWK": {`{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c"}`, "private key"},
		"nothing":       {" ", "empty"},
		"a word":        {"secret", "--secret @FILE"},
		"other JSON":    {`{"a":1}`, "neither a JWK"},
		"an empty set":  {`{"keys":[]}`, "empty"},
	} {
		if _, err := inspect.ParseKeys([]byte(tc.data), "file"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiff(t *testing.T) {
	a := made(`{"alg":"HS256","kid":"a"}`, `{"sub":"usr_11111111111111","scope":"read","exp":1790000000}`, "k")
	b := made(`{"alg":"HS256","kid":"b"}`, `{"sub":"usr_22222222222222","scope":"read","exp":1790000600,"roles":["admin"]}`, "k")
	d := inspect.Diff(a, b, inspect.Options{Now: noon})
	var got []string
	for _, c := range d.Changes {
		got = append(got, fmt.Sprint(c.Where, " ", c.Name, " ", c.Before, " ", c.After, " ", c.Note))
	}
	want := []string{`header kid "a" "b" `, `payload sub "usr_…11" "usr_…22" differs`, `payload exp 1790000000 1790000600 10 min later`, `payload roles  ["admin"] `}
	if !slices.Equal(got, want) || !slices.Equal(d.Same, []string{"alg", "scope"}) || !slices.Equal(d.Appeared, []string{"J25"}) {
		t.Errorf("got %q, same %q, appeared %q", got, d.Same, d.Appeared)
	}
	if d = inspect.Diff(a, a, inspect.Options{Now: noon}); len(d.Changes) != 0 {
		t.Errorf("a token differs from itself: %+v", d.Changes)
	}
}

func BenchmarkInspect(b *testing.B) {
	o := inspect.Options{Now: noon}
	large := "eyJhbGciOiJIUzI1NiJ9." + strings.Repeat("eyJhIjoxfQ", 25000) + ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
	for name, input := range map[string]string{"guide": guide, "keycloak": corpus()["keycloak-access"].token, "250 kB": large, "dots": strings.Repeat("eyJ.", 60000), "quotes": strings.Repeat(`"eyJ.`, 50000), "braces": strings.Repeat(`{"a":`, 50000)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				inspect.Inspect(input, o)
			}
		})
	}
}
