package attack

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"io"
)

// style is the whole look of the page. It is allowed by its hash and nothing
// else is: the page loads nothing and runs nothing.
const style = `:root{color-scheme:light dark;--line:#8884;--bad:#b3261e;--warn:#8a5a00;--good:#1b6e3c}
@media(prefers-color-scheme:dark){:root{--bad:#ff8a80;--warn:#ffcc66;--good:#7bd69b}}
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);padding:.6rem}
.critical,.high,.VULNERABLE{color:var(--bad);font-weight:600}.medium,.SUSPECT{color:var(--warn);font-weight:600}.RESISTED{color:var(--good)}
section{border-top:1px solid var(--line)}`

var styleHash = func() string {
	digest := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(digest[:])
}()

var page = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '{{.Hash}}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Gatehouse audit</title>
<style>{{.Style}}</style>
</head>
<body>
<h1>Audit</h1>
<p><strong>{{.Headline}}</strong></p>
<p>{{.Report.Started.Format "2006-01-02 15:04:05"}} to {{.Report.Ended.Format "15:04:05"}} UTC. Permission: {{.Report.Permission}}.</p>
<table>
<caption>Routes</caption>
<thead><tr><th scope="col">route</th><th scope="col">valid</th><th scope="col">none</th><th scope="col">garbage</th><th scope="col">broken</th><th scope="col">requests</th><th scope="col"></th></tr></thead>
<tbody>{{range .Report.Targets}}<tr><td><code>{{.Route}}</code></td><td>{{.Baseline.Valid}}</td><td>{{.Baseline.None}}</td><td>{{.Baseline.Garbage}}</td><td>{{.Baseline.Flipped}}</td><td>{{.Requests}}</td><td>{{.Reason}}</td></tr>
{{end}}</tbody>
</table>
{{range .Findings}}<section id="{{.ID}}-{{.Fingerprint}}">
<h2>{{.ID}} {{.Title}} <span class="{{.Severity}}">{{.Severity}}</span></h2>
<p><code>{{.Route}}</code></p>
<p>{{.Reason}}</p>
<p>{{.Why}}</p>
<p><strong>Fix.</strong> {{.Fix}}</p>
<p>{{range $i, $r := .References}}{{if $i}}, {{end}}{{$r}}{{end}}</p>
<pre>{{.Reproduce}}</pre>
<table><thead><tr><th scope="col">sent</th><th scope="col">what</th><th scope="col">answer</th></tr></thead><tbody>{{range .Evidence}}<tr><td><code>{{.Name}}</code></td><td>{{.Title}}</td><td>{{.Answer}}</td></tr>
{{end}}</tbody></table>
<p>Fingerprint <code>{{.Fingerprint}}</code></p>
</section>
{{end}}<h2>All attacks</h2>
<table>
<thead><tr><th scope="col">id</th><th scope="col">attack</th><th scope="col">verdict</th><th scope="col">severity</th><th scope="col">reason</th></tr></thead>
<tbody>{{range .Report.Results}}<tr><td>{{.ID}}</td><td>{{.Title}}</td><td class="{{.Verdict}}">{{.Verdict}}</td><td>{{.Severity}}</td><td>{{.Reason}}</td></tr>
{{end}}</tbody>
</table>
{{range .Report.Notes}}<p>{{.}}</p>
{{end}}<p>{{.Report.Tool.Name}} {{.Report.Tool.Version}}</p>
</body>
</html>
`))

// html writes one page that needs nothing else.
func (r Report) html(w io.Writer) error {
	return page.Execute(w, struct {
		Hash, Headline string
		Style          template.CSS
		Report         Report
		Findings       []Result
	}{styleHash, r.headline(), template.CSS(style), r, r.Findings()})
}
