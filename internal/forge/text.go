package forge

import (
	"encoding/base64"
	"strings"
)

// base64url is the alphabet in order (RFC 4648 §5).
const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// encoded are a real token in other letters. Whoever takes them sees two
// texts of one token, which passes by a cache or a list of revoked ones.
// White space stands inside: around a token HTTP itself takes it away.
func (f *forger) encoded() []Token {
	tokens := []Token{
		{ID: "T31", Name: "base64-padding", Title: "padding behind the signature", Want: wantMalformed, Raw: f.Valid + "=="},
		{ID: "T31", Name: "base64-space", Title: "a space inside the signature", Want: wantMalformed, Raw: inside(f.Valid, " ")},
		{ID: "T31", Name: "base64-newline", Title: "a line break inside the signature", Want: wantMalformed, Raw: inside(f.Valid, "\n")},
		{ID: "T31", Name: "base64-crlf", Title: "CRLF inside the signature", Want: wantMalformed, Raw: inside(f.Valid, "\r\n")},
		{ID: "T31", Name: "base64-nul", Title: "a NUL inside the signature", Want: wantMalformed, Raw: inside(f.Valid, "\x00")},
		{ID: "T31", Name: "base64-percent", Title: "a percent-encoded dot", Want: wantMalformed, Raw: strings.Replace(f.Valid, ".", "%2E", 1)},
	}
	if spare, ok := trailing(f.signature); ok {
		tokens = append(tokens, Token{ID: "T31", Name: "base64-trailing-bits", Title: "unused bits of the last character set", Want: wantMalformed, Raw: f.head + "." + f.body + "." + spare})
	}
	if !f.Lab.IsZero() {
		tokens = append(tokens, f.encodedByLab()...)
	}
	return tokens
}

// inside puts text into the middle of the last segment.
func inside(token, text string) string {
	at := len(token) - 10
	return token[:at] + text + token[at:]
}

// trailing sets an unused bit of the last character, if there is one.
func trailing(segment string) (string, bool) {
	if len(segment)%4 == 0 {
		return "", false
	}
	last := len(segment) - 1
	return segment[:last] + string(base64url[strings.IndexByte(base64url, segment[last])|1]), true
}

// encodedByLab are signed over text that is no canonical base64url: only the
// intake can tell.
func (f *forger) encodedByLab() []Token {
	header := encode(f.genuine())
	payload := f.changed("x", `"?????"`) // its base64 has characters that differ between the alphabets
	for len(payload)%3 == 0 {
		payload += " "
	}
	spare, _ := trailing(encode(payload))
	return []Token{
		{ID: "T31", Name: "signed-standard-alphabet", Title: "signed, the payload in base64 with + and /", Want: wantMalformed, Raw: f.by(f.Lab, header+"."+base64.RawStdEncoding.EncodeToString([]byte(payload)))},
		{ID: "T31", Name: "signed-padding", Title: "signed, the payload with padding", Want: wantMalformed, Raw: f.by(f.Lab, header+"."+base64.URLEncoding.EncodeToString([]byte(payload)))},
		{ID: "T31", Name: "signed-trailing-bits", Title: "signed, unused bits of the payload set", Want: wantMalformed, Raw: f.by(f.Lab, header+"."+spare)},
		{ID: "T31", Name: "signed-newline", Title: "signed, a line break in the payload", Want: wantMalformed, Raw: f.by(f.Lab, header+".\n"+encode(payload))},
	}
}

// polyglots are JSON where a compact token is expected, and tokens of more
// or fewer segments (T33; CVE-2022-39227).
func (f *forger) polyglots() []Token {
	members := []string{"protected", quote(f.head), "payload", quote(f.body), "signature", quote(f.signature)}
	forged := encode(f.header("none")) + "." + encode(f.payload())
	general := object("payload", quote(f.body), "signatures", "["+object("protected", quote(f.head), "signature", quote(f.signature))+"]")
	return []Token{
		{ID: "T33", Name: "json-flattened", Title: "the flattened JSON serialization of a real token", Want: wantMalformed, Raw: object(members...)},
		{ID: "T33", Name: "json-general", Title: "the general JSON serialization of a real token", Want: wantMalformed, Raw: general},
		{ID: "T33", Name: "json-polyglot", Title: "JSON of a real token that splits at dots into a forged one", Want: wantMalformed, Raw: `{"` + forged + `.":"", ` + object(members...)[1:]},
		{ID: "T39", Name: "segments-none", Title: "no dot at all", Want: wantMalformed, Raw: f.head},
		{ID: "T39", Name: "segments-one-dot", Title: "one dot and nothing else", Want: wantMalformed, Raw: "."},
		{ID: "T39", Name: "segments-empty", Title: "three empty segments", Want: wantMalformed, Raw: ".."},
		{ID: "T39", Name: "segments-four", Title: "a real token with a fourth, empty segment", Want: wantMalformed, Raw: f.Valid + "."},
		{ID: "T39", Name: "segments-leading-dot", Title: "a real token after a dot", Want: wantMalformed, Raw: "." + f.Valid},
		{ID: "T39", Name: "segments-five", Title: "five empty segments", Want: wantMalformed, Raw: "...."},
		{ID: "T39", Name: "header-empty", Title: "an empty header", Want: wantMalformed, Raw: "." + f.body + "." + f.signature},
		{ID: "T39", Name: "payload-empty", Title: "an empty payload", Want: wantSignature, Raw: f.head + ".." + f.signature},
		{ID: "T39", Name: "header-null", Title: "the header null", Want: wantMalformed, Raw: encode("null") + "." + f.body + "." + f.signature},
		{ID: "T39", Name: "header-list", Title: "the header a list", Want: wantMalformed, Raw: encode("[]") + "." + f.body + "." + f.signature},
		{ID: "T39", Name: "header-no-members", Title: "the header without members", Want: wantMalformed, Raw: encode("{}") + "." + f.body + "." + f.signature},
		{ID: "T29", Name: "header-alg-twice", Title: "alg none and the real one", Want: wantMalformed, Raw: join(`{"alg":"none",`+f.header(string(f.valid.Algorithm()))[1:], f.payload(), "")},
		{ID: "T29", Name: "header-alg-escaped-twice", Title: "alg twice, once with an escape", Want: wantMalformed, Raw: join(`{"\u0061lg":"none",`+f.header(string(f.valid.Algorithm()))[1:], f.payload(), "")},
		{ID: "T32", Name: "header-trailing-data", Title: "a second object behind the header", Want: wantMalformed, Raw: join(f.header("none")+"{}", f.payload(), "")},
	}
}

// outsized are tokens that cost more than they are worth (T38).
func (f *forger) outsized() []Token {
	deep := strings.Repeat("[", 4000) + strings.Repeat("]", 4000)
	tokens := []Token{
		{ID: "T38", Name: "many-dots", Title: "8,000 dots", Want: wantMalformed, Raw: strings.Repeat(".", 8000)},
		{ID: "T38", Name: "oversize", Title: "a payload of 20,000 bytes", Want: "The token is too large.", Raw: f.head + "." + encode(f.changed("x", quote(strings.Repeat("x", 20000)))) + "." + f.signature},
		{ID: "T38", Name: "header-deep", Title: "a header nested 4,000 deep", Want: wantMalformed, Raw: join(f.header(string(f.valid.Algorithm()), "x", deep), "{}", "")},
	}
	if f.Lab.IsZero() {
		return tokens
	}
	return append(tokens,
		Token{ID: "T38", Name: "signed-oversize", Title: "signed, a claim of 20,000 bytes", Want: "The token is too large.", Raw: f.lab("x", quote(strings.Repeat("x", 20000)))},
		Token{ID: "T38", Name: "signed-deep", Title: "signed, a claim nested 4,000 deep", Want: wantMalformed, Raw: f.byLab(f.genuine(), f.added(`,"x":`+deep))},
	)
}
