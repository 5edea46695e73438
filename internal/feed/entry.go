package feed

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Kind says what an entry ends (C15). The zero Kind is none.
type Kind uint8

const (
	Token   Kind = iota + 1 // one access token, by its jti
	Grant                   // all access tokens of a grant, by gid
	Session                 // all access tokens of a session, by sid
	User                    // tokens of a user with a ue below the least epoch
	Client                  // tokens of a client with a ce below the least epoch
	Key                     // all tokens that a key signed, by kid
	All                     // all tokens that keys known so far signed
)

// kinds are the names on the wire, the same as in the issuer's records.
var kinds = [...]string{Token: "jti", Grant: "grant", Session: "sid", User: "user", Client: "client", Key: "key", All: "all"}

// ParseKind reads the name of a kind.
func ParseKind(name string) (Kind, bool) {
	for k, known := range kinds {
		if k > 0 && known == name {
			return Kind(k), true
		}
	}
	return 0, false
}

func (k Kind) String() string {
	if k == 0 || int(k) >= len(kinds) {
		return "none"
	}
	return kinds[k]
}

// byEpoch tells whether entries of the kind carry a least epoch.
func (k Kind) byEpoch() bool { return k == User || k == Client }

// maxEpoch is what 48 bits hold, the room of an epoch on the wire.
const maxEpoch = 1<<48 - 1

// Entry is one revocation as readers see it.
type Entry struct {
	Print    uint64 // the fingerprint of kind and id
	MinEpoch int64  // of a User or Client: tokens below it are revoked
	Drop     uint32 // Unix seconds after which no token can match any more
	Kind     Kind
}

// NewEntry makes the entry of an id. The time to forget it is rounded up.
func NewEntry(salt Salt, kind Kind, id string, minEpoch int64, drop time.Time) Entry {
	e := Entry{Print: salt.Print(kind, id), Kind: kind, Drop: seconds(drop)}
	if kind.byEpoch() {
		e.MinEpoch = min(max(minEpoch, 0), maxEpoch)
	}
	return e
}

// seconds rounds up, so that an entry is never forgotten too early.
func seconds(t time.Time) uint32 {
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return uint32(min(max(s, 0), math.MaxUint32))
}

// Salt makes the fingerprints of one installation differ from those of
// another. It is public. The zero Salt is none.
type Salt [16]byte

// SaltOf derives the salt from the id of the key that signs the feed: the same
// at every node without anything stored, and another one when a restored or
// compromised issuer begins anew with other keys.
func SaltOf(keyID string) Salt {
	digest := sha256.Sum256([]byte("gatehouse feed salt:" + keyID))
	return Salt(digest[:len(Salt{})])
}

var base64url = base64.RawURLEncoding.Strict()

func (s Salt) String() string { return base64url.EncodeToString(s[:]) }

// parseSalt is the inverse of String.
func parseSalt(text string) (Salt, error) {
	decoded, err := decode(text)
	if err != nil || len(decoded) != len(Salt{}) || Salt(decoded) == (Salt{}) {
		return Salt{}, fmt.Errorf("%w: salt", ErrMalformed)
	}
	return Salt(decoded), nil
}

// decode is canonical base64url without padding; the decoder of the standard
// library skips line breaks, which this refuses.
func decode(text string) ([]byte, error) {
	decoded, err := base64url.DecodeString(text)
	if err != nil || base64url.EncodedLen(len(decoded)) != len(text) {
		return nil, fmt.Errorf("%w: not canonical base64url", ErrMalformed)
	}
	return decoded, nil
}

// Print is the fingerprint of an id: the first 8 bytes, big-endian, of SHA-256
// over the salt, the name of the kind, a colon and the id. The ids that
// Gatehouse draws fit one block of SHA-256 with it. It is never 0.
func (s Salt) Print(kind Kind, id string) uint64 {
	var room [128]byte
	text := append(append(append(append(room[:0], s[:]...), kind.String()...), ':'), id...)
	digest := sha256.Sum256(text)
	return max(1, binary.BigEndian.Uint64(digest[:8]))
}
