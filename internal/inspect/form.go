package inspect

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Forms of a text, by its outer shape.
const (
	FormJWS    = "jws"      // signed, compact: what people call a JWT
	FormJWE    = "jwe"      // encrypted
	FormSDJWT  = "sd-jwt"   // signed, with disclosures behind it
	FormJSON   = "jws-json" // JSON serialization
	FormPASETO = "paseto"
	FormSAML   = "saml"
	FormKey    = "key"    // a key or a certificate
	FormOpaque = "opaque" // nothing to read in it
	FormEmpty  = "empty"
)

// form tells what a text is before anything in it is read, and says in a
// sentence what to do with what is no JWT.
func form(text string) (form, title, advice string) {
	switch {
	case text == "":
		return FormEmpty, "nothing", "There is no token in the input."
	case strings.HasPrefix(text, "{"):
		return formOfJSON(text)
	case pasetoPattern.MatchString(text) && strings.HasPrefix(text, "v"):
		return FormPASETO, "PASETO token", "PASETO is another format than JWT; read it with a PASETO library of its version."
	case strings.HasPrefix(text, "-----BEGIN"):
		return FormKey, "a PEM file", "This is a key or a certificate, not a token. Pass it with --key, and the token as the argument."
	case strings.HasPrefix(text, "ey") || strings.HasPrefix(text, "ew"):
		return compactForm(text)
	case looksLikeSAML(text):
		return FormSAML, "SAML message", "SAML is signed XML, not a JWT; read it with a SAML tool."
	}
	return opaqueForm(text)
}

func formOfJSON(text string) (form, title, advice string) {
	var document map[string]json.RawMessage
	_ = json.Unmarshal([]byte(text), &document)
	switch {
	case document["kty"] != nil || document["keys"] != nil:
		if document["d"] != nil || document["k"] != nil {
			return FormKey, "a private key as JWK", "This is a secret key, not a token. If it was shown to others, change it."
		}
		return FormKey, "a public key as JWK", "This is a key, not a token. Pass it with --key, and the token as the argument."
	case document["payload"] != nil:
		return FormJSON, "signature in JSON serialization", "A JWT is compact: three parts with dots between (RFC 7519 §1). APIs refuse this form."
	}
	return FormOpaque, "JSON without a token", "There is no token in this JSON."
}

func compactForm(text string) (form, title, advice string) {
	if strings.Contains(text, "~") {
		return FormSDJWT, "SD-JWT", ""
	}
	if strings.Count(text, ".") == 4 {
		return FormJWE, "encrypted token (JWE)", "It is encrypted: only the holder of the key can read it. The header can be read, the claims can not."
	}
	return FormJWS, "token", ""
}

var samlPattern = regexp.MustCompile(`<(?:[A-Za-z0-9]+:)?(?:Response|Assertion|AuthnRequest|LogoutRequest)[\s>]`)

func looksLikeSAML(text string) bool {
	if samlPattern.MatchString(text) {
		return true
	}
	decoded, ok := loose64(text)
	return ok && samlPattern.Match(decoded)
}

var refreshPattern = regexp.MustCompile(`^v1\.[A-Za-z0-9_-]+\.gr_[A-Za-z0-9_-]+\.[0-9]+\.[A-Za-z0-9_-]+$`)
var sealedPattern = regexp.MustCompile(`^v1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{20,}$`)

// opaqueForm names the opaque texts that are known.
func opaqueForm(text string) (form, title, advice string) {
	switch {
	case strings.HasPrefix(text, "ghs_"):
		return FormOpaque, "client secret of Gatehouse, or an installation token of GitHub", "It is a secret, not a token to read. If it was shown to others, change it: gatehouse client secret."
	case refreshPattern.MatchString(text):
		return FormOpaque, "refresh token of Gatehouse", "It names a grant and a generation, and only the authority can check it. Ask the introspection endpoint."
	case sealedPattern.MatchString(text):
		return FormOpaque, "sealed value of Gatehouse, such as an authorization code", "Only the authority can open it."
	case strings.ContainsFunc(text, unicode.IsSpace):
		return FormOpaque, "text without a token", "There is no token in the input. A JWT begins with eyJ and has two dots."
	case strings.Count(text, ".") == 2:
		return FormOpaque, "three parts that are no JWT", "The first part is not base64url of a JSON object. Was the beginning cut off?"
	}
	return FormOpaque, "opaque token", fmt.Sprintf("Its %d characters mean something to its issuer only. Ask the issuer's introspection endpoint.", len(text))
}
