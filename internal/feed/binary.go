package feed

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// magic begins the binary form of a Set, and names its version.
const magic = "gatehouse-revoked-1\n"

// AppendBinary appends the whole set, with the salt and up to which number it
// is complete, for a disk. The form is this version's own: what cannot be read
// is fetched again.
func (s *Set) AppendBinary(b []byte, position int64) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.state.Load()
	if current == nil {
		return b
	}
	begin := len(b)
	b = append(append(b, magic...), current.salt[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(max(0, position)))
	for _, side := range []*side{&current.members, &current.epochs} {
		b = binary.BigEndian.AppendUint64(b, uint64(side.count.Load()))
		for i := range side.shard {
			side.shard[i].Load().each(func(print, least uint64, drop uint32) {
				b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, print), drop)
				if side.epochs {
					b = binary.BigEndian.AppendUint64(b, least)
				}
			})
		}
	}
	sum := sha256.Sum256(b[begin:])
	return append(b, sum[:]...)
}

// Load reads what AppendBinary wrote into an empty set, and returns up to which
// number it is complete. The set is of no age: it is not current.
func (s *Set) Load(data []byte) (position int64, err error) {
	head := len(magic) + len(Salt{}) + 8
	if len(data) < head+sha256.Size || !bytes.HasPrefix(data, []byte(magic)) {
		return 0, fmt.Errorf("%w: no saved revocations", ErrMalformed)
	}
	content, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if got := sha256.Sum256(content); !bytes.Equal(got[:], sum) {
		return 0, fmt.Errorf("%w: saved revocations are damaged", ErrMalformed)
	}
	salt := Salt(content[len(magic):])
	saved := binary.BigEndian.Uint64(content[head-8:])
	next := newState(salt)
	rest := content[head:]
	for _, side := range []*side{&next.members, &next.epochs} {
		if rest, err = side.load(rest); err != nil {
			return 0, err
		}
	}
	if len(rest) > 0 || saved > maxNumber || salt == (Salt{}) {
		return 0, fmt.Errorf("%w: saved revocations", ErrMalformed)
	}
	s.adopt(next)
	return int64(saved), nil
}

func (s *side) load(data []byte) ([]byte, error) {
	size := 12
	if s.epochs {
		size = 20
	}
	if len(data) < 8 || binary.BigEndian.Uint64(data) > uint64(len(data)-8)/uint64(size) {
		return nil, fmt.Errorf("%w: saved revocations end too early", ErrMalformed)
	}
	n := binary.BigEndian.Uint64(data)
	data = data[8:]
	for range n {
		var least uint64
		if s.epochs {
			least = min(binary.BigEndian.Uint64(data[12:]), maxEpoch)
		}
		print := binary.BigEndian.Uint64(data)
		if print == 0 {
			return nil, fmt.Errorf("%w: saved revocations with a fingerprint of 0", ErrMalformed)
		}
		s.put(print, least, binary.BigEndian.Uint32(data[8:]))
		data = data[size:]
	}
	return data, nil
}
