package feed

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// TokenType is the `typ` of a message: a security event token (RFC 8417).
const TokenType = "secevent+jwt"

// Type is what a message is: also the name of its server-sent event.
type Type string

const (
	Snapshot  Type = "snapshot"  // everything after a sequence number, in parts
	Delta     Type = "delta"     // what is new
	Heartbeat Type = "heartbeat" // nothing is new
)

// eventBase begins the URI of an event in the `events` claim (RFC 8417 §2.2).
const eventBase = "https://github.com/gatehouse-auth/gatehouse/revocation/"

// Bounds of a message.
const (
	maxParts  = 1 << 14 // about ten million entries
	maxStream = 64
	maxNumber = 1<<53 - 1 // what every JSON reader holds
)

// Message is one message of the feed.
type Message struct {
	Type Type
	// Stream and N number the messages of one run of one node without gaps: a
	// delta is one more than the message before it, a heartbeat the same. What was
	// lost, repeated or put in another order on the way is noticed by it.
	Stream string
	N      int64
	// At is when the issuer last read its database: it knows all that was committed before.
	At time.Time
	// Seq is a number in the order of the database up to which all is known for
	// good. At every node a reader may resume after it.
	Seq  int64
	Salt Salt
	// Part of Parts, from 1, and the number after which they begin (0: they are
	// all there is). Of a snapshot.
	Part, Parts int
	From        int64
	Entries     []Entry // of a snapshot or delta
}

// body is a message as an event of a security event token. Pointers tell what
// is absent.
type body struct {
	Stream  string                     `json:"stream"`
	N       *int64                     `json:"n"`
	At      *int64                     `json:"at"` // Unix milliseconds
	Seq     *int64                     `json:"seq"`
	Salt    string                     `json:"salt"`
	Part    int64                      `json:"part,omitempty"`
	Parts   int64                      `json:"parts,omitempty"`
	From    *int64                     `json:"from,omitempty"`
	Revoked map[string]json.RawMessage `json:"revoked,omitzero"`
}

// Sign makes the security event token of a message. Entries that do not fit one
// message are an error: see Split.
func (m Message) Sign(signer jose.Signer, issuer string) (string, error) {
	at := m.At.UnixMilli()
	b := body{Stream: m.Stream, N: &m.N, At: &at, Seq: &m.Seq, Salt: m.Salt.String()}
	id := m.Stream + "." + strconv.FormatInt(m.N, 10)
	switch m.Type {
	case Snapshot:
		b.Part, b.Parts, b.From = int64(m.Part), int64(m.Parts), &m.From
		id += fmt.Sprintf(".%d.%d.%d", m.From, at, m.Part)
	case Heartbeat:
		id += fmt.Sprintf(".%d", at)
	}
	if m.Type != Heartbeat {
		b.Revoked = map[string]json.RawMessage{}
		for kind, records := range pack(m.Entries) {
			b.Revoked[kind] = json.RawMessage(`"` + records + `"`) // base64url needs no escapes
		}
	}
	raw, err := signer.Sign(TokenType, map[string]any{"iss": issuer, "iat": m.At.Unix(), "jti": id,
		"events": map[string]body{eventBase + string(m.Type): b}})
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", m.Type, err)
	}
	if len(raw) > jose.MaxTokenBytes {
		return "", fmt.Errorf("sign %s: %d entries are %d bytes, at most %d: split them", m.Type, len(m.Entries), len(raw), jose.MaxTokenBytes)
	}
	return raw, nil
}

// Open verifies a message and reads it. ErrForeign when it is none of this
// issuer's feed, ErrUnknownKey when its key is not in keys; ErrResync when it
// is, and cannot be used. With ErrUnknown the message is returned with the
// entries that are understood.
func Open(raw string, keys jose.KeySet, issuer string) (Message, error) {
	t, err := jose.Parse(raw)
	if err != nil {
		return Message{}, foreign(err.Error())
	}
	if t.Type() != TokenType {
		return Message{}, foreign("its typ is " + strconv.Quote(clip(t.Type())))
	}
	key, ok := keys.Key(t.KeyID())
	if !ok {
		return Message{}, ErrUnknownKey
	}
	if err := t.Verify(key); err != nil {
		return Message{}, foreign(err.Error())
	}
	claims, err := t.Claims()
	if err != nil {
		return Message{}, foreign(err.Error())
	}
	if claims.Issuer != issuer {
		return Message{}, foreign("its issuer is " + strconv.Quote(clip(claims.Issuer)))
	}
	return read(claims)
}

// read takes what the issuer signed.
func read(claims jose.Claims) (Message, error) {
	var envelope struct {
		Events map[string]json.RawMessage `json:"events"`
	}
	if err := claims.Decode(&envelope); err != nil || len(envelope.Events) != 1 {
		return Message{}, foreign("it is not one event")
	}
	for uri, raw := range envelope.Events {
		name, ours := strings.CutPrefix(uri, eventBase)
		if !ours {
			return Message{}, foreign("its event is " + strconv.Quote(clip(uri)))
		}
		if t := Type(name); t == Snapshot || t == Delta || t == Heartbeat {
			return readBody(t, raw)
		}
		return Message{}, fmt.Errorf("%w (the event %q)", ErrUnknown, clip(name))
	}
	return Message{}, nil // not reached: there is one event
}

func readBody(t Type, raw []byte) (Message, error) {
	object, err := jose.ParseClaims(raw)
	if err != nil {
		return Message{}, bad(t, "not an object")
	}
	var b body
	if err := object.Decode(&b); err != nil {
		return Message{}, bad(t, "members of wrong types")
	}
	if !whole(b.N) || !whole(b.At) || !whole(b.Seq) || !streamName(b.Stream) {
		return Message{}, bad(t, "stream, n, at or seq is missing or out of bounds")
	}
	m := Message{Type: t, Stream: b.Stream, N: *b.N, At: time.UnixMilli(*b.At), Seq: *b.Seq}
	if m.Salt, err = parseSalt(b.Salt); err != nil {
		return Message{}, bad(t, "salt")
	}
	if t == Heartbeat {
		return m, nil
	}
	if t == Snapshot {
		if !whole(b.From) || b.Parts < 1 || b.Parts > maxParts || b.Part < 1 || b.Part > b.Parts {
			return Message{}, bad(t, "part, parts or from is missing or out of bounds")
		}
		m.Part, m.Parts, m.From = int(b.Part), int(b.Parts), *b.From
	}
	if b.Revoked == nil {
		return Message{}, bad(t, "revoked is missing")
	}
	m.Entries, err = unpack(b.Revoked)
	if err != nil && !isUnknown(err) {
		return Message{}, fmt.Errorf("%w: %s: %w", ErrResync, t, err)
	}
	return m, err
}

func bad(t Type, what string) error {
	return fmt.Errorf("%w: %s: %w: %s", ErrResync, t, ErrMalformed, what)
}

func whole(n *int64) bool { return n != nil && *n >= 0 && *n <= maxNumber }

// streamName: what may stand in a log.
func streamName(s string) bool {
	if s == "" || len(s) > maxStream {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
}
