package page

import "net/http"

// Inspect reads a token: a form, and, once there was one, what is to say about
// it. It posts flow, token, key and reveal to /inspect. The token and the key are
// never part of the view, so that no page holds them. What is said about a token
// comes in English and is translated sentence by sentence (Phrase).
type Inspect struct {
	Common
	Flow   string `page:"raw"`
	Fault  InspectFault
	Detail string // of a key that could not be read
	Report InspectReport
}

// InspectFault is a message key: why there is no report.
type InspectFault string

const (
	InspectEmpty   InspectFault = "inspect.empty"
	InspectTooLong InspectFault = "inspect.too-long"
	InspectBadKey  InspectFault = "inspect.bad-key"
)

// InspectReport is what is to say about a token. Without a Verdict there is
// none.
type InspectReport struct {
	Verdict  string // verified, not_checked, invalid
	Reasons  []InspectReason
	Not      string // what was not compared
	Kind     string
	Advice   string
	Notes    []string
	Break    string `page:"raw"` // the line that shows where it breaks, with a caret below
	Life     string
	Header   []InspectClaim
	Claims   []InspectClaim
	Findings []InspectFinding
	Masked   bool
}

// InspectReason is a sentence about the verdict; one with a Key has a message
// of the page's own, because the engine's names options of the command line.
type InspectReason struct {
	Key  string // InspectNoKey, InspectOtherIssuer, or ""
	Text string
}

// Reasons that have a message.
const (
	InspectNoKey       = "inspect.no-key"
	InspectOtherIssuer = "inspect.other-issuer"
)

// InspectClaim is a name, its value and what it means.
type InspectClaim struct{ Name, Value, Meaning string }

// InspectFinding is a finding, by the auditor's ids.
type InspectFinding struct{ ID, Severity, Title, Detail, Why, Fix string }

// Word is the message key of the verdict.
func (r InspectReport) Word() string {
	return map[string]string{"verified": "inspect.verified", "not_checked": "inspect.not-checked", "invalid": "inspect.invalid"}[r.Verdict]
}

// Tone is the class of the note that holds the verdict.
func (r InspectReport) Tone() string {
	return map[string]string{"verified": "good", "invalid": "bad"}[r.Verdict]
}

// Inspect writes the page with status.
func (p *Pages) Inspect(w http.ResponseWriter, r *http.Request, status int, v Inspect) {
	v.frame = p.frame(r, "inspect", v.Locales, Fault(v.Fault)) // whether there is one, for the title
	show(p, w, status, v, policy{script: true})
}

func inspectSamples(flow string) []Sample {
	report := InspectReport{Verdict: "not_checked", Reasons: []InspectReason{{Key: InspectNoKey}}, Kind: "access token, as Keycloak makes them", Life: "4 min left of 5 min", Masked: true,
		Header:   []InspectClaim{{"alg", `"RS256"`, "how it is signed"}},
		Claims:   []InspectClaim{{"iss", `"https://sso.example.org/realms/acme"`, "who made it"}, {"sub", `"0a0a…4e"`, "whom it is about"}},
		Findings: []InspectFinding{{"J16", "low", "Personal data in the payload", "email", "A payload is encoded, not encrypted.", "Carry an id only."}},
	}
	sample := func(name string, status int, v Inspect) Sample {
		return Sample{"inspect", name, func(p *Pages, w http.ResponseWriter, r *http.Request) {
			v.Flow = flow
			p.Inspect(w, r, status, v)
		}}
	}
	good, bad := report, report
	good.Verdict, good.Reasons, good.Not, good.Findings, good.Masked = "verified", []InspectReason{{Text: "the signature fits key k1 (ES256) of this issuer"}}, "issuer, audience, type", nil, false
	bad.Verdict, bad.Reasons, bad.Break = "invalid", []InspectReason{{Text: "the payload cannot be read"}}, "eyJhbGci….eyJzdWIi…\n                   ^"
	return []Sample{
		sample("", 200, Inspect{}), sample("report", 200, Inspect{Report: report}), sample("verified", 200, Inspect{Report: good}), sample("invalid", 200, Inspect{Report: bad}),
		sample("bad-key", 400, Inspect{Fault: InspectBadKey, Detail: "it is a private key, which checking does not need"}),
	}
}
