package web

import "strings"

// browserName is what a person recognises in a User-Agent header; it is
// decoration and decides nothing.
func browserName(agent string) string {
	name := first(agent, "Firefox/", "Firefox", "Edg/", "Edge", "OPR/", "Opera", "Chrome/", "Chrome", "Safari/", "Safari")
	system := first(agent, "Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "Mac OS X", "macOS", "Linux", "Linux", "CrOS", "ChromeOS")
	switch {
	case name != "" && system != "":
		return name + ", " + system
	case name != "":
		return name
	}
	return system
}

// first returns the word after the first mark that agent holds.
func first(agent string, pairs ...string) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		if strings.Contains(agent, pairs[i]) {
			return pairs[i+1]
		}
	}
	return ""
}
