package inspect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Break is the place where a token cannot be read on.
type Break struct {
	Segment string `json:"segment"` // header, payload or signature
	Offset  int    `json:"offset"`  // characters from the start of the token
	Reason  string `json:"reason"`
	// Line is the token up to that place, shortened; Caret is the column of the
	// place in it, from 0.
	Line  string `json:"line"`
	Caret int    `json:"caret"`
}

// member is one name and value of a JSON object.
type member struct {
	name string
	raw  json.RawMessage
}

// part is a segment as far as it can be read.
type part struct {
	name    string
	text    string // as given
	start   int    // in the token
	bytes   []byte
	members []member
	loose   []string // what a strict reader refuses, in words
	twice   []string // names that occur more than once
	fault   string   // why it cannot be read on, "" it can
	at      int      // where in text
}

var strict64 = base64.RawURLEncoding.Strict()

// decode reads the base64 of a segment: all of it, or what stands before the
// first character that cannot be meant.
func (p *part) decode() {
	text := p.text
	if strings.ContainsAny(text, "+/") {
		p.loose = append(p.loose, "it uses the alphabet of plain base64 (+ and /)")
		text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	}
	if trimmed := strings.TrimRight(text, "="); trimmed != text {
		p.loose = append(p.loose, "it is padded with =")
		text = trimmed
	}
	for i := range len(text) {
		c := text[i]
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			broken, _ := utf8.DecodeRuneInString(text[i:])
			p.fault, p.at = fmt.Sprintf("the character %q is not base64url", broken), i
			text = text[:i]
			break
		}
	}
	if len(text)%4 == 1 {
		if p.fault == "" {
			p.fault, p.at = "its last character stands alone: characters are missing", len(text)
		}
		text = text[:len(text)-1]
	}
	decoded, err := strict64.DecodeString(text)
	if err != nil {
		decoded, _ = base64.RawURLEncoding.DecodeString(text)
		if p.fault == "" {
			p.loose = append(p.loose, "its last character has bits that mean nothing (not canonical base64url)")
		}
	}
	p.bytes = decoded
}

// read reads the bytes as one JSON object, as far as it goes.
func (p *part) read() {
	if len(p.bytes) == 0 {
		if p.fault == "" {
			p.fault, p.at = "it is empty", 0
		}
		return
	}
	data := p.bytes
	if trimmed := bytes.TrimPrefix(data, []byte("\ufeff")); len(trimmed) != len(data) {
		p.loose = append(p.loose, "the JSON begins with a byte order mark")
		data = trimmed
	}
	if !utf8.Valid(data) {
		p.loose = append(p.loose, "the JSON is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	last, err := p.object(d)
	if err == nil {
		if len(bytes.TrimSpace(data[d.InputOffset():])) > 0 {
			p.loose = append(p.loose, "something follows the JSON object")
		}
		return
	}
	if p.fault != "" {
		p.dropCut(data)
		return // the base64 ends before the JSON does
	}
	if isCut(err) {
		p.fault, p.at = "the JSON ends too early", len(p.text)
		p.dropCut(data)
	} else {
		p.fault, p.at = "it is not JSON", min(int(d.InputOffset())*4/3, len(p.text))
	}
	if last != "" {
		p.fault += fmt.Sprintf(", at %q", clip(last))
	}
}

// dropCut forgets a number at which the text ends: it may have had more digits.
func (p *part) dropCut(data []byte) {
	if n := len(p.members); n > 0 && bytes.HasSuffix(data, p.members[n-1].raw) && strings.IndexByte("-0123456789", p.members[n-1].raw[0]) >= 0 {
		p.members = p.members[:n-1]
	}
}

func isCut(err error) bool {
	return err == io.EOF || err == io.ErrUnexpectedEOF || strings.Contains(err.Error(), "unexpected end")
}

// object reads the members; last is the name that was being read when it broke.
func (p *part) object(d *json.Decoder) (last string, err error) {
	open, err := d.Token()
	if err != nil {
		return "", err
	}
	if open != json.Delim('{') {
		return "", fmt.Errorf("not an object")
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return last, err
		}
		last, _ = name.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return last, err
		}
		if seen[strings.ToLower(last)] {
			p.twice = append(p.twice, last)
		}
		seen[strings.ToLower(last)] = true
		p.members = append(p.members, member{last, raw})
	}
	_, err = d.Token()
	return last, err
}

// raw is the value of a name, the last one as most readers take it; nil: absent.
func (p part) raw(name string) json.RawMessage {
	for i := len(p.members) - 1; i >= 0; i-- {
		if p.members[i].name == name {
			return p.members[i].raw
		}
	}
	return nil
}

func (p part) has(name string) bool { return p.raw(name) != nil }

// str is a claim that is a string, else "".
func (p part) str(name string) string {
	var s string
	if json.Unmarshal(p.raw(name), &s) != nil {
		return ""
	}
	return s
}

// list is a claim that is a list of strings, one string, or words with spaces
// between.
func (p part) list(name string) []string {
	var all []string
	if json.Unmarshal(p.raw(name), &all) == nil {
		return all
	}
	return strings.Fields(p.str(name))
}

// broken describes where the segment cannot be read on.
func (p part) broken(token string) *Break {
	if p.fault == "" {
		return nil
	}
	b := &Break{Segment: p.name, Offset: p.start + p.at, Reason: p.fault}
	// What is shown are the first letters of each segment, which every token has
	// alike, and the one character at the break.
	var line strings.Builder
	rest := token[:p.start]
	for _, before := range strings.SplitAfter(rest, ".") {
		line.WriteString(shorten(strings.TrimSuffix(before, ".")))
		if strings.HasSuffix(before, ".") {
			line.WriteByte('.')
		}
	}
	line.WriteString(shorten(p.text[:p.at]))
	b.Caret = utf8.RuneCountInString(line.String())
	if p.at < len(p.text) {
		broken, _ := utf8.DecodeRuneInString(p.text[p.at:])
		line.WriteString(printable(string(broken)) + "…")
	}
	b.Line = line.String()
	return b
}

func shorten(s string) string {
	if len(s) > 8 {
		return s[:8] + "…"
	}
	return s
}

// clip shortens a stranger's text for a sentence.
func clip(s string) string {
	s = printable(s)
	if runes := []rune(s); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return s
}
