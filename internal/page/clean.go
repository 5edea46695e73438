package page

import (
	"reflect"
	"strings"
	"unicode"
)

// longest is how many characters of a stranger's text a page shows.
const longest = 200

// clean is a copy of a view whose texts are fit to be shown. Names come from
// clients, APIs and people: direction overrides would turn a sentence of ours
// around, control characters and blank runs would break it apart. Fields tagged
// `page:"raw"` are machine values and stay.
func clean[V any](view V) V {
	v := reflect.New(reflect.TypeOf(view)).Elem()
	v.Set(cleaned(reflect.ValueOf(view)))
	return v.Interface().(V)
}

func cleaned(from reflect.Value) reflect.Value {
	to := reflect.New(from.Type()).Elem()
	to.Set(from)
	switch from.Kind() {
	case reflect.String:
		to.SetString(plain(from.String()))
	case reflect.Slice:
		if from.IsNil() {
			return to
		}
		to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			to.Index(i).Set(cleaned(from.Index(i)))
		}
	case reflect.Struct:
		for i := range from.NumField() {
			if field := from.Type().Field(i); field.IsExported() && field.Type != commonType && field.Tag.Get("page") != "raw" {
				to.Field(i).Set(cleaned(from.Field(i)))
			}
		}
	}
	return to
}

var commonType = reflect.TypeFor[Common]()

// plain is one line of text without control and format characters, at most
// longest characters long.
func plain(s string) string {
	if !needsCleaning(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case hidden(r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest]) + "…"
	}
	return s
}

func needsCleaning(s string) bool {
	return len(s) > longest || strings.ContainsFunc(s, func(r rune) bool {
		return hidden(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar
	})
}

// hidden tells of characters that are not seen themselves but change what is:
// control, format (which has the direction overrides), private use.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) && r != '\u200d' && r != '\u200c'
}
