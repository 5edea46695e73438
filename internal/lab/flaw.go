package lab

import (
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Flaw is one broken API.
type Flaw struct {
	Name      string
	Rows      string         // the rows of the catalogue that show it, separated by spaces
	Suspect   string         // the row that can only raise a suspicion of it
	Algorithm jose.Algorithm // of the tokens it takes, "" for ES256
	Costly    bool           // shown only with --allow-dos
	Post      bool           // the route is POST
	Cookie    bool           // the token is in the cookie "session"
}

// Path is where the lab serves it.
func (f Flaw) Path() string { return "/" + f.Slug() + "/orders" }

// Slug is the name for an address.
func (f Flaw) Slug() string {
	slug := strings.ToLower(strings.NewReplacer(" ", "-", "'", "").Replace(f.Name))
	if f.Algorithm != "" {
		slug += "-" + strings.ToLower(string(f.Algorithm))
	}
	return slug
}

// Tokens is the algorithm of the tokens that the API takes.
func (f Flaw) Tokens() jose.Algorithm {
	if f.Algorithm == "" {
		return jose.ES256
	}
	return f.Algorithm
}

// Sound is the name of the APIs without a flaw.
const Sound = "sound"

// Unmeasurable are routes about which nothing can be said: for each the words
// of the reason.
var Unmeasurable = map[string]string{"open to all": "Public route", "limited": "limits the rate", "locks out": "not accepted any more", "refuses everybody": "not accepted: status 403"}

// Flaws are all APIs of the lab.
var Flaws = []Flaw{
	{Name: Sound}, {Name: Sound, Algorithm: "RS256"}, {Name: Sound, Algorithm: "PS256"}, {Name: Sound, Algorithm: "EdDSA"}, {Name: "a strong secret", Algorithm: "HS256"},
	{Name: "signature not checked", Rows: "T04"},
	{Name: "any text is a token", Rows: "T04"},
	{Name: "signature checked only when there is one", Rows: "T03"},
	{Name: "algorithm none", Rows: "T01"},
	{Name: "algorithm none in any case", Rows: "T02"},
	{Name: "one key for every algorithm", Rows: "T05"},
	{Name: "one key for every algorithm", Rows: "T05", Algorithm: "RS256"},
	{Name: "a weak secret", Rows: "T10", Algorithm: "HS256"},
	{Name: "a development secret", Rows: "T10 T25"},
	{Name: "an empty secret", Rows: "T11"},
	{Name: "zero is a signature", Rows: "T12 T13"},
	{Name: "DER is a signature", Rows: "T13"},
	{Name: "S is not compared with the order", Rows: "T14", Algorithm: "EdDSA"},
	{Name: "the key of the header", Rows: "T25", Algorithm: "RS256"},
	{Name: "any salt will do", Rows: "T15", Algorithm: "PS256"},
	{Name: "a comparison that is cut short", Rows: "T13 T16 T63"},
	{Name: "more bytes of a signature are ignored", Rows: "T13 T63"},
	{Name: "any issuer is as good as ours", Rows: "T09 T30 T55"},
	{Name: "keys of the issuer in the token are fetched", Rows: "T30 T55"},
	{Name: "more segments are ignored", Rows: "T39"},
	{Name: "five empty segments end the process", Rows: "T39"},
	{Name: "expired is asked first", Rows: "T17 T51 T52"},
	{Name: "the secret of the client that the token names", Rows: "T18"},
	{Name: "kid is a file", Rows: "T20"},
	{Name: "kid is a query", Rows: "T21"},
	{Name: "kid is a command", Rows: "T22"},
	{Name: "kid is fetched", Rows: "T22"},
	{Name: "an unknown kid finds no key", Rows: "T18"},
	{Name: "keys are fetched from jku", Rows: "T23"},
	{Name: "keys are fetched from x5u", Rows: "T24"},
	{Name: "the key of the header", Rows: "T25"},
	{Name: "the certificate of the header", Rows: "T26"},
	{Name: "the algorithm of the token is not looked at", Rows: "T07 T08"},
	{Name: "no check of crit", Rows: "T27"},
	{Name: "no check of b64", Rows: "T28"},
	{Name: "b64 is honoured", Rows: "T27 T28"},
	{Name: "lenient JSON", Rows: "T29 T32"},
	{Name: "lenient base64", Rows: "T31"},
	{Name: "JSON serialization", Rows: "T33"},
	{Name: "five segments are decrypted", Rows: "T34 T35 T37", Costly: true},
	{Name: "passwords take as long as the token says", Rows: "T36", Costly: true},
	{Name: "no check of size", Rows: "T38", Costly: true},
	{Name: "no check of dates", Rows: "T50 T52"},
	{Name: "no check of exp", Rows: "T51 T52"},
	{Name: "five minutes of leeway and more", Rows: "T51"},
	{Name: "two minutes of leeway", Rows: "T51"},
	{Name: "a comparison that takes longer the more fits", Suspect: "T81", Algorithm: "HS256", Costly: true},
	{Name: "no check of nbf", Rows: "T52 T53"},
	{Name: "no check of aud", Rows: "T54"},
	{Name: "audience by prefix", Rows: "T54"},
	{Name: "no check of iss", Rows: "T55"},
	{Name: "issuer in a list", Rows: "T55"},
	{Name: "no check of typ", Rows: "T56"},
	{Name: "no check of types", Rows: "T58"},
	{Name: "no check of cnf", Rows: "C9"},
	{Name: "token in the query", Rows: "T70"},
	{Name: "any Authorization header will do", Rows: "T71"},
	{Name: "any scheme will do", Rows: "T72"},
	{Name: "a proxy's header is believed", Rows: "T73"},
	{Name: "the proxy's address is checked", Rows: "T74"},
	{Name: "a pattern that the query satisfies", Rows: "T75"},
	{Name: "one spelling of the path is checked", Rows: "T76"},
	{Name: "a cache that mixes callers", Rows: "T77"},
	{Name: "only GET is checked", Rows: "T78"},
	{Name: "keys are fetched for each unknown kid", Rows: "T79"},
	{Name: "stack traces are shown", Rows: "T82"},
	{Name: "any origin with credentials", Rows: "P02"},
	{Name: "a cookie without attributes", Rows: "P03 P04 P05"},
	{Name: "a cookie is enough", Rows: "P06", Cookie: true, Post: true},
	{Name: "a shared cache may keep it", Rows: "P07"},
	{Name: "no challenge", Rows: "P08"},
	{Name: "errors come with status 200", Rows: ""},
	{Name: "errors come with status 200 and none is good", Rows: "T01"},
	{Name: "open to all"}, {Name: "limited"}, {Name: "locks out"}, {Name: "refuses everybody"},
}
