package jose_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// JOSE-1, BCP-11: the compact serialization, in its one alphabet, and nothing
// else (RFC 7515 §7.1, RFC 8725bis §3.14).
func TestJOSE1_BCP11_CompactOnly(t *testing.T) {
	s := signer(t, jose.ES256)
	good := signed(t, s, header(s, ""), payload(""))
	parts := strings.Split(good, ".")
	rows := []row{
		{"the good one", good, nil},
		{"empty", "", jose.ErrMalformed},
		{"one segment", parts[0], jose.ErrMalformed},
		{"two segments", parts[0] + "." + parts[1], jose.ErrMalformed},
		{"four segments", good + ".", jose.ErrMalformed},
		{"four segments, one full", good + "." + parts[2], jose.ErrMalformed},
		{"five segments", parts[0] + "..." + parts[1] + "." + parts[2], jose.ErrMalformed},
		{"a dot in front", "." + good, jose.ErrMalformed},
		{"three empty segments", "..", jose.ErrMalformed},
		{"a thousand dots", strings.Repeat(".", 1000), jose.ErrMalformed},
		{"no signature", parts[0] + "." + parts[1] + ".", jose.ErrSignature},
		{"padding", good + "==", jose.ErrMalformed},
		{"padding in the header", parts[0] + "=." + parts[1] + "." + parts[2], jose.ErrMalformed},
		{"JSON serialization", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, jose.ErrMalformed},
		{"JSON that splits into three at its dots", `{"` + parts[0] + `.` + parts[1] + `.":"` + parts[2] + `"}`, jose.ErrMalformed},
	}
	for _, c := range []string{"=", " ", "\n", "\r\n", "\t", "+", "/", "{", "\"", "\x00", "%2E", "é", "\u00a0", "~"} {
		rows = append(rows,
			row{"behind: " + c, good + c, jose.ErrMalformed},
			row{"in front: " + c, c + good, jose.ErrMalformed},
			row{"in the header: " + c, swap(good, 0, parts[0][:4]+c+parts[0][4:]), jose.ErrMalformed},
			row{"in the payload: " + c, swap(good, 1, parts[1][:4]+c+parts[1][4:]), jose.ErrMalformed},
			row{"in the signature: " + c, swap(good, 2, parts[2][:4]+c+parts[2][4:]), jose.ErrMalformed},
		)
	}
	checkRows(t, jose.NewKeySet(s.Key()), rows)
}

// T31: one token has one text. The unused bits of a last character are zero.
func TestJOSE1_CanonicalBase64(t *testing.T) {
	s := signer(t, jose.ES256)
	good := signed(t, s, header(s, ""), payload(""))
	parts := strings.Split(good, ".")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(parts[2]) - 1 // 64 bytes leave four unused bits
	at := strings.IndexByte(alphabet, parts[2][last])
	for bits := 1; bits < 16; bits++ {
		other := parts[2][:last] + string(alphabet[at|bits])
		if _, err := jose.Parse(swap(good, 2, other)); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("unused bits %04b: got %v, want %v", bits, err, jose.ErrMalformed)
		}
	}
	if _, err := jose.Parse(swap(good, 2, parts[2]+"AAA")); !errors.Is(err, jose.ErrMalformed) {
		t.Errorf("a length that no bytes have: got %v", err)
	}
}

func TestJOSE1_TooLarge(t *testing.T) {
	fits := strings.Repeat("A", jose.MaxTokenBytes)
	if _, err := jose.Parse(fits); !errors.Is(err, jose.ErrMalformed) || errors.Is(err, jose.ErrTooLarge) {
		t.Errorf("%d bytes: got %v", len(fits), err)
	}
	if _, err := jose.Parse(fits + "A"); !errors.Is(err, jose.ErrTooLarge) {
		t.Errorf("%d bytes: got %v, want %v", len(fits)+1, err, jose.ErrTooLarge)
	}
	// Nothing of it is read: the work must not grow with the size.
	huge := strings.Repeat("e30.", 5<<20)
	if allocations := testing.AllocsPerRun(10, func() { jose.Parse(huge) }); allocations > 10 {
		t.Errorf("%v allocations for a token that is too large", allocations)
	}
}

// JOSE-2: header names are unique, however they are written (RFC 7515 §4).
func TestJOSE2_HeaderNamesAreUnique(t *testing.T) {
	s := signer(t, jose.ES256)
	good := header(s, "")
	var rows []row
	for name, h := range map[string]string{
		"alg none first":  `{"alg":"none",` + good[1:],
		"alg none last":   header(s, `,"alg":"none"`),
		"alg same":        header(s, `,"alg":"ES256"`),
		"escaped":         header(s, `,"\u0061lg":"none"`),
		"escaped capital": header(s, `,"\u0041lg":"none"`),
		"capital":         header(s, `,"ALG":"none"`),
		"kid twice":       header(s, `,"kid":"x"`),
		"kelvin sign":     header(s, ",\"\u212aid\":\"x\""),
		"nested":          header(s, `,"x":{"a":1,"a":1}`),
		"nested in list":  header(s, `,"x":[{"a":1,"\u0061":1}]`),
	} {
		rows = append(rows, row{name, signed(t, s, h, payload("")), jose.ErrMalformed})
	}
	rows = append(rows, row{"the same name in two objects", signed(t, s, header(s, `,"x":{"alg":"none"},"y":{"alg":"none"}`), payload("")), nil})
	checkRows(t, jose.NewKeySet(s.Key()), rows)
}

// A name given twice is found among few members and among many.
func TestJOSE2_ManyNames(t *testing.T) {
	var members strings.Builder
	for i := range 200 {
		members.WriteString(`,"member` + strings.Repeat("x", i) + `":1`)
	}
	if _, err := jose.ParseClaims([]byte(payload(members.String()))); err != nil {
		t.Errorf("200 names: %v", err)
	}
	for _, again := range []string{"sub", "SUB", `\u0073ub`, "ſub", "memberxxx", "MEMBERxxx"} {
		if _, err := jose.ParseClaims([]byte(payload(members.String() + `,"` + again + `":1`))); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("%s among 200 names: got %v, want %v", again, err, jose.ErrMalformed)
		}
	}
}

// JOSE-3: no extension is understood, so none may be critical (RFC 7515 §4.1.11).
func TestJOSE3_CriticalIsRefused(t *testing.T) {
	s := signer(t, jose.ES256)
	var rows []row
	for name, more := range map[string]string{
		"unknown":        `,"crit":["x"],"x":1`,
		"absent":         `,"crit":["x"]`,
		"empty":          `,"crit":[]`,
		"not a list":     `,"crit":"x","x":1`,
		"null":           `,"crit":null`,
		"registered":     `,"crit":["alg"]`,
		"exp":            `,"crit":["exp"],"exp":1800000600`,
		"not of strings": `,"crit":[1]`,
		"escaped":        `,"cr\u0069t":["x"],"x":1`,
	} {
		rows = append(rows, row{name, signed(t, s, header(s, more), payload("")), jose.ErrCritical})
	}
	checkRows(t, jose.NewKeySet(s.Key()), rows)
}

// JOSE-8: an unencoded payload is never a JWT's (RFC 7797 §7).
func TestJOSE8_B64IsRefused(t *testing.T) {
	s := signer(t, jose.ES256)
	checkRows(t, jose.NewKeySet(s.Key()), []row{
		{"false, critical", signed(t, s, header(s, `,"b64":false,"crit":["b64"]`), payload("")), jose.ErrCritical},
		{"false", signed(t, s, header(s, `,"b64":false`), payload("")), jose.ErrCritical},
		{"true", signed(t, s, header(s, `,"b64":true`), payload("")), jose.ErrCritical},
		{"raw payload", signedText(t, s, encode(header(s, `,"b64":false,"crit":["b64"]`))+"."+`{"iss":"x"}`), jose.ErrMalformed},
	})
}

// JOSE-7, BCP-10: there is no decryption and no decompression, so nothing of
// it can be made expensive.
func TestJOSE7_BCP10_EncryptedTokensAreRefusedUnread(t *testing.T) {
	bomb := encode(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAAAAAAAAA"}`)
	s := signer(t, jose.ES256)
	for name, raw := range map[string]string{
		"five segments":   bomb + ".AAAA.AAAA.AAAA.AAAA",
		"three segments":  bomb + ".AAAA.AAAA",
		"enc in a JWS":    signed(t, s, header(s, `,"enc":"A128GCM"`), payload("")),
		"zip in a JWS":    signed(t, s, header(s, `,"zip":"DEF"`), payload("")),
		"direct":          encode(`{"alg":"dir","enc":"A256GCM"}`) + "..AAAA.AAAA.AAAA",
		"PlainJWT inside": encode(`{"alg":"RSA-OAEP","enc":"A256GCM","cty":"JWT"}`) + ".AAAA.AAAA.AAAA.AAAA",
	} {
		if _, err := jose.Parse(raw); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("%s: got %v, want %v", name, err, jose.ErrMalformed)
		}
		if allocations := testing.AllocsPerRun(10, func() { jose.Parse(raw) }); allocations > 60 {
			t.Errorf("%s: %v allocations", name, allocations)
		}
	}
}

// Header members that are read have one type; those that bring or locate a key
// are not read at all.
func TestJOSE1_HeaderTypes(t *testing.T) {
	s := signer(t, jose.ES256)
	var rows []row
	for _, h := range []string{
		`{}`, `[]`, `null`, `"x"`, `1`, ``, `{"alg":null}`, `{"alg":1}`, `{"alg":["ES256"]}`, `{"alg":{}}`, `{"alg":""}`, `{"alg":true}`,
		`{"alg":"ES256","kid":1}`, `{"alg":"ES256","kid":null}`, `{"alg":"ES256","kid":["x"]}`, `{"alg":"ES256","kid":{"$ne":null}}`,
		`{"alg":"ES256","typ":1}`, `{"alg":"ES256","typ":null}`, `{"alg":"ES256","typ":["at+jwt"]}`,
	} {
		rows = append(rows, row{h, signed(t, s, h, payload("")), jose.ErrMalformed})
	}
	long := `{"alg":"ES256","kid":"` + strings.Repeat("k", 257) + `"}`
	rows = append(rows, row{"kid of 257 bytes", signed(t, s, long, payload("")), jose.ErrMalformed})
	rows = append(rows, row{"kid of 256 bytes", signed(t, s, strings.Replace(long, "kk", "k", 1), payload("")), jose.ErrUnknownKey})
	for _, more := range []string{
		`,"jku":"https://attacker.invalid/jwks.json"`, `,"x5u":"https://attacker.invalid/"`, `,"jwk":{"kty":"oct","k":"AA"}`, `,"x5c":["AA"]`, `,"cty":"JWT"`, `,"nonce":"x"`,
	} {
		rows = append(rows, row{"ignored" + more, signed(t, s, header(s, more), payload("")), nil})
	}
	checkRows(t, jose.NewKeySet(s.Key()), rows)
}

// A token that is refused leaves nothing behind to use.
func TestParseReturnsNothingWithAnError(t *testing.T) {
	s := signer(t, jose.ES256)
	token, err := jose.Parse(signed(t, s, header(s, `,"crit":["x"]`), payload("")))
	if err == nil || token.Raw() != "" || token.Payload() != nil || token.KeyID() != "" {
		t.Errorf("got %q, %v", token.Raw(), err)
	}
}

// RFC 7515 §4.1.9: case does not matter, and "application/" may be left out.
func TestBCP9_TypeIsNormalised(t *testing.T) {
	for typ, want := range map[string]string{
		"at+jwt": "at+jwt", "AT+JWT": "at+jwt", "application/at+jwt": "at+jwt", "Application/At+Jwt": "at+jwt", "JWT": "jwt",
		"application/a/b": "application/a/b", "text/at+jwt": "text/at+jwt", "application/": "", " at+jwt": " at+jwt", "": "",
	} {
		token, err := jose.Parse(encode(`{"alg":"ES256","typ":"`+typ+`"}`) + ".e30.")
		if err != nil || token.Type() != want {
			t.Errorf("typ %q: got %q, %v, want %q", typ, token.Type(), err, want)
		}
	}
}
