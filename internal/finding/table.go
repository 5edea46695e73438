package finding

import "slices"

// Sentences that several rows share.
const (
	fixOneAlgorithm = "Take the algorithm from the key, never from the token, and compare the two."
	fixVerify       = "Verify the signature with the issuer's key before anything in the token is believed."
	fixOwnKeys      = "Use only keys of the issuer's own key set, found by kid among those already fetched from the configured address."
	fixIntake       = "Parse strictly: three segments of canonical base64url, JSON objects without repeated names, nothing behind them."
	fixClaims       = "Require each claim with its type before it is used."
	fixSignedOnly   = "Take signed tokens only; encryption to a public key proves nothing about the sender."
	fixProxy        = "Delete the client's own copy of every header that the proxy sets, in all spellings, before the request goes on."

	whyForge  = "Whoever can write JSON can write such a token, with any user and any role in it."
	whyKid    = "kid is read before the signature is checked, so whoever sends the token chooses what the server does with it: the key is then one that the sender knows."
	whyFollow = "The address in the token is the sender's: the server fetches what it says and takes the sender's own key for the issuer's."
	whyDiffer = "Two programs that read one token differently can be played against each other: a proxy or a cache sees one user, the API another."
)

// Table is every finding, in order: attacks, then what a token shows (J), then
// what an API's answers show (P).
var Table = slices.Concat(signatureRows, headerRows, parserRows, claimRows, gateRows, tokenRows, answerRows)

var signatureRows = []Finding{
	{"T01", "Algorithm none", Critical, whyForge, fixOneAlgorithm, "RFC 8725 §3.2, RFC 7518 §3.6", "9.1.2", 347},
	{"T02", "Algorithm none, spelled otherwise", Critical, whyForge + " A list of forbidden names never holds all spellings.", fixOneAlgorithm, "RFC 8725 §3.1", "9.1.2", 347},
	{"T03", "Signature taken away", Critical, whyForge, fixVerify, "RFC 8725 §3.3, RFC 7519 §7.2", "9.1.1", 347},
	{"T04", "Edited after it was signed", Critical, "The signature is not checked at all: anybody can be anybody by changing a word in their own token.", fixVerify, "RFC 8725 §3.3, RFC 7519 §7.2", "9.1.1", 347},
	{"T05", "HMAC with the public key as secret", Critical, "The issuer's public key is known to everybody. A server that takes it as an HMAC secret lets everybody sign.", fixOneAlgorithm, "RFC 8725 §2.1, RFC 8725 §3.1", "9.1.2", 347},
	{"T06", "HMAC with a recovered public key", Critical, "A public RSA key can be computed from two signatures, so keeping it unpublished does not protect against T05.", fixOneAlgorithm, "RFC 8725 §3.1", "9.1.2", 347},
	{"T07", "Another algorithm for the same key", Medium, "A key used with two algorithms is only as strong as the weaker of them, and of both together nothing is proven.", fixOneAlgorithm, "RFC 8725 §3.1", "9.1.2", 347},
	{"T08", "The algorithm's name in other letters", Low, "Names are compared by case; a lax comparison is what lets \"nOnE\" pass a list of forbidden names.", fixOneAlgorithm, "RFC 8725 §3.1, RFC 7515 §4.1.1", "9.1.2", 178},
	{"T09", "Another issuer's key", Critical, "Whoever runs one of the trusted issuers can be any user of the others.", fixOwnKeys, "RFC 8725 §3.8", "9.1.3", 346},
	{"T10", "HMAC with a secret that can be guessed", Critical, "One token is enough to try secrets offline, millions a second. Whoever finds the secret signs any token.", "Use a random secret of at least 32 bytes, or better a key pair, and change the guessed one now.", "RFC 8725 §2.2, RFC 8725 §3.5", "11.2.3", 1391},
	{"T11", "HMAC with an empty secret", Critical, "An unset configuration value is a secret that everybody knows.", "Refuse to start without a secret of at least 32 bytes.", "RFC 7518 §3.2, RFC 8725 §3.5", "11.2.3", 1391},
	{"T12", "ECDSA signature of zeros", Critical, "A library that does not check the range of r and s accepts zeros for every token and key (CVE-2022-21449).", "Update the cryptographic library: r and s must lie between 1 and n-1.", "RFC 8725 §3.4", "11.2.1", 347},
	{"T13", "Signature in another form", Medium, "A second encoding of a signature gives one token two texts, which defeats caches and revocation lists keyed by the text.", "Take signatures of exactly the length that the algorithm has (RFC 7518 §3.4).", "RFC 7518 §3.4", "9.1.1", 347},
	{"T14", "A second signature of the same token", Low, "A replay list or a cache keyed by the text of a token does not recognise the second one.", "Refuse S that is not reduced; never key a cache or a replay list by the text of a token.", "RFC 8032 §8.4", "9.1.1", 347},
	{"T15", "A weak RSA key or padding", Medium, "Keys below 2048 bits can be factored by those who care enough; a lax padding check lets signatures be made without the key.", "Refuse RSA keys below 2048 bits, and PSS salts that are not as long as the hash.", "RFC 7518 §3.3, RFC 7518 §3.5", "11.2.3", 326},
	{"T16", "A signature cut short", Critical, "A comparison that stops where the shorter value ends can be satisfied by trying 256 bytes.", "Compare whole signatures, in constant time.", "RFC 7518 §3.2", "9.1.1", 347},
	{"T17", "Expired, with a bad signature", High, "A library that reports several errors at once hides the bad signature behind the expiry, and code that forgives the one forgives both (CVE-2024-51744).", "Check the signature first and stop there; treat no error of a library as success.", "RFC 7519 §7.2", "9.1.1", 347},
	{"T18", "A secret that the token itself names", High, "The unverified content chooses the key that then verifies it.", fixOwnKeys, "RFC 8725 §3.10", "9.1.3", 347},
}

var headerRows = []Finding{
	{"T20", "kid is a path", Critical, whyKid, fixOwnKeys, "RFC 8725 §3.10", "9.1.3", 22},
	{"T21", "kid is a query", Critical, whyKid, fixOwnKeys, "RFC 8725 §3.10", "1.2.4", 89},
	{"T22", "kid is a command", Critical, whyKid, fixOwnKeys, "RFC 8725 §3.10", "1.2.5", 78},
	{"T23", "jku leads to the forger's keys", Critical, whyFollow, fixOwnKeys, "RFC 8725 §3.10, RFC 7515 §4.1.2", "9.1.3", 918},
	{"T24", "x5u leads to the forger's certificate", Critical, whyFollow, fixOwnKeys, "RFC 8725 §3.10, RFC 7515 §4.1.5", "9.1.3", 918},
	{"T25", "The key comes in the token (jwk)", Critical, "A key that the sender brings proves that the sender signed, and nothing about the issuer (CVE-2018-0114).", fixOwnKeys, "RFC 7515 §4.1.3, RFC 8725 §3.8", "9.1.3", 347},
	{"T26", "The certificate comes in the token (x5c)", Critical, "A certificate that the sender brings proves nothing unless its chain ends at an authority that was configured.", fixOwnKeys, "RFC 7515 §4.1.6, RFC 8725 §3.8", "9.1.3", 295},
	{"T27", "A critical header that nobody understands", Medium, "The issuer said that the token must not be accepted without that extension; ignoring it drops the protection it stands for.", "Refuse a token with a crit header that is not understood (RFC 7515 §4.1.11).", "RFC 7515 §4.1.11", "9.1.1", 358},
	{"T28", "A payload that is not encoded", High, "What is signed and what is read can differ, so the claims are not the ones that the issuer signed.", "Refuse b64 in a JWT (RFC 7797 §7).", "RFC 7797 §7", "9.1.1", 358},
	{"T29", "A name given twice", High, whyDiffer, fixIntake, "RFC 7515 §4, RFC 7519 §4", "1.5.3", 436},
	{"T30", "Claims that lead to another issuer", High, "An issuer read from an unverified token makes the server fetch whatever address the sender likes.", "Compare the issuer with the configured one before anything is fetched.", "RFC 8725 §3.8, RFC 8725 §3.10", "1.3.6", 918},
}

var parserRows = []Finding{
	{"T31", "Base64 that is not canonical", Medium, "One token gets several texts: a cache, a revocation list or a filter that knows one does not know the others.", fixIntake, "RFC 7515 §2", "1.5.3", 436},
	{"T32", "JSON that is not strict", Low, whyDiffer, fixIntake, "RFC 8725 §2.6, RFC 8259", "1.5.3", 436},
	{"T33", "JSON serialization instead of the compact one", Critical, "A library that looks for a token inside such JSON verifies one part and returns another (CVE-2022-39227).", fixIntake, "RFC 7519 §1, RFC 7515 §7.2", "1.5.3", 436},
	{"T34", "An encrypted token instead of a signed one", Critical, "Everybody can encrypt to the issuer's public key: a token that could be decrypted is not therefore genuine.", fixSignedOnly, "RFC 8725 §3.3", "9.1.1", 347},
	{"T35", "An unsigned token inside an encrypted one", Critical, "The outer layer proves nothing and the inner one has no signature (CVE-2026-29000).", fixSignedOnly, "RFC 8725 §3.3", "9.1.1", 347},
	{"T36", "Billions of rounds of key derivation", High, "One small token keeps a processor busy for minutes.", "Take signed tokens only, or bound p2c.", "RFC 7518 §8.1", "11.2.1", 400},
	{"T37", "A compressed payload", High, "A few kilobytes unpack to gigabytes.", "Refuse zip in a signed token.", "RFC 8725 §3.6", "", 409},
	{"T38", "Too large, too deep, too many dots", Medium, "Whoever sends large tokens decides how much memory and time each request takes.", "Bound the size of a token before it is parsed.", "RFC 8725 §3.4", "", 770},
	{"T39", "Segments missing or empty", Medium, "A crash on a strange token ends the service for everybody else.", fixIntake, "RFC 7519 §7.2", "", 248},
	{"T40", "Invalid points and padding oracles of encryption", High, "Differences in errors or timing tell a patient sender the key or the content, byte by byte.", "Do not decrypt tokens from strangers.", "RFC 8725 §3.4", "11.2.5", 203},
}

var claimRows = []Finding{
	{"T50", "No expiry", Medium, "A token that leaks once works for ever.", "Give every token an exp, minutes ahead, and require it.", "RFC 8725 §3.10, RFC 9068 §2.2", "9.2.1", 613},
	{"T51", "Expired", High, "A token found in an old log or on an old disk still opens the door.", "Refuse after exp, with a leeway of a minute at most.", "RFC 7519 §4.1.4", "9.2.1", 613},
	{"T52", "Dates of another type", Medium, "A date that is a string, a list or out of range is compared by luck, and may count as never.", fixClaims, "RFC 7519 §2", "9.2.1", 1287},
	{"T53", "Not valid yet", Low, "A token made ahead of time works before its owner may act.", "Refuse before nbf and iat, with a leeway of a minute at most.", "RFC 7519 §4.1.5", "9.2.1", 613},
	{"T54", "For another audience", High, "A token given to one API can be replayed by that API, or by whoever robs it, at all others.", "Require the configured audience, compared as a whole string.", "RFC 8725 §3.9, RFC 9068 §4", "9.2.3", 863},
	{"T55", "In the name of another issuer", High, "Another issuer's users become yours.", "Require the configured issuer, compared as a whole string.", "RFC 8725 §3.8", "9.1.3", 346},
	{"T56", "A token of another kind", High, "An ID token, a logout token or a client's assertion was signed for another purpose and reaches other people.", "Require the type of access tokens, at+jwt (RFC 9068 §4).", "RFC 8725 §3.11, RFC 8725 §3.12, RFC 9068 §4", "9.2.2", 863},
	{"T57", "A client with the id of a user", High, "A client that registers under a user's id acts as that user.", "Draw user ids that no client can have.", "RFC 9700 §4.15", "", 694},
	{"T58", "Claims of another type", High, "\"false\" is true in many languages, and a number where a name was meant may be anybody's.", fixClaims, "RFC 7519 §4", "", 1287},
	{"T59", "A wider scope", High, "Scopes in a token that nobody signed are wishes.", fixVerify, "RFC 6750 §5.1", "9.1.1", 347},
	{"T60", "Names that look alike", High, "An account whose name is folded onto another one takes that one over.", "Compare identifiers byte by byte and never by name.", "RFC 7519 §7.3", "", 1289},
	{"T61", "The same token twice", Medium, "A one-time token seen once, in a log or on the wire, is used again.", "Spend jti where a token may be used once.", "RFC 7519 §4.1.7", "", 294},
	{"T62", "A token from before the logout", High, "Whoever logged out, was disabled or changed the password is still in until the token expires.", "Follow the issuer's revocations, and keep tokens short.", "RFC 7009 §2", "7.4.1", 613},
	{"T63", "Cut off or extended", High, "A comparison of a part of a token lets the rest be guessed.", fixVerify, "RFC 7515 §5.2", "9.1.1", 187},
}

var gateRows = []Finding{
	{"T70", "Taken from the query", Medium, "Addresses are written to logs, histories and Referer headers, and the token with them.", "Take tokens from the Authorization header only.", "RFC 9700 §4.3.2, RFC 6750 §2.3", "14.2.1", 598},
	{"T71", "Two tokens at once", High, whyDiffer, "Refuse a request with more than one token.", "RFC 6750 §2", "1.5.3", 436},
	{"T72", "The scheme, spelled otherwise", Low, "A filter in front that looks for \"Bearer \" does not see the token that the API takes.", "Take exactly one space after Bearer, in any case of letters, and nothing else.", "RFC 6750 §2.1", "1.5.3", 436},
	{"T73", "The client sets the proxy's headers", Critical, "The API believes a header that only the proxy may set, so anybody can be anybody.", fixProxy, "", "4.1.3", 290},
	{"T74", "The client says which request it is", Critical, "The check looks at an address that the client wrote and lets another one through.", fixProxy, "", "4.1.3", 807},
	{"T75", "A rule that a query or fragment satisfies", Critical, "A pattern meant for public paths matches a private request with the public path somewhere in it.", "Match the whole path, decoded once, and nothing but the path.", "", "4.1.3", 185},
	{"T76", "A path with two readings", Critical, "The check sees one path and the API serves another.", "Refuse paths that are not canonical, and forward exactly what was checked.", "", "1.5.3", 647},
	{"T77", "A cache that mixes callers", Critical, "One caller gets the identity that was remembered for another.", "Key a cache of tokens by a hash of the whole token and everything it was checked against.", "", "", 524},
	{"T78", "Another method or protocol", Medium, "A check bound to GET and POST lets HEAD, an override header or a WebSocket through.", "Check every method; refuse those that are not served.", "", "4.1.4", 650},
	{"T79", "Unknown keys are fetched again and again, or old ones kept", Medium, "Random kids make the API fetch from the issuer at each request; a key that was taken back still verifies.", "Bound how often keys are fetched, and drop those that left the key set.", "RFC 8725 §3.10", "9.1.3", 770},
	{"T80", "Anything in the key set is trusted", High, "A secret or a foreign key in the document becomes a key for signing.", "Take only public signature keys of strength from a key set, and follow no redirect to another host.", "RFC 7517 §9", "9.1.3", 345},
	{"T81", "Time tells how much of a signature fits", Low, "Over many requests the time of the answer gives the right bytes away.", "Compare in constant time.", "RFC 7518 §3.2", "11.2.4", 208},
	{"T82", "Errors that tell too much", Low, "Stack traces and parser messages tell the next attack where to go.", "Answer 401 with one sentence, and keep the cause in the log.", "RFC 6750 §3.1", "16.5.1", 209},
	{"T83", "Other sites can use or read the token", Medium, "A page of another site acts with the user's token, or a script reads it.", "Allow named origins only, and set HttpOnly, Secure and SameSite on a cookie that holds a token.", "", "3.4.2", 942},
	{"C9", "Bound to a key that nobody checks", Medium, "A token with cnf is meant to be useless to a thief; accepted without its proof it is an ordinary bearer token.", "Refuse a token with cnf until its proof is checked.", "RFC 7800 §3, RFC 9449 §7", "10.3.5", 358},
}

var tokenRows = []Finding{
	{"J01", "Lives longer than an hour", Low, "Until it expires whoever has a copy is the user, and a logout does not reach it without revocation.", "Issue access tokens for minutes, and renew them with a refresh token.", "RFC 6750 §5.3", "9.2.1", 613},
	{"J02", "Lives longer than a day", Medium, "A copy in yesterday's log, backup or crash report still works.", "Issue access tokens for minutes, and renew them with a refresh token.", "RFC 6750 §5.3", "9.2.1", 613},
	{"J03", "No audience", Medium, "Nothing says which API it is for, so each API that gets it can use it at the others.", "Name the one API that the token is for in aud.", "RFC 8725 §3.9, RFC 9068 §2.2", "9.2.4", 863},
	{"J04", "Several audiences", Low, "Each of the APIs can replay it at the others.", "Issue one token for each API.", "RFC 9700 §2.3", "9.2.4", 863},
	{"J05", "No issuer", Medium, "Nothing says whose keys must have signed it.", "Name the issuer in iss.", "RFC 8725 §3.8, RFC 9068 §2.2", "9.1.3", 346},
	{"J06", "No subject", Low, "Nothing says whom it is about, so each reader picks another claim.", "Name the user or client in sub.", "RFC 9068 §2.2", "", 287},
	{"J07", "No type, or the general one", Low, "Without a typ of its own an access token can be mistaken for an ID token and the reverse.", "Set typ, at+jwt for access tokens.", "RFC 8725 §3.11, RFC 9068 §2.1", "9.2.2", 863},
	{"J08", "Not what RFC 9068 asks of an access token", Low, "A claim that every access token of the profile has is missing; a strict API refuses it.", "Add the missing claims, or set another typ.", "RFC 9068 §2.2", "9.2.2", 1287},
	{"J09", "No id", Info, "Without jti one token cannot be revoked or told from another in a log.", "Give each token a random jti.", "RFC 7519 §4.1.7, RFC 9068 §2.2", "", 0},
	{"J10", "Signed with a shared secret", Info, "Whoever can verify it can also make it: each API that checks tokens could issue them.", "Sign with a key pair, such as ES256, and publish the public key.", "RFC 8725 §3.2", "9.1.2", 347},
	{"J11", "The key is too weak", High, "The key is below what its algorithm asks; the signature can be forged with enough effort.", "Use RSA of 2048 bits at least, better ECDSA P-256, or a random secret as long as the hash.", "RFC 7518 §3.2, RFC 7518 §3.3, RFC 8725 §3.5", "11.2.3", 326},
	{"J12", "Names no key", Info, "Without kid the verifier must try all keys, and a rotation cannot be followed.", "Set kid, best the RFC 7638 thumbprint.", "RFC 7515 §4.1.4", "", 0},
	{"J13", "Leads to keys by an address (jku)", Medium, "A verifier that follows it takes keys from wherever the sender says: see T23.", "Leave jku out; verifiers know the issuer's key set.", "RFC 8725 §3.10, RFC 7515 §4.1.2", "9.1.3", 918},
	{"J14", "Leads to a certificate by an address (x5u)", Medium, "A verifier that follows it takes keys from wherever the sender says: see T24.", "Leave x5u out; verifiers know the issuer's key set.", "RFC 8725 §3.10, RFC 7515 §4.1.5", "9.1.3", 918},
	{"J15", "A secret in the payload", High, "A payload is encoded, not encrypted: whoever sees the token reads it.", "Take it out, and change the secret: it has been shown to everybody who had the token.", "RFC 8725 §2.4, RFC 7519 §12", "14.2.6", 522},
	{"J16", "Personal data in the payload", Low, "A payload is encoded, not encrypted: logs, proxies and browsers see it, and it goes wherever the token goes.", "Leave it to userinfo or to the API's own records, and carry an id only.", "RFC 9068 §6, RFC 7519 §12", "14.2.6", 359},
	{"J17", "A date in milliseconds", Medium, "Read as seconds, as the RFC says, it lies thousands of years ahead: the token never expires.", "Write NumericDate in seconds.", "RFC 7519 §2", "9.2.1", 1287},
	{"J18", "Dates that contradict each other", Medium, "It expires before it begins, or was issued after it expires: no reader can make sense of it.", "Set iat ≤ nbf < exp by one clock.", "RFC 7519 §4.1", "9.2.1", 1287},
	{"J19", "Issued in the future", Low, "The clocks of issuer and reader differ, or the date was made up.", "Set both clocks by NTP.", "RFC 7519 §4.1.6", "9.2.1", 613},
	{"J20", "Large for a header or a cookie", Low, "Browsers drop a cookie above 4096 bytes, and many servers refuse headers above 8 KiB.", "Carry ids and scopes, and look the rest up.", "RFC 6265 §6.1", "3.3.5", 770},
	{"J21", "A token within the token", Info, "The outer signature says nothing about the inner one: both have to be verified.", "Verify both layers, or carry a reference instead.", "RFC 8725 §3.3", "9.1.1", 347},
	{"J22", "An address that is not confirmed", Low, "email without a true email_verified may be anybody's: accounts must not be linked by it.", "Link accounts by iss and sub, and mark addresses that were confirmed.", "RFC 8725 §3.10", "", 287},
	{"J23", "The issuer's address is plain HTTP", Medium, "Keys fetched over plain HTTP are whatever the network says they are.", "Use an https issuer.", "RFC 8414 §2", "12.2.1", 319},
	{"J24", "Audience with a wildcard", Medium, "A pattern in aud is either taken literally, and fits nothing, or opens more than one API.", "Name the one API that the token is for in aud.", "RFC 8725 §3.9", "9.2.4", 863},
	{"J25", "Far-reaching rights", Info, "The token carries a scope or role that its name calls an administrator's or everybody's.", "Ask for the narrowest scope, and for these rights only when they are used.", "RFC 9700 §2.3", "", 250},
	{"J26", "Bound to a proof that has to be checked", Info, "A copy is useless without the key named in cnf, if the API checks the proof; if it does not, the binding protects nothing.", "Check the DPoP proof or the client certificate at the API.", "RFC 7800 §3, RFC 9449 §7", "10.3.5", 0},
	{"J27", "An algorithm outside the registry", Medium, "No library of repute verifies it, so a verifier that accepts it has code of its own.", "Use ES256, EdDSA, PS256 or RS256.", "RFC 7518 §3.1", "9.1.2", 327},
	{"J28", "Encoded twice", Info, "The text is base64 of a token; a strict reader refuses it.", "Send the token itself.", "RFC 7515 §7.1", "", 0},
	{"J29", "An algorithm that is no longer advised", Low, "It still holds and has been advised against.", "Use ES256, EdDSA, PS256 or RS256.", "RFC 8725 §3.2", "11.6.1", 327},
}

var answerRows = []Finding{
	{"P01", "Tokens travel over plain HTTP", High, "Everybody on the way reads the token and uses it.", "Serve the API over HTTPS only; do not redirect API calls from HTTP.", "RFC 6750 §5.3", "12.2.1", 319},
	{"P02", "Any origin may read answers with credentials", High, "A page of any site reads the API with the user's cookies.", "Answer named origins only, or none with credentials.", "", "3.4.2", 942},
	{"P03", "A cookie with a token is readable by scripts", Medium, "One injected script takes the token away.", "Set HttpOnly.", "RFC 6265 §8.2", "3.3.4", 1004},
	{"P04", "A cookie with a token goes over plain HTTP", Medium, "One plain request, which anybody can provoke, gives the token away.", "Set Secure, and the prefix __Host-.", "RFC 6265 §8.3", "3.3.1", 614},
	{"P05", "A cookie with a token goes along from other sites", Medium, "Another site's form acts with the user's token.", "Set SameSite=Lax or Strict.", "RFC 6265 §8.2", "3.3.2", 1275},
	{"P06", "A cookie is enough, wherever the request comes from", High, "Another site's form acts with the user's token.", "Compare Origin or Sec-Fetch-Site on every request that changes something.", "", "3.5.1", 352},
	{"P07", "An answer with private data may be cached", Low, "A shared cache or the browser's disk keeps what one user saw.", "Send Cache-Control: no-store on answers to a token.", "RFC 6750 §5.3", "14.3.2", 525},
	{"P08", "A refusal without a challenge", Info, "A client cannot tell an expired token from a missing scope.", "Answer 401 with WWW-Authenticate: Bearer.", "RFC 6750 §3", "", 0},
}
