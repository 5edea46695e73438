package jose

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds the nesting of JSON, maxMembers the members of one object.
const (
	maxDepth   = 32
	maxMembers = 256
)

// member is one name and the raw text of its value.
type member struct {
	name string
	raw  []byte
}

// parseObject reads exactly one JSON object (RFC 8259) and returns its members.
// It refuses what readers are known to disagree about: a name given twice,
// also in another case or written with escapes (RFC 7515 §4, RFC 7519 §4;
// encoding/json matches names without regard to case), lone surrogates, bytes
// that are not UTF-8, anything before or after the object, deep nesting.
func parseObject(data []byte) ([]member, error) {
	if !utf8.Valid(data) {
		return nil, malformed("JSON is not UTF-8")
	}
	return (&scanner{data: data}).document()
}

// parseOuter is parseObject, but names inside the members may repeat: for a
// document whose parts are read strictly later, one by one.
func parseOuter(data []byte) ([]member, error) {
	if !utf8.Valid(data) {
		return nil, malformed("JSON is not UTF-8")
	}
	return (&scanner{data: data, outer: true}).document()
}

// find returns the raw value of the member of exactly that name, nil if absent.
func find(members []member, name string) []byte {
	for _, m := range members {
		if m.name == name {
			return m.raw
		}
	}
	return nil
}

// scanner walks JSON text once. It finds the borders of values and checks
// them; it does not build them.
type scanner struct {
	data  []byte
	at    int
	outer bool // names are compared in the outermost object only
}

func (s *scanner) document() ([]member, error) {
	members, err := s.object(1)
	if err != nil {
		return nil, err
	}
	s.space()
	if s.at != len(s.data) {
		return nil, malformed("data after the JSON object")
	}
	return members, nil
}

func (s *scanner) space() {
	for s.at < len(s.data) && strings.IndexByte(" \t\r\n", s.data[s.at]) >= 0 {
		s.at++
	}
}

// next skips white space and returns the next byte, 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.at == len(s.data) {
		return 0
	}
	return s.data[s.at]
}

func (s *scanner) take(c byte) error {
	if s.next() != c {
		return malformed("JSON: expected %q at byte %d", c, s.at)
	}
	s.at++
	return nil
}

func (s *scanner) object(depth int) ([]member, error) {
	if err := s.take('{'); err != nil {
		return nil, err
	}
	if s.next() == '}' {
		s.at++
		return nil, nil
	}
	members := make([]member, 0, 8)
	for {
		m, err := s.member(depth)
		if err != nil {
			return nil, err
		}
		if members = append(members, m); len(members) > maxMembers {
			return nil, malformed("JSON: more than %d members", maxMembers)
		}
		if s.next() == '}' {
			s.at++
			break
		}
		if err := s.take(','); err != nil {
			return nil, err
		}
	}
	if s.outer && depth > 1 {
		return members, nil
	}
	return members, distinct(members)
}

// few is up to how many names each is compared with each other; above it that
// would let a sender buy milliseconds of work with one token.
const few = 24

// distinct refuses names that are equal after case folding.
func distinct(members []member) error {
	if len(members) > few {
		return distinctMany(members)
	}
	for i, m := range members {
		for _, earlier := range members[:i] {
			if strings.EqualFold(earlier.name, m.name) {
				return malformed("JSON: name %s is given twice", clip(m.name))
			}
		}
	}
	return nil
}

func distinctMany(members []member) error {
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		folded := strings.Map(foldRune, m.name)
		if seen[folded] {
			return malformed("JSON: name %s is given twice", clip(m.name))
		}
		seen[folded] = true
	}
	return nil
}

// foldRune maps all runes that strings.EqualFold calls equal to one of them.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

func (s *scanner) member(depth int) (member, error) {
	s.space()
	start := s.at
	if err := s.text(); err != nil {
		return member{}, err
	}
	name, err := unquote(s.data[start:s.at])
	if err != nil {
		return member{}, err
	}
	if err := s.take(':'); err != nil {
		return member{}, err
	}
	s.space()
	start = s.at
	if err := s.value(depth); err != nil {
		return member{}, err
	}
	return member{name: name, raw: s.data[start:s.at]}, nil
}

func (s *scanner) value(depth int) error {
	switch c := s.next(); {
	case (c == '{' || c == '[') && depth == maxDepth:
		return malformed("JSON: nested deeper than %d", maxDepth)
	case c == '{':
		_, err := s.object(depth + 1)
		return err
	case c == '[':
		return s.array(depth + 1)
	case c == '"':
		return s.text()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) array(depth int) error {
	s.at++ // the bracket
	if s.next() == ']' {
		s.at++
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		if s.next() == ']' {
			s.at++
			return nil
		}
		if err := s.take(','); err != nil {
			return err
		}
	}
}

func (s *scanner) word(w string) error {
	if string(s.data[s.at:min(len(s.data), s.at+len(w))]) != w {
		return malformed("JSON: bad literal at byte %d", s.at)
	}
	s.at += len(w)
	return nil
}

// number checks the grammar of RFC 8259 §6: no leading zeros, no plus, no NaN.
func (s *scanner) number() error {
	start := s.at
	if s.peek() == '-' {
		s.at++
	}
	switch {
	case s.peek() == '0':
		s.at++
	case s.digits() == 0:
		return malformed("JSON: bad value at byte %d", start)
	}
	if s.peek() == '.' {
		s.at++
		if s.digits() == 0 {
			return malformed("JSON: bad number at byte %d", start)
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if s.digits() == 0 {
			return malformed("JSON: bad number at byte %d", start)
		}
	}
	return nil
}

func (s *scanner) peek() byte {
	if s.at == len(s.data) {
		return 0
	}
	return s.data[s.at]
}

func (s *scanner) digits() int {
	start := s.at
	for s.at < len(s.data) && s.data[s.at] >= '0' && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at - start
}
