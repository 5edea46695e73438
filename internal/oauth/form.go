package oauth

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a request form. A parameter that is longer than any honest one is
// refused before anything looks at it.
const (
	MaxFormBytes      = 64 << 10
	MaxQueryBytes     = 12 << 10 // of the authorization endpoint: more than any honest request
	maxParameters     = 64
	maxParameterBytes = 32 << 10
)

// Form is a request body in which every parameter occurs at most once.
type Form struct{ values map[string]string }

// ParseForm reads an application/x-www-form-urlencoded body. A parameter given
// twice, which two servers could read differently, is refused (RFC 6749 §3.2),
// and so are broken escapes, bytes that are not UTF-8 and control characters.
// Parameters without a value count as absent (RFC 6749 §3.2).
func ParseForm(body string) (Form, error) {
	if len(body) > MaxFormBytes {
		return Form{}, InvalidRequest("The request body is larger than %d bytes.", MaxFormBytes)
	}
	form := Form{values: map[string]string{}}
	if body == "" {
		return form, nil
	}
	pairs := strings.Split(body, "&")
	if len(pairs) > maxParameters {
		return Form{}, InvalidRequest("The request has more than %d parameters.", maxParameters)
	}
	for _, pair := range pairs {
		if err := form.add(pair); err != nil {
			return Form{}, err
		}
	}
	for name, value := range form.values {
		if value == "" {
			delete(form.values, name)
		}
	}
	return form, nil
}

// ParseQuery reads the parameters of the authorization endpoint, where a fault
// is no reason to forget the rest: with a good client_id and redirect_uri the
// client is told. The form lacks every parameter that is at fault.
func ParseQuery(raw string) (Form, *Error) {
	form := Form{values: map[string]string{}}
	if len(raw) > MaxQueryBytes {
		return form, InvalidRequest("The request has more than %d bytes.", MaxQueryBytes)
	}
	if raw == "" {
		return form, nil
	}
	pairs := strings.Split(raw, "&")
	if len(pairs) > maxParameters {
		return form, InvalidRequest("The request has more than %d parameters.", maxParameters)
	}
	var fault *Error
	bad := map[string]bool{}
	for _, pair := range pairs {
		if err := form.add(pair); err != nil {
			fault = err.(*Error)
			rawName, _, _ := strings.Cut(pair, "=")
			if name, err := url.QueryUnescape(rawName); err == nil {
				bad[name] = true
			}
		}
	}
	for name, value := range form.values {
		if value == "" || bad[name] {
			delete(form.values, name)
		}
	}
	return form, fault
}

func (f Form) add(pair string) error {
	rawName, rawValue, _ := strings.Cut(pair, "=")
	name, err1 := url.QueryUnescape(rawName)
	value, err2 := url.QueryUnescape(rawValue)
	if err1 != nil || err2 != nil || strings.Contains(pair, ";") {
		return InvalidRequest("The request body is not a well-formed form.")
	}
	if len(value) > maxParameterBytes || !utf8.ValidString(name+value) {
		return InvalidRequest("A parameter of the request is too long or not UTF-8.")
	}
	if strings.ContainsFunc(name+value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) && name != "password" {
		return InvalidRequest("A parameter of the request holds control characters.")
	}
	if _, twice := f.values[name]; twice {
		return InvalidRequest("A parameter of the request is given more than once.")
	}
	f.values[name] = value
	return nil
}

// Get returns a parameter, or "" when it is absent or empty.
func (f Form) Get(name string) string { return f.values[name] }

// Require returns a parameter, or invalid_request when it is absent.
func (f Form) Require(name string) (string, error) {
	if v := f.values[name]; v != "" {
		return v, nil
	}
	return "", InvalidRequest("The parameter %q is missing.", name)
}

// Encode writes the parameters back, sorted, without those named.
func (f Form) Encode(without ...string) string {
	values := url.Values{}
	for name, value := range f.values {
		if !slices.Contains(without, name) {
			values.Set(name, value)
		}
	}
	return values.Encode()
}

// With returns a copy of f in which a parameter has another value.
func (f Form) With(name, value string) Form {
	values := maps.Clone(f.values)
	values[name] = value
	return Form{values: values}
}

// Has tells whether any of the parameters is present.
func (f Form) Has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return f.values[name] != "" })
}
