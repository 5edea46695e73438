package page

import (
	"html/template"
	"net/http"
)

// Gallery shows every page with sample values: a list at /, a page at
// /see/NAME, in the language that ?language= names or the browser asks for. It
// answers forms with nothing and continues nowhere.
func (p *Pages) Gallery() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", p.Assets())
	samples := Samples(p.now())
	for _, s := range samples {
		mux.HandleFunc("GET /see/"+s.Name(), func(w http.ResponseWriter, r *http.Request) {
			if language := r.URL.Query().Get("language"); language != "" {
				r = r.Clone(r.Context())
				r.Header.Set("Accept-Language", language)
				r.Header.Del("Cookie")
			}
			s.Show(p, w, r)
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		policy{}.set(w.Header())
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		index.Execute(w, struct {
			Sheet, Icon, Product string
			Languages            []string
			Samples              []Sample
		}{p.assets.address(sheet), p.assets.address(mark), p.product, Languages, samples})
	})
	mux.HandleFunc("POST /{path...}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

var index = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Pages of {{.Product}}</title>
<link rel="icon" href="{{.Icon}}">
<link rel="stylesheet" href="{{.Sheet}}">
</head>
<body class="sheet">
<main>
<h1>Pages of {{.Product}}</h1>
<p class="lead">Every page with sample values. Forms lead nowhere.</p>
<table>
<thead><tr><th scope="col">Page</th><th scope="col">In</th></tr></thead>
<tbody>{{range $s := .Samples}}
<tr><th scope="row">{{$s.Name}}</th><td>{{range $.Languages}}<a href="/see/{{$s.Name}}?language={{.}}" aria-label="{{$s.Name}} in {{.}}">{{.}}</a> {{end}}</td></tr>{{end}}
</tbody>
</table>
</main>
</body>
</html>
`))
