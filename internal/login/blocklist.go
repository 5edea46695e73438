package login

import (
	"bufio"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"slices"
	"unicode/utf8"
)

// Bounds of an operator's blocklist. An entry takes 8 bytes of memory.
const (
	maxBlocklist     = 50_000_000
	maxBlocklistLine = 64 << 10
	blocklistPart    = 1 << 18 // entries
	// shortestBlocked is the shortest entry, without spaces and signs, that is
	// kept: no password of 15 characters is little more than a shorter one.
	shortestBlocked = 8
)

// Blocklist is a set of known passwords that an operator keeps: 64 bits of a
// keyed hash each, sorted. Of 10 million entries, one password in a trillion
// is taken for one of them.
type Blocklist struct {
	seed   maphash.Seed
	hashes []uint64
}

// OpenBlocklist reads a file with one password in each line.
func OpenBlocklist(path string) (*Blocklist, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the password blocklist: %w", err)
	}
	defer f.Close()
	list, err := ReadBlocklist(f)
	if err != nil {
		return nil, fmt.Errorf("read the password blocklist %s: %w", path, err)
	}
	return list, nil
}

// ReadBlocklist reads one password in each line. Case, spaces and the signs
// that people add do not count, here as in a password that is checked.
func ReadBlocklist(r io.Reader) (*Blocklist, error) {
	b := &Blocklist{seed: maphash.MakeSeed()}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxBlocklistLine), maxBlocklistLine)
	// Parts of a fixed size: a slice that grows would be there two or three times.
	var parts [][]uint64
	part, entry, n := make([]uint64, 0, blocklistPart), []byte(nil), 0
	for lines.Scan() {
		n++
		if !utf8.Valid(lines.Bytes()) {
			continue // no password that can be chosen
		}
		if entry = appendFold(entry[:0], lines.Bytes()); utf8.RuneCount(entry) >= shortestBlocked {
			if part = append(part, maphash.Bytes(b.seed, entry)); len(part) == cap(part) {
				parts, part = append(parts, part), make([]uint64, 0, blocklistPart)
			}
		}
		if len(parts)*blocklistPart > maxBlocklist {
			return nil, fmt.Errorf("it has more than %d entries", maxBlocklist)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if b.hashes = slices.Concat(append(parts, part)...); len(b.hashes) == 0 {
		return nil, errors.New("it holds no password of 8 characters or more. Write one in each line")
	}
	slices.Sort(b.hashes)
	b.hashes = slices.Compact(b.hashes)
	return b, nil
}

// appendFold is fold, without the cost of Unicode for the lines that have none.
func appendFold(to, line []byte) []byte {
	for _, c := range line {
		switch {
		case c >= utf8.RuneSelf:
			return append(to[:0], fold(string(line))...)
		case c == ' ' || c == '-' || c == '_' || c == '.':
		case 'A' <= c && c <= 'Z':
			to = append(to, c+'a'-'A')
		default:
			to = append(to, c)
		}
	}
	return to
}

// Len is how many passwords are in the list.
func (b *Blocklist) Len() int {
	if b == nil {
		return 0
	}
	return len(b.hashes)
}

// has takes what fold returns.
func (b *Blocklist) has(folded string) bool {
	if b == nil {
		return false
	}
	_, found := slices.BinarySearch(b.hashes, maphash.String(b.seed, folded))
	return found
}
