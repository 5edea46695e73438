package feed

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// Sizes of a record: 8 bytes of fingerprint and 4 of the time to drop it, and
// for kinds with an epoch 6 more. Both are whole groups of three bytes, so that
// records begin and end at characters of base64url: 16 or 24 of them.
const (
	recordSize      = 12
	epochRecordSize = 18
	// packedLimit is how many characters of records one message may have, so that
	// the message, signed, is a token of at most jose.MaxTokenBytes.
	packedLimit = 10_080
)

func (k Kind) recordSize() int {
	if k.byEpoch() {
		return epochRecordSize
	}
	return recordSize
}

// pack writes entries by kind.
func pack(entries []Entry) map[string]string {
	raw := map[Kind][]byte{}
	for _, e := range entries {
		b := binary.BigEndian.AppendUint64(raw[e.Kind], e.Print)
		b = binary.BigEndian.AppendUint32(b, e.Drop)
		if e.Kind.byEpoch() {
			var epoch [8]byte
			binary.BigEndian.PutUint64(epoch[:], uint64(e.MinEpoch))
			b = append(b, epoch[2:]...)
		}
		raw[e.Kind] = b
	}
	packed := make(map[string]string, len(raw))
	for kind, b := range raw {
		packed[kind.String()] = base64url.EncodeToString(b)
	}
	return packed
}

// unpack is the inverse. A kind that it does not know is ErrUnknown, beside the
// entries that it does know.
func unpack(packed map[string]json.RawMessage) ([]Entry, error) {
	var entries []Entry
	var unknown error
	for name, text := range packed {
		kind, ok := ParseKind(name)
		if !ok {
			unknown = fmt.Errorf("%w (revocations of the kind %q)", ErrUnknown, clip(name))
			continue
		}
		var records string
		if len(text) < 2 || text[0] != '"' || json.Unmarshal(text, &records) != nil {
			return nil, fmt.Errorf("%w: %s is not a string", ErrMalformed, kind)
		}
		var err error
		if entries, err = kind.unpack(entries, records); err != nil {
			return nil, err
		}
	}
	return entries, unknown
}

func (k Kind) unpack(entries []Entry, records string) ([]Entry, error) {
	raw, err := decode(records)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k, err)
	}
	size := k.recordSize()
	if len(raw)%size != 0 {
		return nil, fmt.Errorf("%w: %s has %d bytes, no multiple of %d", ErrMalformed, k, len(raw), size)
	}
	for ; len(raw) > 0; raw = raw[size:] {
		e := Entry{Kind: k, Print: binary.BigEndian.Uint64(raw), Drop: binary.BigEndian.Uint32(raw[8:])}
		if e.Print == 0 {
			return nil, fmt.Errorf("%w: %s has a fingerprint of 0", ErrMalformed, k)
		}
		if k.byEpoch() {
			var epoch [8]byte
			copy(epoch[2:], raw[12:18])
			e.MinEpoch = int64(binary.BigEndian.Uint64(epoch[:]))
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Split cuts entries into pieces that fit one message each: at least one, which
// may be empty. The pieces share the memory of entries.
func Split(entries []Entry) [][]Entry {
	var pieces [][]Entry
	begin, size := 0, 0
	for i, e := range entries {
		n := e.Kind.recordSize() / 3 * 4
		if size+n > packedLimit {
			pieces = append(pieces, entries[begin:i])
			begin, size = i, 0
		}
		size += n
	}
	return append(pieces, entries[begin:])
}

func clip(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return s
}
