package attack

import "github.com/gatehouse-auth/gatehouse/internal/finding"

// sends says in a sentence what is sent for rows that are no forged tokens of
// one kind.
var sends = map[string]string{
	"T06": "HMAC tokens whose secret is the issuer's public key, computed from two tokens (ES256; RS256 with --recover-key).",
	"T10": "Nothing at first: the valid token's secret is looked for offline. Then tokens signed with guessed secrets.",
	"T22": "A kid that is a command, a template or an address, some of which call the auditor's listener. It sees HTTP: a DNS lookup alone is not seen.",
	"T23": "A jku that leads to the auditor's keys, plain and in disguises. A DNS lookup alone is not seen.",
	"T24": "An x5u that leads to the auditor's certificate, plain and in disguises. A DNS lookup alone is not seen.",
	"T30": "Claims that lead to the auditor's listener as the issuer. A DNS lookup alone is not seen.",
	"T51": "Expired tokens; with --lab also ever younger ones, to find the leeway.",
	"T56": "Genuine tokens of other types, and the ID token that was given.",
	"T62": "The token from before a logout that was given.",
	"T70": "The valid token in the query.",
	"T71": "A bad token and the valid one in one request.",
	"T72": "The valid token after another scheme.",
	"T73": "The headers in which proxies tell an API who calls, set by the client.",
	"T74": "No token, and headers that claim another address or method.",
	"T75": "No token, and a public path in the query.",
	"T76": "No token, and the path in other spellings.",
	"T77": "Two users' tokens in turn.",
	"T78": "No token, and other methods.",
	"T79": "Fifty tokens with kids that do not exist, while the issuer counts.",
	"T80": "Nothing: the issuer's key set is read.",
	"T81": "Three thousand broken signatures, and a clock. Only with --allow-dos.",
	"T82": "Nothing of its own: all answers are looked through.",
	"T83": "Nothing: see P02 to P06.",
	"J01": "Nothing: the valid token is read.", "J02": "Nothing: the valid token is read.",
	"P01": "Nothing: the address is looked at.", "P02": "The valid request with the origin of another site.",
	"P03": "Nothing: cookies that the API sets are read.", "P04": "Nothing: cookies that the API sets are read.", "P05": "Nothing: cookies that the API sets are read.",
	"P06": "The valid cookie with the origin of another site.", "P07": "Nothing: the answer's headers are read.", "P08": "Nothing: the refusals' headers are read.",
}

// Sends says what is sent for a row.
func Sends(id string) string {
	if s, ok := sends[id]; ok {
		return s
	}
	if why, ok := neverSent[id]; ok {
		return "Nothing. " + why
	}
	if f, ok := finding.Find(id); ok && f.ID[0] != 'J' {
		text := "Forged tokens of this kind (see the list of forged tokens)."
		if labRows[id] {
			text = "Tokens that the issuer signed and that are wrong: they need --lab, or a token that was given."
		}
		if costlyRows[id] {
			text += " Only with --allow-dos."
		}
		return text
	}
	return "Nothing: the inspector reads it from the token."
}
