package forge

// Severity says how bad it is to accept a token of a row.
type Severity string

const (
	Critical Severity = "critical" // anybody can be anybody
	High     Severity = "high"     // some token of somebody opens more than it should
	Medium   Severity = "medium"   // a check is missing that another one may cover
	Low      Severity = "low"      // a lax reading without a known abuse
)

// Row is one kind of forged token, by the number that Gatehouse gives it
// everywhere.
type Row struct {
	ID       string
	Title    string
	Severity Severity
	Fix      string // for who accepts a token of this row, one sentence
	// Without says why no token of this row is made here; "" where some are.
	Without string
}

// Find returns the row of an id.
func Find(id string) (Row, bool) {
	for _, r := range Catalogue {
		if r.ID == id {
			return r, true
		}
	}
	return Row{}, false
}

// Sentences that several rows share.
const (
	fixOneAlgorithm = "Take the algorithm from the key, never from the token, and compare the two."
	fixVerify       = "Verify the signature with the issuer's key before anything in the token is believed."
	fixOwnKeys      = "Use only keys of the issuer's own key set, found by kid among those already fetched from the configured address."
	fixIntake       = "Parse strictly: three segments of canonical base64url, JSON objects without repeated names, nothing behind them."
	fixClaims       = "Require each claim with its type before it is used."
)

// Catalogue is every kind of token that an API can be sent, in order.
var Catalogue = []Row{
	{"T01", "Algorithm none", Critical, fixOneAlgorithm, ""},
	{"T02", "Algorithm none, spelled otherwise", Critical, fixOneAlgorithm, ""},
	{"T03", "Signature taken away", Critical, fixVerify, ""},
	{"T04", "Edited after it was signed", Critical, fixVerify, ""},
	{"T05", "HMAC with the public key as secret", Critical, fixOneAlgorithm, ""},
	{"T06", "HMAC with a recovered public key", Critical, fixOneAlgorithm, "The tokens are those of T05: recovering the key from two signatures only matters where it is not published."},
	{"T07", "Another algorithm for the same key", Medium, fixOneAlgorithm, ""},
	{"T08", "The algorithm's name in other letters", Low, fixOneAlgorithm, ""},
	{"T09", "Another issuer's key", Critical, fixOwnKeys, ""},
	{"T10", "HMAC with a secret that can be guessed", Critical, fixOneAlgorithm, ""},
	{"T11", "HMAC with an empty secret", Critical, fixOneAlgorithm, ""},
	{"T12", "ECDSA signature of zeros", Critical, "Update the cryptographic library: r and s must lie between 1 and n-1.", ""},
	{"T13", "Signature in another form", Medium, "Take signatures of exactly the length that the algorithm has (RFC 7518 §3.4).", ""},
	{"T14", "A second signature of the same token", Low, "Refuse S that is not reduced; never key a cache or a replay list by the text of a token.", ""},
	{"T15", "A weak RSA key or padding", Medium, "Refuse RSA keys below 2048 bits, and PSS salts that are not as long as the hash.", ""},
	{"T16", "A signature cut short", Critical, "Compare whole signatures, in constant time.", ""},
	{"T17", "Expired, with a bad signature", High, "Check the signature first and stop there; treat no error of a library as success.", ""},
	{"T18", "A secret that the token itself names", High, fixOwnKeys, ""},
	{"T20", "kid is a path", Critical, fixOwnKeys, ""},
	{"T21", "kid is a query", Critical, fixOwnKeys, ""},
	{"T22", "kid is a command", Critical, fixOwnKeys, ""},
	{"T23", "jku leads to the forger's keys", Critical, fixOwnKeys, ""},
	{"T24", "x5u leads to the forger's certificate", Critical, fixOwnKeys, ""},
	{"T25", "The key comes in the token (jwk)", Critical, fixOwnKeys, ""},
	{"T26", "The certificate comes in the token (x5c)", Critical, fixOwnKeys, ""},
	{"T27", "A critical header that nobody understands", Medium, "Refuse a token with a crit header that is not understood (RFC 7515 §4.1.11).", ""},
	{"T28", "A payload that is not encoded", High, "Refuse b64 in a JWT (RFC 7797 §7).", ""},
	{"T29", "A name given twice", High, fixIntake, ""},
	{"T30", "Claims that lead to another issuer", High, "Compare the issuer with the configured one before anything is fetched.", ""},
	{"T31", "Base64 that is not canonical", Medium, fixIntake, ""},
	{"T32", "JSON that is not strict", Low, fixIntake, ""},
	{"T33", "JSON serialization instead of the compact one", Critical, fixIntake, ""},
	{"T34", "An encrypted token instead of a signed one", Critical, "Take signed tokens only; encryption to a public key proves nothing about the sender.", ""},
	{"T35", "An unsigned token inside an encrypted one", Critical, "Take signed tokens only; encryption to a public key proves nothing about the sender.", ""},
	{"T36", "Billions of rounds of key derivation", High, "Take signed tokens only, or bound p2c.", ""},
	{"T37", "A compressed payload", High, "Refuse zip in a signed token.", ""},
	{"T38", "Too large, too deep, too many dots", Medium, "Bound the size of a token before it is parsed.", ""},
	{"T39", "Segments missing or empty", Medium, fixIntake, ""},
	{"T40", "Invalid points and padding oracles of encryption", High, "Do not decrypt tokens from strangers.", "These probe how an API decrypts: their tell is timing and error texts over many requests, not one acceptance."},
	{"T50", "No expiry", Medium, "Require exp.", ""},
	{"T51", "Expired", High, "Refuse after exp, with a leeway of a minute at most.", ""},
	{"T52", "Dates of another type", Medium, fixClaims, ""},
	{"T53", "Not valid yet", Low, "Refuse before nbf and iat, with a leeway of a minute at most.", ""},
	{"T54", "For another audience", High, "Require the configured audience, compared as a whole string.", ""},
	{"T55", "In the name of another issuer", High, "Require the configured issuer, compared as a whole string.", ""},
	{"T56", "A token of another kind", High, "Require the type of access tokens, at+jwt (RFC 9068 §4).", ""},
	{"T57", "A client with the id of a user", High, "Draw user ids that no client can have.", "Only the issuer can prevent it: the token is a genuine one."},
	{"T58", "Claims of another type", High, fixClaims, ""},
	{"T59", "A wider scope", High, fixVerify, "It needs one of the rows above to get past the signature."},
	{"T60", "Names that look alike", High, "Compare identifiers byte by byte and never by name.", "The token is a genuine one; what an API does with a name it has to test with its own accounts."},
	{"T61", "The same token twice", Medium, "Spend jti where a token may be used once.", "Access tokens may be used more than once; one-time tokens are spent at the authority, whose own tests replay them."},
	{"T62", "A token from before the logout", High, "Follow the issuer's revocations.", "It takes a real logout in between."},
	{"T63", "Cut off or extended", High, fixVerify, ""},
	{"C9", "Bound to a key that nobody checks", Medium, "Refuse a token with cnf until its proof is checked.", ""},
}
