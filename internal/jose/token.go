package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MaxTokenBytes bounds a token before anything in it is looked at.
const MaxTokenBytes = 16 << 10

// Token is a parsed, NOT YET VERIFIED compact JWS (RFC 7515 §7.1).
type Token struct {
	raw       string
	signed    string // header.payload, what the signature covers
	kid       string
	algorithm Algorithm
	kind      string
	payload   []byte
	signature []byte
}

// Parse is the strict intake: exactly three segments of canonical base64url,
// a header that is one strict JSON object, no `crit`, no `b64`. The signature
// is not looked at.
func Parse(raw string) (Token, error) {
	if len(raw) > MaxTokenBytes {
		return Token{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), MaxTokenBytes)
	}
	first := strings.IndexByte(raw, '.')
	last := strings.LastIndexByte(raw, '.')
	if first < 0 || first == last || strings.IndexByte(raw[first+1:last], '.') >= 0 {
		return Token{}, malformed("not three segments")
	}
	t := Token{raw: raw, signed: raw[:last]}
	header, err := decodeSegment(raw[:first])
	if err != nil {
		return Token{}, fmt.Errorf("header: %w", err)
	}
	if t.payload, err = decodeSegment(raw[first+1 : last]); err != nil {
		return Token{}, fmt.Errorf("payload: %w", err)
	}
	if t.signature, err = decodeSegment(raw[last+1:]); err != nil {
		return Token{}, fmt.Errorf("signature: %w", err)
	}
	if err := t.readHeader(header); err != nil {
		return Token{}, err
	}
	return t, nil
}

func (t *Token) readHeader(header []byte) error {
	members, err := parseObject(header)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	// No extension is understood, so a token that declares one critical must be
	// refused (RFC 7515 §4.1.11); b64 is forbidden in a JWT (RFC 7797 §7).
	if find(members, "crit") != nil || find(members, "b64") != nil {
		return fmt.Errorf("%w: crit or b64", ErrCritical)
	}
	// A content encryption makes it a JWE, a compression is nothing we undo.
	if find(members, "enc") != nil || find(members, "zip") != nil {
		return malformed("an encrypted or compressed token is not taken")
	}
	var algorithm, kind string
	for _, p := range []struct {
		name string
		into *string
	}{{"alg", &algorithm}, {"kid", &t.kid}, {"typ", &kind}} {
		if *p.into, err = stringValue(find(members, p.name)); err != nil {
			return malformed("header %s: %s", p.name, err)
		}
	}
	if algorithm == "" {
		return malformed("header without alg")
	}
	// No key of a set has a longer one, and lists of unknown ids stay small.
	if len(t.kid) > maxKeyID {
		return malformed("kid of %d bytes", len(t.kid))
	}
	t.algorithm, t.kind = Algorithm(algorithm), normalizeType(kind)
	return nil
}

// normalizeType folds what RFC 7515 §4.1.9 calls equal: case, and the prefix
// "application/" of a type without another slash.
func normalizeType(kind string) string {
	kind = strings.ToLower(kind)
	if short, ok := strings.CutPrefix(kind, "application/"); ok && !strings.Contains(short, "/") {
		return short
	}
	return kind
}

// KeyID is the `kid`: input from outside, to look up in a map and nothing else.
func (t Token) KeyID() string { return t.kid }

// Algorithm is the `alg`, compared with the key's, never chosen by.
func (t Token) Algorithm() Algorithm { return t.algorithm }

// Type is the normalised `typ`, "" when absent.
func (t Token) Type() string { return t.kind }

// Payload is the decoded payload.
func (t Token) Payload() []byte { return t.payload }

// Raw is the token as it came.
func (t Token) Raw() string { return t.raw }

// Verify checks the signature with k and with k's one algorithm: ErrAlgorithm
// when the header names another, ErrSignature when it does not fit.
func (t Token) Verify(k Key) error {
	if k.IsZero() {
		return ErrUnknownKey
	}
	if t.algorithm != k.algorithm && !(t.algorithm == fullySpecifiedEdDSA && k.algorithm == EdDSA) {
		return fmt.Errorf("%w: got %s, want %s", ErrAlgorithm, clip(string(t.algorithm)), k.algorithm)
	}
	if err := methods[k.algorithm].Verify(t.signed, t.signature, k.verifier()); err != nil {
		return ErrSignature
	}
	return nil
}

// Claims reads the payload as a claims set. Call it after Verify.
func (t Token) Claims() (Claims, error) { return ParseClaims(t.payload) }

var errNotString = errors.New("not a string")

// stringValue reads a JSON string; absent is "".
func stringValue(raw []byte) (string, error) {
	if raw == nil {
		return "", nil
	}
	if raw[0] != '"' {
		return "", errNotString
	}
	return unquote(raw)
}

var errNotList = errors.New("not a list of strings")

// stringList reads a JSON array of strings; absent is nil, empty is not nil.
func stringList(raw []byte) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	var parts []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &parts) != nil {
		return nil, errNotList
	}
	list := make([]string, len(parts))
	for i, part := range parts {
		if len(part) == 0 || part[0] != '"' {
			return nil, errNotList
		}
		var err error
		if list[i], err = unquote(part); err != nil {
			return nil, err
		}
	}
	return list, nil
}
