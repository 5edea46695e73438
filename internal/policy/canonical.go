package policy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Reasons of a Rejected.
const (
	BadMethod = "bad_method"
	BadPath   = "bad_path"
	BadQuery  = "bad_query"
)

// Bounds of a request target, in bytes and in segments.
const (
	maxTarget   = 16 << 10
	maxSegments = 128
	maxMethod   = 32
)

// Canonical is a request that has one reading. RawPath and RawQuery are the
// bytes that were received: what is matched is what is forwarded.
type Canonical struct {
	Method   string
	Segments []string // decoded; none for "/"
	RawPath  string   // as received, begins with "/"
	RawQuery string   // as received, without "?"
	HasQuery bool     // there was a "?", perhaps with nothing behind it
	Slash    bool     // the path ends in "/", and is not "/" itself
}

// Target is the request target as it was received.
func (c Canonical) Target() string {
	if c.HasQuery {
		return c.RawPath + "?" + c.RawQuery
	}
	return c.RawPath
}

// Rejected is why a request is refused with 400 before any rule is looked at.
type Rejected struct {
	Reason string // bad_method, bad_path or bad_query
	Detail string // what is wrong and where; has no bytes of the request but one
}

func (r *Rejected) Error() string { return r.Reason + ": " + r.Detail }

func reject(reason, format string, args ...any) error {
	return &Rejected{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Canonicalize takes the method and the request target as they were received
// (RFC 9112 §3.2) and refuses whatever two servers could read differently. It
// never repairs. The error is a *Rejected (C35).
func Canonicalize(method, target string) (Canonical, error) {
	if err := checkMethod(method); err != nil {
		return Canonical{}, err
	}
	if len(target) > maxTarget {
		return Canonical{}, reject(BadPath, "the target is longer than %d bytes", maxTarget)
	}
	if target == "" || target[0] != '/' {
		return Canonical{}, reject(BadPath, "the target does not begin with /")
	}
	if at := strings.IndexByte(target, '#'); at >= 0 {
		return Canonical{}, reject(BadPath, "a fragment at byte %d", at)
	}
	c := Canonical{Method: method}
	c.RawPath, c.RawQuery, c.HasQuery = strings.Cut(target, "?")
	if err := c.split(); err != nil {
		return Canonical{}, err
	}
	if err := checkQuery(c.RawQuery); err != nil {
		return Canonical{}, err
	}
	return c, nil
}

// Methods are case-sensitive (RFC 9110 §9.1), and not all servers know it. TRACE
// would send the token back; CONNECT has no path.
func checkMethod(method string) error {
	if method == "" || len(method) > maxMethod {
		return reject(BadMethod, "a method has 1 to %d letters", maxMethod)
	}
	for i := range len(method) {
		if (method[i] < 'A' || method[i] > 'Z') && (method[i] != '-' || i == 0) {
			return reject(BadMethod, "byte %d of the method is not a capital letter", i)
		}
	}
	if method == "TRACE" || method == "CONNECT" {
		return reject(BadMethod, "%s is never let through", method)
	}
	return nil
}

func (c *Canonical) split() error {
	rest := c.RawPath[1:]
	if rest == "" {
		return nil
	}
	if inner, ok := strings.CutSuffix(rest, "/"); ok {
		rest, c.Slash = inner, true
	}
	n := strings.Count(rest, "/") + 1
	if n > maxSegments {
		return reject(BadPath, "more than %d segments", maxSegments)
	}
	c.Segments = make([]string, 0, n)
	at := 1
	for raw := range strings.SplitSeq(rest, "/") {
		segment, err := readSegment(raw, at)
		if err != nil {
			return err
		}
		c.Segments = append(c.Segments, segment)
		at += len(raw) + 1
	}
	return nil
}

// readSegment decodes one segment that begins at a byte of the target.
func readSegment(raw string, at int) (string, error) {
	if raw == "" {
		return "", reject(BadPath, "an empty segment at byte %d", at)
	}
	encoded := 0
	for i := 0; i < len(raw); i++ {
		b := raw[i]
		switch {
		case b == '%':
			decoded, ok := unhex(raw[i:])
			if !ok {
				return "", reject(BadPath, "%% without two hex digits at byte %d", at+i)
			}
			if strings.IndexByte(`/\.%;?#`, decoded) >= 0 {
				return "", reject(BadPath, "an encoded %q at byte %d", decoded, at+i)
			}
			encoded++
			i += 2
		case !isPathByte(b):
			return "", reject(BadPath, "a raw %q at byte %d", b, at+i)
		}
	}
	segment := raw
	if encoded > 0 {
		segment = decode(raw, len(raw)-2*encoded)
	}
	return segment, checkSegment(segment, encoded > 0, at)
}

// checkSegment refuses what is a segment only for some: dot segments, path
// parameters of one (Tomcat), names that Windows shortens, and characters that
// become a separator when a server normalises them.
func checkSegment(segment string, encoded bool, at int) error {
	last := segment[len(segment)-1]
	if last == '.' || last == ' ' {
		return reject(BadPath, "a segment that ends in %q at byte %d", last, at)
	}
	if segment[0] == '.' && strings.IndexByte(segment, ';') >= 0 {
		return reject(BadPath, "a ; in a segment that begins with a dot at byte %d", at)
	}
	if !encoded {
		return nil
	}
	if !utf8.ValidString(segment) {
		return reject(BadPath, "a segment that is not UTF-8 at byte %d", at)
	}
	for _, r := range segment {
		if unicode.IsControl(r) || strings.ContainsRune(lookalikes, r) {
			return reject(BadPath, "the character %U at byte %d", r, at)
		}
	}
	return nil
}

// lookalikes become . .. / \ % or ; under NFKC, or as the best fit of a code page.
const lookalikes = "\u037e\u2024\u2025\u2044\u2215\u2216\ufe52\ufe54\ufe68\ufe6a\uff05\uff0e\uff0f\uff1b\uff3c"

// isPathByte: unreserved, sub-delims, ":" and "@" (RFC 3986 §3.3).
func isPathByte(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		return true
	}
	return strings.IndexByte("-._~!$&'()*+,;=:@", b) >= 0
}

func unhex(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	high, ok1 := hexDigit(s[1])
	low, ok2 := hexDigit(s[2])
	return high<<4 | low, ok1 && ok2
}

func hexDigit(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}

// decode undoes the %XX of a text in which each is well-formed.
func decode(raw string, size int) string {
	out := make([]byte, 0, size)
	for i := 0; i < len(raw); i++ {
		if b, ok := unhex(raw[i:]); raw[i] == '%' && ok {
			out = append(out, b)
			i += 2
			continue
		}
		out = append(out, raw[i])
	}
	return string(out)
}

// checkQuery refuses what servers cut or re-encode. Browsers leave []{}|\^` raw
// in a query, so these pass.
func checkQuery(raw string) error {
	for i := 0; i < len(raw); i++ {
		b := raw[i]
		if b == '%' {
			decoded, ok := unhex(raw[i:])
			if !ok {
				return reject(BadQuery, "%% without two hex digits at byte %d of the query", i)
			}
			if decoded == 0 {
				return reject(BadQuery, "an encoded NUL at byte %d of the query", i)
			}
			i += 2
			continue
		}
		if b <= ' ' || b >= 0x7f || b == '"' || b == '<' || b == '>' {
			return reject(BadQuery, "a raw %q at byte %d of the query", b, i)
		}
	}
	return nil
}

// Query is the value of a parameter that occurs exactly once. Whatever a server
// could take for the same parameter counts: another case, "name[]" and
// "name[0]", a dot for an underscore, spaces around it. A query with a raw ";"
// has two readings, and so has a value with a raw "+" or bytes that are not
// UTF-8: none of its values counts (C35).
func (c Canonical) Query(name string) (string, bool) {
	if strings.IndexByte(c.RawQuery, ';') >= 0 {
		return "", false
	}
	value, found, want := "", 0, squash(name)
	for pair := range strings.SplitSeq(c.RawQuery, "&") {
		rawKey, rawValue, _ := strings.Cut(pair, "=")
		key := decode(strings.ReplaceAll(rawKey, "+", " "), len(rawKey))
		if squash(key) != want {
			continue
		}
		found++
		if key == name && strings.IndexByte(rawValue, '+') < 0 {
			value = decode(rawValue, len(rawValue))
			continue
		}
		found++ // it may be the parameter, and it may not
	}
	return value, found == 1 && utf8.ValidString(value)
}

// squash is the loosest reading of a parameter's name that we know of.
func squash(name string) string {
	name = strings.TrimSpace(name)
	if at := strings.IndexByte(name, '['); at > 0 {
		name = name[:at]
	}
	return fold(strings.NewReplacer(".", "_", " ", "_").Replace(name))
}

// fold makes texts equal that differ in case only.
func fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.ToLower(strings.ToUpper(s))
		}
	}
	return strings.ToLower(s)
}
