package inspect

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// MaxInputBytes bounds what is looked at: a token is at most 16 KiB, a recorded
// session around it may be larger.
const MaxInputBytes = 1 << 20

// Found is the token within the text that was given.
type Found struct {
	Source string   `json:"source"`          // what the text was, such as "a curl command"
	Notes  []string `json:"notes,omitempty"` // what was done to get at the token
	Others int      `json:"others"`          // further tokens in the text that were not looked at
	Twice  bool     `json:"-"`               // the text was base64 of a token
	// Repaired says that the token stood otherwise in the text: in pieces, encoded,
	// or with something at its sides.
	Repaired bool   `json:"-"`
	Text     string `json:"-"` // the token; never printed
}

func (f *Found) note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}

// A compact token begins with base64url of "{" and a quote or white space. Parts
// are allowed more than base64url, so that a damaged token is still found whole.
var compactPattern = regexp.MustCompile(`(?:eyJ|eyA|eyI|ew0|ewo|ewk)[A-Za-z0-9_\-+/=]*(?:\.[A-Za-z0-9_\-+/=]*){0,4}(?:~[A-Za-z0-9_\-~.]*)?`)

var pasetoPattern = regexp.MustCompile(`v[1-4]\.(?:local|public)\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*)?`)

// find looks for a token in text of any shape.
func find(input string) Found {
	f := Found{Source: "a token"}
	text := strings.TrimFunc(input, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' || r == '\u200b' })
	text = f.unescape(text)
	if f.fromJSON(text) {
		return f
	}
	bare := f.strip(text)
	if joined, ok := unwrap(bare); ok {
		if joined != bare {
			f.note("the lines were joined: the token was wrapped")
			f.Repaired = true
		}
		bare = joined
	}
	if whole := compactPattern.FindString(bare); whole == bare && whole != "" {
		f.Text = whole
		return f
	}
	// A damaged token is taken whole, so that it can be said where the damage is.
	if compactPattern.MatchString(bare) && strings.HasPrefix(bare, "ey") && strings.Count(bare, ".") >= 2 && !strings.ContainsFunc(bare, unicode.IsSpace) && !strings.ContainsAny(bare, `;,"'`) {
		f.Text = bare
		return f
	}
	if all := compactPattern.FindAllString(bare, -1); f.choose(all) {
		f.name(text)
		f.Repaired = true
		return f
	}
	if p := pasetoPattern.FindString(bare); p != "" {
		f.Text = p
		return f
	}
	if inner, ok := decodeTwice(bare); ok {
		f.Text, f.Twice, f.Repaired = inner, true, true
		f.note("the text was base64 of a token, so it was decoded once")
		return f
	}
	f.Text = bare
	return f
}

// unescape undoes percent-encoding where dots or colons were encoded.
func (f *Found) unescape(text string) string {
	if !strings.Contains(text, "%2E") && !strings.Contains(text, "%2e") && !strings.Contains(text, "%20eyJ") {
		return text
	}
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return text
	}
	f.note("percent-encoding was undone")
	f.Repaired = true
	return decoded
}

// strip takes off what stands around a single token: the header's name, the
// scheme, quotes.
func (f *Found) strip(text string) string {
	for {
		before := text
		text = strings.TrimSpace(text)
		for _, prefix := range []string{"authorization:", "proxy-authorization:", "bearer ", "bearer\t", "dpop ", "token ", "jwt ", "access_token=", "id_token=", "token=", "-h "} {
			if len(text) > len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
				f.note("%q in front of it was left out", strings.TrimSpace(text[:len(prefix)]))
				text = text[len(prefix):]
			}
		}
		if len(text) >= 2 {
			if first, last := text[0], text[len(text)-1]; strings.IndexByte("\"'`<", first) >= 0 && (last == first || first == '<' && last == '>') {
				f.note("quotes around it were left out")
				text = text[1 : len(text)-1]
			}
		}
		text = strings.TrimRight(text, ",;")
		if text == before {
			return text
		}
	}
}

// unwrap joins the lines of a token that was wrapped, if there is nothing else
// in the text.
func unwrap(text string) (string, bool) {
	joined := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == '\\', r == '>', r == '\u200b':
			return -1
		}
		return r
	}, text)
	if joined == "" || compactPattern.FindString(joined) != joined {
		return text, false
	}
	// Tokens that stand side by side are no wrapped one: "eyJ… eyJ…". A payload
	// begins like a token too, so the dots decide.
	beginnings := 0
	for _, field := range strings.Fields(text) {
		if strings.HasPrefix(field, "ey") && strings.Contains(field, ".") {
			beginnings++
		}
	}
	if beginnings > 1 && strings.Count(joined, ".") > 2 && !encrypted(joined) {
		return text, false
	}
	return joined, true
}

// encrypted tells whether the header is that of a JWE, which has five parts.
func encrypted(token string) bool {
	header, _, _ := strings.Cut(token, ".")
	decoded, ok := loose64(header)
	return ok && strings.Contains(string(decoded), `"enc"`)
}

// choose takes the most promising of several candidates: with three parts,
// before what only looks alike.
func (f *Found) choose(all []string) bool {
	seen := map[string]bool{}
	var tokens []string
	for _, one := range all {
		if strings.Contains(one, ".") && !seen[one] {
			seen[one] = true
			tokens = append(tokens, one)
		}
	}
	if len(tokens) == 0 && len(all) == 1 && len(all[0]) > 20 {
		tokens = all
	}
	if len(tokens) == 0 {
		return false
	}
	f.Text, f.Others = tokens[0], len(tokens)-1
	if f.Others > 0 {
		f.note("the text holds %d tokens; this is the first", len(tokens))
	}
	return true
}

// name says what the text was that the token stood in.
func (f *Found) name(text string) {
	lower := strings.ToLower(text)
	switch {
	case strings.HasPrefix(lower, "curl "):
		f.Source = "a curl command"
	case strings.Contains(lower, "set-cookie:"), strings.Contains(lower, "cookie:"):
		f.Source = "a cookie"
	case strings.Contains(lower, "authorization:"):
		f.Source = "a request"
	case strings.Contains(lower, "://"):
		f.Source = "an address"
	case strings.Contains(text, "=") && !strings.ContainsAny(text, "\n{"):
		f.Source = "a cookie"
	default:
		f.Source = "a text"
	}
}

// fromJSON reads a token response, a recorded session (HAR) or a token in JSON
// serialization.
func (f *Found) fromJSON(text string) bool {
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return false
	}
	var document map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &document) == nil {
		if document["payload"] != nil && (document["signature"] != nil || document["signatures"] != nil) || document["kty"] != nil || document["keys"] != nil {
			f.Text = text // a kind of its own, see form
			return true
		}
		for _, name := range []string{"access_token", "id_token", "token", "refresh_token"} {
			var value string
			if json.Unmarshal(document[name], &value) == nil && value != "" {
				f.Text, f.Source = value, "the "+name+" of a JSON document"
				for _, other := range []string{"access_token", "id_token", "token", "refresh_token"} {
					if other != name && document[other] != nil {
						f.Others++
					}
				}
				if f.Others > 0 {
					f.note("the document holds %d more; this is the %s", f.Others, name)
				}
				return true
			}
		}
	}
	f.Source = "a JSON document"
	if f.choose(compactPattern.FindAllString(text, -1)) {
		return true
	}
	f.Text = text
	return true
}

// decodeTwice recognises base64 of a token.
func decodeTwice(text string) (string, bool) {
	decoded, ok := loose64(text)
	if !ok {
		return "", false
	}
	inner := strings.TrimSpace(string(decoded))
	if compactPattern.FindString(inner) == inner && strings.Count(inner, ".") >= 1 {
		return inner, true
	}
	return "", false
}

// loose64 decodes any dialect of base64.
func loose64(text string) ([]byte, bool) {
	text = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_", "\n", "", "\r", "", " ", "").Replace(text), "=")
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	return decoded, err == nil && text != ""
}
