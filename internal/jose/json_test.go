package jose_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// JOSE-4: one strict JSON object, in the header as in the claims (RFC 7519 §4,
// RFC 7515 §10.12). Every text here is signed with the right key.
func TestJOSE4_StrictJSON(t *testing.T) {
	s := signer(t, jose.ES256)
	bad := func(name, text string) []row {
		return []row{
			{"claims: " + name, signed(t, s, header(s, ""), strings.Replace(text, "$", payload("")[1:len(payload(""))-1], 1)), jose.ErrMalformed},
			{"header: " + name, signed(t, s, strings.Replace(text, "$", header(s, "")[1:len(header(s, ""))-1], 1), payload("")), jose.ErrMalformed},
		}
	}
	var rows []row
	for name, text := range map[string]string{
		"two objects":           `{$}{}`,
		"two values":            `{$} 1`,
		"comment behind":        `{$}//x`,
		"comment inside":        `{$/*x*/}`,
		"comment in front":      `/*x*/{$}`,
		"BOM":                   "\ufeff{$}",
		"BOM behind":            "{$}\ufeff",
		"UTF-16":                "\xff\xfe{\x00$}",
		"NUL behind":            "{$}\x00",
		"vertical tab":          "{$}\v",
		"no-break space":        "{$}\u00a0",
		"NaN":                   `{$,"x":NaN}`,
		"Infinity":              `{$,"x":-Infinity}`,
		"hexadecimal":           `{$,"x":0x1}`,
		"leading zero":          `{$,"x":01}`,
		"leading plus":          `{$,"x":+1}`,
		"leading point":         `{$,"x":.5}`,
		"trailing point":        `{$,"x":1.}`,
		"empty exponent":        `{$,"x":1e}`,
		"lone minus":            `{$,"x":-}`,
		"underscore":            `{$,"x":1_0}`,
		"trailing comma":        `{$,}`,
		"leading comma":         `{,$}`,
		"double comma":          `{$,,"x":1}`,
		"comma in list":         `{$,"x":[1,]}`,
		"no colon":              `{$,"x" 1}`,
		"no value":              `{$,"x":}`,
		"no name":               `{$,:1}`,
		"bare name":             `{$,x:1}`,
		"number as name":        `{$,1:1}`,
		"single quotes":         `{$,'x':1}`,
		"open string":           `{$,"x":"}`,
		"open list":             `{$,"x":[1}`,
		"open object":           `{$`,
		"closed twice":          `{$}}`,
		"wrong bracket":         `{$,"x":[1}]`,
		"line break in string":  "{$,\"x\":\"a\nb\"}",
		"tab in string":         "{$,\"x\":\"a\tb\"}",
		"NUL in string":         "{$,\"x\":\"a\x00b\"}",
		"bad escape":            `{$,"x":"\x41"}`,
		"short escape":          `{$,"x":"\u004"}`,
		"escape at the end":     `{$,"x":"\`,
		"bad hex":               `{$,"x":"\u00g0"}`,
		"hex of controls":       "{$,\"x\":\"\\u00\x11\x110\"}",
		"lone high surrogate":   `{$,"x":"\ud800"}`,
		"lone low surrogate":    `{$,"x":"\udc00"}`,
		"high, then letter":     `{$,"x":"\ud800x"}`,
		"high, then no low":     `{$,"x":"\ud800\u0041"}`,
		"two highs":             `{$,"x":"\ud800\ud800"}`,
		"lone surrogate name":   `{$,"\ud800":1}`,
		"not UTF-8":             "{$,\"x\":\"\xff\"}",
		"UTF-8 surrogate":       "{$,\"x\":\"\xed\xa0\x80\"}",
		"overlong UTF-8":        "{$,\"x\":\"\xc0\xaf\"}",
		"not UTF-8, name":       "{$,\"\xff\":1}",
		"bad word":              `{$,"x":tru}`,
		"word with letters":     `{$,"x":nullx}`,
		"capital word":          `{$,"x":True}`,
		"undefined":             `{$,"x":undefined}`,
		"nested 10,000 lists":   `{$,"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		"nested lists, open":    `{$,"x":` + strings.Repeat("[", 5000) + `}`,
		"nested objects":        `{$,"x":` + strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100) + `}`,
		"one level too deep":    `{$,"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`,
		"too many members":      `{$` + manyMembers(300) + `}`,
		"name twice":            `{$,"x":1,"x":1}`,
		"name twice, escaped":   `{$,"x":1,"\u0078":1}`,
		"name twice, by case":   `{$,"x":1,"X":1}`,
		"name twice, by fold":   "{$,\"k\":1,\"\u212a\":1}",
		"name twice, nested":    `{$,"x":{"a":1,"a":2}}`,
		"name twice, in a list": `{$,"x":[{"a":1,"A":2}]}`,
		"empty name twice":      `{$,"":1,"":2}`,
		"list":                  `[{$}]`,
		"null":                  `null`,
		"string":                `"x"`,
		"number":                `1`,
		"nothing":               ``,
		"white space":           ` `,
	} {
		rows = append(rows, bad(name, text)...)
	}
	checkRows(t, jose.NewKeySet(s.Key()), rows)
}

// What is strict JSON is taken, however unusual it looks.
func TestJOSE4_UnusualJSON(t *testing.T) {
	s := signer(t, jose.ES256)
	var rows []row
	for _, more := range []string{
		`,"x":-0.5e+10`, `,"x":0`, `,"x":1E-3`, `,"x":""`, `,"":1`, `,"x":"\ud83d\ude00"`, `,"x":"😀"`, `,"x":"\u0000"`, `,"x":"\/\b\f\n\r\t\\\""`, `,"x":"\uABCD\uabcd"`,
		`,"x":{}`, `,"x":[]`, `,"x":[null,true,false,[{}]]`, " ,\r\n\t\"x\" : [ 1 , 2 ] ", `,"x":1e999`, `,"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31),
		`,"a":{"x":1},"b":{"x":2}`, `,"x":"` + "\u2028\ufeff\x7f" + `"`,
	} {
		rows = append(rows,
			row{"claims " + more, signed(t, s, header(s, ""), payload(more)), nil},
			row{"header " + more, signed(t, s, header(s, more), payload("")), nil},
			row{"around " + more, signed(t, s, " "+header(s, more)+"\n", "\t"+payload(more)+"\r\n"), nil},
		)
	}
	checkRows(t, jose.NewKeySet(s.Key()), rows)
}

// T38: whatever fits into a token is judged quickly. The names are all alike,
// which is the worst case for comparing them.
func TestJOSE4_WorkIsBounded(t *testing.T) {
	object := `{` + manyMembers(250)[1:] + `}`
	list := `{"x":[` + object + strings.Repeat(`,`+object, 3) + `]}`
	if len(list) > jose.MaxTokenBytes {
		t.Fatalf("%d bytes do not fit into a token", len(list))
	}
	fastest := time.Hour // the fastest of some runs, because the machine has other work
	for range 10 {
		start := time.Now()
		if _, err := jose.ParseClaims([]byte(list)); err != nil {
			t.Fatal(err)
		}
		fastest = min(fastest, time.Since(start))
	}
	if fastest > 20*time.Millisecond {
		t.Errorf("%s for %d bytes of claims", fastest, len(list))
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"m` + strings.Repeat("x", 3) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `":1`)
	}
	return b.String()
}

// An error is for the log: it says what is wrong and never shows the token.
func TestErrorsDoNotShowTheToken(t *testing.T) {
	s := signer(t, jose.ES256)
	secret := strings.Repeat("topsecret", 20)
	for _, raw := range []string{
		secret, secret + "." + secret + "." + secret, signed(t, s, header(s, ""), payload(`,"x":"`+secret+`","x":1`)), signed(t, s, header(s, ""), `{"exp":"`+secret+`"}`),
		signed(t, s, header(s, ""), payload(`,"`+secret+`":1,"`+secret+`":1`)),
	} {
		err := accept(jose.NewKeySet(s.Key()), raw)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("got %v", err)
		}
	}
	if err := accept(jose.NewKeySet(s.Key()), ""); !errors.Is(err, jose.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}
