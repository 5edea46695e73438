package forge

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Source is what a forger knows.
type Source struct {
	// Valid is an access token that the acceptor takes. Required.
	Valid string
	// Keys are the issuer's published keys. Without the key of Valid the
	// tokens that misuse a public key are left out.
	Keys jose.KeySet
	// Document is the key set as it is served, byte for byte; nil where it is not
	// known. It adds the forms that are in nobody's power to write again.
	Document []byte
	// Certificates are X.509 certificates of the keys, each as DER; those in the
	// x5c of Document need not be among them.
	Certificates [][]byte
	// Lab is the issuer's own signer, in tests and dev folders only (C9). Zero:
	// the tokens that are correctly signed but wrong are left out.
	Lab jose.Signer
	// Issuer and Audience are what the acceptor expects.
	Issuer, Audience string
	// Now is the acceptor's clock.
	Now time.Time
	// Own is the forger's key pair, for who publishes it where a token leads;
	// zero: one is drawn. Its algorithm is that of Valid, or any where Valid is
	// signed with a secret.
	Own jose.Signer
	// Callback is an address of the forger's that tokens lead to, without a
	// slash at the end; "" for none. Keys lie at /T23/jwks.json, a certificate at
	// /T24/cert.pem, and the issuer /T30 publishes its metadata as usual.
	Callback string
}

// ForgedSubject is the user in whose name forged tokens are made: an acceptor
// that answers in that name has taken one.
const ForgedSubject = "usr_forged"

// AccessToken is the type of Gatehouse's own access tokens (RFC 9068 §2.1).
const AccessToken = "at+jwt"

// Token is one forged token.
type Token struct {
	ID    string // the row of the catalogue, such as "T01"
	Name  string // kebab case and unique, such as "alg-none"
	Title string // what was done, in a few words
	Want  string // what an acceptor should object to, one sentence
	Raw   string
}

// All forges every token that the source allows, in the order of the catalogue
// by group. Names and texts are unique. Keys of the forger's own are drawn
// anew at each call.
//
// Left out on purpose: the second valid form of an ECDSA signature (T14, s' =
// n−s). It verifies, by the standard, and nothing of ours is keyed by the text
// of a token. The Catalogue says why some rows have no token.
func All(s Source) ([]Token, error) {
	f, err := newForger(s)
	if err != nil {
		return nil, fmt.Errorf("forge: %w", err)
	}
	groups := []func() []Token{
		f.unsigned, f.edited, f.confused, f.guessed, f.steered, f.foreign, f.misshapen,
		f.keyIDs, f.embedded, f.calling, f.encoded, f.polyglots, f.encrypted, f.outsized,
	}
	if !s.Lab.IsZero() {
		groups = append(groups, f.swapped, f.critical, f.repeated, f.signedOddly, f.classes, f.times, f.audiences, f.issuers, f.types)
	}
	var all []Token
	for _, group := range groups {
		all = append(all, group()...)
	}
	if f.err != nil {
		return nil, fmt.Errorf("forge: %w", f.err)
	}
	return distinct(all), nil
}

// distinct keeps the first of tokens with the same text: two forms of a key
// may be the same bytes.
func distinct(all []Token) []Token {
	seen := map[string]bool{}
	var kept []Token
	for _, t := range all {
		if !seen[t.Raw] {
			kept = append(kept, t)
		}
		seen[t.Raw] = true
	}
	return kept
}

// forger is a source, taken apart.
type forger struct {
	Source
	valid     jose.Token
	head      string // the three segments of the valid token
	body      string
	signature string
	claims    map[string]json.RawMessage
	typ       string      // of the valid token, as it was written
	public    jose.Key    // the issuer's key of the valid token, zero if unknown
	own       jose.Signer // a key of the forger's own, of the same algorithm
	err       error       // the first error of a signing
}

func newForger(s Source) (*forger, error) {
	valid, err := jose.Parse(s.Valid)
	if err != nil {
		return nil, fmt.Errorf("the valid token: %w", err)
	}
	f := &forger{Source: s, valid: valid}
	segments := strings.Split(s.Valid, ".")
	f.head, f.body, f.signature = segments[0], segments[1], segments[2]
	if err := json.Unmarshal(valid.Payload(), &f.claims); err != nil {
		return nil, fmt.Errorf("the valid token's claims: %w", err)
	}
	if s.Issuer == "" || s.Audience == "" || s.Now.IsZero() {
		return nil, errors.New("the source names no issuer, audience or time")
	}
	f.public = s.signedBy(valid)
	f.typ = writtenType(f.head)
	if f.own = s.Own; f.own.IsZero() {
		f.own, err = jose.GenerateSigner(OwnAlgorithm(valid))
	}
	return f, err
}

// OwnAlgorithm is the algorithm of the forger's own key: that of the valid
// token, and RS256 where a secret signed it.
func OwnAlgorithm(valid jose.Token) jose.Algorithm {
	if strings.HasPrefix(string(valid.Algorithm()), "HS") {
		return jose.RS256
	}
	return valid.Algorithm()
}

// writtenType is the `typ` of a header as it was written, "" for none.
func writtenType(head string) string {
	var header struct {
		Type string `json:"typ"`
	}
	text, _ := base64.RawURLEncoding.DecodeString(head) // Parse has read it
	_ = json.Unmarshal(text, &header)
	return header.Type
}

// signedBy is the key of a token: by its kid or, where it names none, the one
// whose signature fits.
func (s Source) signedBy(valid jose.Token) jose.Key {
	if key, ok := s.Keys.Key(valid.KeyID()); ok {
		return key
	}
	for _, key := range s.Keys.Keys() {
		if valid.Verify(key) == nil {
			return key
		}
	}
	return jose.Key{}
}

// foreignAlgorithm is the one that the forger's own key signs with.
func (f *forger) foreignAlgorithm() string { return string(f.own.Key().Algorithm()) }

// payload is the claims of the valid token for another user, fresh for ten
// minutes: an acceptor that takes it shows the forged name.
func (f *forger) payload() string {
	return f.changed("sub", quote(ForgedSubject), "exp", f.at(10*time.Minute), "iat", f.at(0))
}

// changed is the claims of the valid token with some values replaced; the
// empty value takes the claim away.
func (f *forger) changed(pairs ...string) string {
	claims := maps.Clone(f.claims)
	for i := 0; i < len(pairs); i += 2 {
		if claims[pairs[i]] = json.RawMessage(pairs[i+1]); pairs[i+1] == "" {
			delete(claims, pairs[i])
		}
	}
	return string(f.marshal(claims))
}

// added is the claims of the valid token with JSON text put before the end:
// what no encoder would write.
func (f *forger) added(text string) string {
	return strings.TrimSuffix(f.changed(), "}") + text + "}"
}

// at is a NumericDate relative to now.
func (f *forger) at(d time.Duration) string { return strconv.FormatInt(f.Now.Add(d).Unix(), 10) }

// header is the protected header of the valid token with another algorithm,
// followed by more members, given as pairs of name and JSON.
func (f *forger) header(algorithm string, more ...string) string {
	members := []string{"alg", quote(algorithm)}
	if f.valid.KeyID() != "" {
		members = append(members, "kid", quote(f.valid.KeyID()))
	}
	return object(append(append(members, "typ", f.kind()), more...)...)
}

// kind is the `typ` of the valid token as JSON: an acceptor that looks at it
// shall have no reason there to refuse a forged one.
func (f *forger) kind() string { return quote(f.labType()) }

func (f *forger) marshal(v any) []byte {
	data, err := json.Marshal(v)
	f.fail(err)
	return data
}

func (f *forger) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// object writes a JSON object from pairs of name and JSON, in their order and
// also when a name repeats.
func object(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		b.WriteString(quote(pairs[i]) + ":" + pairs[i+1])
	}
	return b.String() + "}"
}

func quote(s string) string {
	data, _ := json.Marshal(s) // a string always marshals
	return string(data)
}
