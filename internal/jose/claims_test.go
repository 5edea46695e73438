package jose_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// JWT-1: a NumericDate is a JSON number of seconds from 1970 to the year 9999
// (RFC 7519 §2).
func TestJWT1_NumericDates(t *testing.T) {
	for value, want := range map[string]int64{
		"0": 0, "1": 1, "1e3": 1000, "1.5": 1, "1.999": 1, "1800000000": 1_800_000_000, "1.8e9": 1_800_000_000, "253402300799": 253402300799, "2534023007990e-1": 253402300799,
	} {
		for _, name := range []string{"exp", "nbf", "iat"} {
			c, err := jose.ParseClaims([]byte(`{"` + name + `":` + value + `}`))
			if err != nil {
				t.Errorf("%s %s: %v", name, value, err)
				continue
			}
			got, err := c.Time(name)
			if err != nil || got.Unix() != want {
				t.Errorf("%s %s: got %d, %v, want %d", name, value, got.Unix(), err, want)
			}
		}
	}
	for _, value := range []string{
		`"99"`, `""`, `"1800000000"`, `null`, `true`, `false`, `[1]`, `[]`, `{}`, `{"exp":1}`, `-1`, `-0`, `-0.0`, `-1e-400`, `1e308`, `1e309`, `1e999`, `-1e308`, `253402300800`,
		`1800000000000`, `9223372036854775807`, `9223372036854775808`, `18446744073709551616`,
	} {
		for _, name := range []string{"exp", "nbf", "iat"} {
			if _, err := jose.ParseClaims([]byte(`{"` + name + `":` + value + `}`)); !errors.Is(err, jose.ErrClaim) {
				t.Errorf("%s %s: got %v, want %v", name, value, err, jose.ErrClaim)
			}
		}
	}
}

// The times around now, with a leeway of 30 s.
func TestJWT1_Windows(t *testing.T) {
	s := signer(t, jose.ES256)
	at := func(name string, d time.Duration) string {
		claims := map[string]any{"iss": issuer, "aud": audience, "exp": now.Unix() + 60}
		claims[name] = now.Add(d).Unix()
		raw, err := s.Sign("at+jwt", claims)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	checkRows(t, jose.NewKeySet(s.Key()), []row{
		{"exp in a second", at("exp", time.Second), nil},
		{"exp now", at("exp", 0), nil},
		{"exp 29 s ago", at("exp", -29*time.Second), nil},
		{"exp 30 s ago", at("exp", -30*time.Second), jose.ErrExpired},
		{"exp 31 s ago", at("exp", -31*time.Second), jose.ErrExpired},
		{"exp a year ago", at("exp", -365*24*time.Hour), jose.ErrExpired},
		{"exp 1970", signed(t, s, header(s, ""), `{"iss":"`+issuer+`","aud":"`+audience+`","exp":0}`), jose.ErrExpired},
		{"no exp", signed(t, s, header(s, ""), `{"iss":"`+issuer+`","aud":"`+audience+`"}`), jose.ErrClaim},
		{"nbf now", at("nbf", 0), nil},
		{"nbf in 30 s", at("nbf", 30*time.Second), nil},
		{"nbf in 31 s", at("nbf", 31*time.Second), jose.ErrNotYet},
		{"nbf 1970", at("nbf", -time.Duration(now.Unix())*time.Second), nil},
		{"iat in 30 s", at("iat", 30*time.Second), nil},
		{"iat in 31 s", at("iat", 31*time.Second), jose.ErrNotYet},
		{"iat in a year", at("iat", 365*24*time.Hour), jose.ErrNotYet},
	})
}

// JWT-2, BCP-7: aud is a string or a list of strings, and we are in it, byte
// for byte (RFC 7519 §4.1.3). Without aud nothing is taken.
func TestJWT2_Audience(t *testing.T) {
	s := signer(t, jose.ES256)
	with := func(aud string) string {
		return signed(t, s, header(s, ""), `{"iss":"`+issuer+`","exp":1800000600`+aud+`}`)
	}
	a := `"` + audience + `"`
	rows := []row{
		{"a string", with(`,"aud":` + a), nil},
		{"a list", with(`,"aud":[` + a + `]`), nil},
		{"one of two", with(`,"aud":["https://other.example.com",` + a + `]`), nil},
		{"escaped", with(`,"aud":"\u0068` + audience[1:] + `"`), nil},
		{"missing (BCP-7)", with(``), jose.ErrAudience},
		{"another name's case", with(`,"AUD":` + a), jose.ErrAudience},
	}
	for _, aud := range []string{`[]`, `""`, `[""]`, `"https://other.example.com"`, `["https://other.example.com"]`, `"` + audience + `/"`, `"` + audience + `x"`, `"` + audience[:len(audience)-1] + `"`,
		`" ` + audience + `"`, `"` + audience + ` https://other.example.com"`, `"` + strings.ToUpper(audience) + `"`, `"*"`, `"https://*.example.com"`} {
		rows = append(rows, row{aud, with(`,"aud":` + aud), jose.ErrAudience})
	}
	for _, aud := range []string{`null`, `1`, `true`, `{}`, `{` + a + `:true}`, `[[` + a + `]]`, `[1]`, `[` + a + `,1]`, `[` + a + `,null]`, `[` + a + `,["x"]]`} {
		rows = append(rows, row{aud, with(`,"aud":` + aud), jose.ErrClaim})
	}
	checkRows(t, jose.NewKeySet(s.Key()), rows)
}

// JWT-3: iss is compared byte for byte, never as a URL (RFC 7519 §4.1.1).
func TestJWT3_Issuer(t *testing.T) {
	s := signer(t, jose.ES256)
	with := func(iss string) string {
		return signed(t, s, header(s, ""), `{"aud":"`+audience+`","exp":1800000600`+iss+`}`)
	}
	i := `"` + issuer + `"`
	rows := []row{
		{"exact", with(`,"iss":` + i), nil},
		{"missing", with(``), jose.ErrIssuer},
		{"another name's case", with(`,"ISS":` + i), jose.ErrIssuer},
	}
	for _, iss := range []string{`""`, `"` + issuer + `/"`, `"` + issuer + `:443"`, `"HTTPS://auth.example.com"`, `"https://AUTH.example.com"`, `"https://auth.example.com."`, `"https://auth.example.co"`,
		`"https://auth.example.com.attacker.invalid"`, `" ` + issuer + `"`, `"` + issuer + `#"`, `"` + issuer + `\u0000"`, `"http://auth.example.com"`, `"auth.example.com"`} {
		rows = append(rows, row{iss, with(`,"iss":` + iss), jose.ErrIssuer})
	}
	for _, iss := range []string{`null`, `1`, `{}`, `[` + i + `]`, `["https://attacker.invalid",` + i + `]`, `{"iss":` + i + `}`} {
		rows = append(rows, row{iss, with(`,"iss":` + iss), jose.ErrClaim})
	}
	checkRows(t, jose.NewKeySet(s.Key()), rows)
}

// BCP-7: an acceptor that does not say what it expects accepts nothing, not
// even a token that leaves the same out.
func TestBCP7_AnEmptyExpectationAcceptsNothing(t *testing.T) {
	s := signer(t, jose.ES256)
	good := header(s, "")
	for _, v := range []struct {
		name            string
		forget          func(*jose.Expect)
		header, payload string
	}{
		{"nothing", func(*jose.Expect) {}, good, payload("")},
		{"type", func(e *jose.Expect) { e.Type = "" }, `{"alg":"ES256"}`, payload("")},
		{"issuer", func(e *jose.Expect) { e.Issuer = "" }, good, `{"aud":"` + audience + `","exp":1800000600}`},
		{"audience", func(e *jose.Expect) { e.Audience = "" }, good, `{"iss":"` + issuer + `","aud":"","exp":1800000600}`},
		{"now", func(e *jose.Expect) { e.Now = time.Time{} }, good, `{"iss":"` + issuer + `","aud":"` + audience + `","exp":1800000600}`},
	} {
		parsed, err := jose.Parse(signed(t, s, v.header, v.payload))
		if err != nil {
			t.Fatal(err)
		}
		claims, err := parsed.Claims()
		if err != nil {
			t.Fatal(err)
		}
		e := expect()
		v.forget(&e)
		if err := e.Check(parsed, claims); (err == nil) != (v.name == "nothing") {
			t.Errorf("without %s: got %v", v.name, err)
		}
		if err := e.Check(jose.Token{}, jose.Claims{}); err == nil {
			t.Errorf("without %s the zero token is taken", v.name)
		}
	}
}

// What is wrong first is what is said: type, issuer, audience, then times.
func TestExpectOrder(t *testing.T) {
	s := signer(t, jose.ES256)
	all := map[string]any{"iss": "x", "aud": "x", "exp": 1, "nbf": now.Unix() + 600, "iat": now.Unix() + 600}
	for _, step := range []struct {
		kind  string
		fixed string
		value any
		want  error
	}{
		{"jwt", "", nil, jose.ErrType}, {"at+jwt", "", nil, jose.ErrIssuer}, {"at+jwt", "iss", issuer, jose.ErrAudience}, {"at+jwt", "aud", audience, jose.ErrExpired},
		{"at+jwt", "exp", now.Unix() + 600, jose.ErrNotYet}, {"at+jwt", "nbf", now.Unix(), jose.ErrNotYet}, {"at+jwt", "iat", now.Unix(), nil},
	} {
		if step.fixed != "" {
			all[step.fixed] = step.value
		}
		raw, err := s.Sign(step.kind, all)
		if err != nil {
			t.Fatal(err)
		}
		if err := accept(jose.NewKeySet(s.Key()), raw); !errors.Is(err, step.want) || step.want == nil && err != nil {
			t.Errorf("%s, %s fixed: got %v, want %v", step.kind, step.fixed, err, step.want)
		}
	}
}

func TestClaimsByType(t *testing.T) {
	c, err := jose.ParseClaims([]byte(`{"s":"a\u0062c","l":["a","b"],"e":[],"n":42,"f":1.5,"z":null,"o":{"k":[1]},"t":1800000000,"b":true,"big":9223372036854775808,"neg":-7,"exp1":1e2}`))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.String("s"); s != "abc" || err != nil {
		t.Errorf("String: %q, %v", s, err)
	}
	if l, err := c.Strings("l"); len(l) != 2 || l[1] != "b" || err != nil {
		t.Errorf("Strings: %q, %v", l, err)
	}
	if l, err := c.Strings("e"); l == nil || len(l) != 0 || err != nil {
		t.Errorf("Strings of an empty list: %#v, %v", l, err)
	}
	if n, err := c.Int("n"); n != 42 || err != nil {
		t.Errorf("Int: %d, %v", n, err)
	}
	if n, err := c.Int("neg"); n != -7 || err != nil {
		t.Errorf("Int: %d, %v", n, err)
	}
	if at, err := c.Time("t"); at.Unix() != 1_800_000_000 || err != nil {
		t.Errorf("Time: %v, %v", at, err)
	}
	if raw := string(c.Raw("o")); raw != `{"k":[1]}` {
		t.Errorf("Raw: %s", raw)
	}
	if !c.Has("z") || c.Has("Z") || c.Has("absent") || c.Raw("absent") != nil {
		t.Error("Has")
	}
	for _, name := range []string{"l", "n", "z", "o", "b"} {
		if s, err := c.String(name); s != "" || !errors.Is(err, jose.ErrClaim) {
			t.Errorf("String(%s): %q, %v", name, s, err)
		}
	}
	for _, name := range []string{"s", "n", "z", "o", "b"} {
		if l, err := c.Strings(name); l != nil || !errors.Is(err, jose.ErrClaim) {
			t.Errorf("Strings(%s): %q, %v", name, l, err)
		}
	}
	for _, name := range []string{"s", "f", "z", "o", "b", "l", "big", "exp1"} {
		if n, err := c.Int(name); n != 0 || !errors.Is(err, jose.ErrClaim) {
			t.Errorf("Int(%s): %d, %v", name, n, err)
		}
	}
	s, errString := c.String("absent")
	l, errStrings := c.Strings("absent")
	n, errInt := c.Int("absent")
	at, errTime := c.Time("absent")
	if s != "" || l != nil || n != 0 || !at.IsZero() || errString != nil || errStrings != nil || errInt != nil || errTime != nil {
		t.Error("an absent claim is the zero value")
	}
}

// Registered claims have one type each.
func TestJWT_RegisteredClaimTypes(t *testing.T) {
	for _, name := range []string{"iss", "sub", "jti"} {
		for _, value := range []string{`null`, `1`, `true`, `["x"]`, `{"$ne":null}`} {
			if _, err := jose.ParseClaims([]byte(`{"` + name + `":` + value + `}`)); !errors.Is(err, jose.ErrClaim) {
				t.Errorf("%s %s: got %v, want %v", name, value, err, jose.ErrClaim)
			}
		}
	}
}

// C40: a name that differs in case fills nothing, and beside the right one it
// refuses the token.
func TestC40_NamesAreCaseSensitive(t *testing.T) {
	c, err := jose.ParseClaims([]byte(`{"Tenant":"t2","SUB":"admin"}`))
	if err != nil {
		t.Fatal(err)
	}
	var into struct {
		Tenant string `json:"tenant"`
		Sub    string `json:"sub"`
	}
	if err := c.Decode(&into); err != nil || into.Tenant != "" || into.Sub != "" || c.Subject != "" {
		t.Errorf("got %+v, subject %q, %v", into, c.Subject, err)
	}
	if _, err := jose.ParseClaims([]byte(`{"tenant":"t1","Tenant":"t2"}`)); !errors.Is(err, jose.ErrMalformed) {
		t.Errorf("both: got %v, want %v", err, jose.ErrMalformed)
	}
	if c, err = jose.ParseClaims([]byte(`{"tenant":"t1","sub":"amy"}`)); err != nil {
		t.Fatal(err)
	}
	if err := c.Decode(&into); err != nil || into.Tenant != "t1" || into.Sub != "amy" {
		t.Errorf("got %+v, %v", into, err)
	}
	var wrong struct {
		Tenant int `json:"tenant"`
	}
	if err := c.Decode(&wrong); !errors.Is(err, jose.ErrClaim) {
		t.Errorf("a field of another type: got %v, want %v", err, jose.ErrClaim)
	}
}

func TestStringsWithinObjects(t *testing.T) {
	c, err := jose.ParseClaims([]byte(`{"a":{"b":{"roles":["x","y"]},"list":["z"],"text":"t"},"roles":["top"],"null":null}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		path []string
		want []string
		ok   bool
	}{
		{[]string{"roles"}, []string{"top"}, true}, {[]string{"a", "b", "roles"}, []string{"x", "y"}, true}, {[]string{"a", "list"}, []string{"z"}, true},
		{nil, nil, true}, {[]string{"none"}, nil, true}, {[]string{"a", "none", "roles"}, nil, true}, {[]string{"none", "roles"}, nil, true},
		{[]string{"A", "list"}, nil, true}, {[]string{"a"}, nil, false}, {[]string{"a", "b"}, nil, false}, {[]string{"a", "text"}, nil, false},
		{[]string{"roles", "top"}, nil, false}, {[]string{"a", "text", "roles"}, nil, false}, {[]string{"null"}, nil, false}, {[]string{"null", "roles"}, nil, false},
	} {
		got, err := c.Strings(tc.path...)
		if !slices.Equal(got, tc.want) || (err == nil) != tc.ok || err != nil && !errors.Is(err, jose.ErrClaim) {
			t.Errorf("%q: %q %v", tc.path, got, err)
		}
	}
}
