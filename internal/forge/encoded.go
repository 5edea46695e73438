package forge

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// encoded are the valid token in forms that a lax parser takes: each would get
// past a deny list that knows the canonical one.
func (f *forger) encoded() {
	header, payload, signature := f.parts()
	f.add("T31", "padding", "The signature is padded.", f.Valid+"=")
	f.add("T31", "trailing-bits", "The last character carries bits that no byte has.", header+"."+payload+"."+nonCanonical(signature))
	f.add("T31", "trailing-bits-payload", "The payload's last character carries bits that no byte has, or is padded.", header+"."+nonCanonical(payload)+"."+signature)
	f.add("T31", "line-break", "A line break stands in the signature.", header+"."+payload+"."+signature[:8]+"\n"+signature[8:])
	f.add("T31", "space", "A space stands in the payload.", header+"."+payload[:8]+" "+payload[8:]+"."+signature)
	f.add("T31", "standard-alphabet", "A segment is in the standard alphabet.", header+"."+payload+"."+signature+"+/")
	f.add("T38", "four-segments", "There is a fourth segment.", f.Valid+".e30")
	f.add("T38", "trailing-dot", "A dot follows the token.", f.Valid+".")
	f.add("T38", "leading-dot", "A dot precedes the token.", "."+f.Valid)
	f.add("T38", "many-dots", "The token is ten thousand dots.", strings.Repeat(".", 10_000))
	f.add("T38", "oversize", "The token is longer than any honest one.", header+"."+b64([]byte(strings.Repeat("A", 20_000)))+"."+signature)
	f.add("T38", "deep-nesting", "The claims are nested a thousand levels deep.", header+"."+b64([]byte(`{"a":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`))+"."+signature)
	f.add("T39", "empty-segments", "All three segments are empty.", "..")
	f.add("T39", "empty-header", "The header is empty.", "."+payload+"."+signature)
	f.add("T39", "empty-payload", "The payload is empty.", header+".."+signature)
	f.add("T39", "header-not-object", "The header is a list.", b64([]byte(`[]`))+"."+payload+"."+signature)
	f.add("T39", "header-null", "The header is null.", b64([]byte(`null`))+"."+payload+"."+signature)
	f.add("T29", "duplicate-alg", "The header names two algorithms.", b64([]byte(`{"alg":"`+string(f.key.Algorithm())+`","alg":"none","typ":"at+jwt","kid":"`+f.key.ID()+`"}`))+"."+f.forgedPayload()+".")
	f.add("T29", "duplicate-alg-escaped", "The header names two algorithms, one of them in escapes.", b64([]byte(`{"alg":"none","\u0061lg":"`+string(f.key.Algorithm())+`","kid":"`+f.key.ID()+`"}`))+"."+f.forgedPayload()+".")
}

// nonCanonical changes bits of the last character that decode to nothing; a
// segment without such bits is padded instead.
func nonCanonical(segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(segment)%4 == 0 {
		return segment + "===="
	}
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	return segment[:len(segment)-1] + string(alphabet[last^1])
}

// serialized are tokens in forms that are not a compact JWS at all.
func (f *forger) serialized() {
	header, payload, signature := f.parts()
	flattened, _ := json.Marshal(map[string]string{"protected": header, "payload": payload, "signature": signature})
	f.add("T33", "json-flattened", "The token is a JSON serialization.", string(flattened))
	polyglot := `{"protected":"` + header + `","payload":"` + payload + `","signature":"` + signature + `","x":"` + header + `.` + f.forgedPayload() + `.` + signature + `"}`
	f.add("T33", "json-polyglot", "A JSON serialization hides a forged compact one.", strings.ReplaceAll(polyglot, " ", ""))
	jwe := map[string]any{"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": f.key.ID(), "cty": "JWT"}
	five := []string{encode(jwe), b64(make([]byte, 256)), b64(make([]byte, 12)), b64(make([]byte, 64)), b64(make([]byte, 16))}
	f.add("T34", "jwe", "The token is encrypted instead of signed.", strings.Join(five, "."))
	f.add("T35", "jwe-three-segments", "A header of an encrypted token stands before claims.", encode(jwe)+"."+f.forgedPayload()+"."+b64(make([]byte, 64)))
	f.add("T36", "jwe-pbes2", "An encrypted token asks for two billion rounds of key derivation.",
		encode(map[string]any{"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 1 << 31, "p2s": b64(make([]byte, 16))})+"."+b64(make([]byte, 24))+"."+b64(make([]byte, 12))+"."+b64(make([]byte, 16))+"."+b64(make([]byte, 16)))
	f.add("T37", "zip", "The header asks to decompress.", encode(with(f.header, "zip", "DEF"))+"."+payload+"."+signature)
}

func selfSigned(own jose.Signer, now time.Time) string {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "attacker"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, own.Private().Public(), own.Private())
	if err != nil {
		panic("forge: sign a certificate: " + err.Error())
	}
	return base64.StdEncoding.EncodeToString(der)
}

func mustUnmarshal(data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		panic("forge: our own JSON: " + err.Error())
	}
}
