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
	n := 0
	for lines.Scan() {
		n++
		if !utf8.Valid(lines.Bytes()) {
			continue // no password that can be chosen
		}
		if entry := fold(lines.Text()); utf8.RuneCountInString(entry) >= shortestBlocked {
			b.hashes = append(b.hashes, maphash.String(b.seed, entry))
		}
		if len(b.hashes) > maxBlocklist {
			return nil, fmt.Errorf("it has more than %d entries", maxBlocklist)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if len(b.hashes) == 0 {
		return nil, errors.New("it holds no password of 8 characters or more. Write one in each line")
	}
	slices.Sort(b.hashes)
	b.hashes = slices.Clip(slices.Compact(b.hashes))
	return b, nil
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
