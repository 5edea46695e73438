package jose

import "encoding/base64"

var base64url = base64.RawURLEncoding.Strict()

// decodeSegment decodes canonical base64url without padding (RFC 7515 §2). The
// alphabet is checked here because the decoder of the standard library skips
// line breaks.
func decodeSegment(segment string) ([]byte, error) {
	for i := range len(segment) {
		c := segment[i]
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return nil, malformed("character outside the base64url alphabet")
		}
	}
	decoded, err := base64url.DecodeString(segment)
	if err != nil {
		return nil, malformed("not canonical base64url")
	}
	return decoded, nil
}
