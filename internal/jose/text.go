package jose

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text walks a string with its quotes.
func (s *scanner) text() error {
	if err := s.take('"'); err != nil {
		return err
	}
	for s.at < len(s.data) {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return nil
		case c < ' ':
			return malformed("JSON: control character in a string")
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		default:
			s.at++
		}
	}
	return malformed("JSON: string without end")
}

func (s *scanner) escape() error {
	if s.at+1 >= len(s.data) {
		return malformed("JSON: string without end")
	}
	c := s.data[s.at+1]
	if c != 'u' {
		if strings.IndexByte(`"\/bfnrt`, c) < 0 {
			return malformed("JSON: bad escape")
		}
		s.at += 2
		return nil
	}
	unit, err := s.unit()
	if err != nil {
		return err
	}
	if !utf16.IsSurrogate(unit) {
		return nil
	}
	if s.at+1 >= len(s.data) || s.data[s.at] != '\\' || s.data[s.at+1] != 'u' {
		return malformed("JSON: lone surrogate")
	}
	low, err := s.unit()
	if err != nil {
		return err
	}
	if utf16.DecodeRune(unit, low) == utf8.RuneError {
		return malformed("JSON: lone surrogate")
	}
	return nil
}

// unit reads one \uXXXX.
func (s *scanner) unit() (rune, error) {
	if s.at+6 > len(s.data) {
		return 0, malformed("JSON: bad escape")
	}
	var unit rune
	for _, c := range s.data[s.at+2 : s.at+6] {
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 || c < '0' {
			return 0, malformed("JSON: bad escape")
		}
		unit = unit<<4 | rune(digit)
	}
	s.at += 6
	return unit, nil
}

// unquote decodes a string that text has accepted.
func unquote(quoted []byte) (string, error) {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "", malformed("JSON: bad string")
	}
	return s, nil
}
