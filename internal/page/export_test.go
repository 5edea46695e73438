package page

// Review is what is wrong with a page whatever it says.
var Review = review

// TagNames are the elements of a page in order.
func TagNames(body string) []string {
	var names []string
	for _, t := range tags(body) {
		names = append(names, t.name)
	}
	return names
}

// Messages of a language.
func Messages(tag string) (map[string]string, error) {
	l, err := loadLanguage(tag)
	if err != nil {
		return nil, err
	}
	return l.messages, nil
}

// AccentOf gives the light and the dark shade of a setting.
func AccentOf(text string) (light, dark string, err error) {
	a, err := parseAccent(text)
	return a.light.String(), a.dark.String(), err
}

// Contrasts of both shades with the surfaces they are read on.
func Contrasts(text string) (light, dark float64) {
	a, _ := parseAccent(text)
	return worst(a.light, lightSurfaces), worst(a.dark, darkSurfaces)
}

// Contrast of two colours.
func Contrast(a, b string) float64 { return contrast(must(a), must(b)) }
