package attack

import (
	"net/http"
	"net/url"
	"strings"
)

// gateShots are requests that are odd elsewhere than in the token: where a
// token is taken from, and what a proxy in front may be talked into (T70 to
// T78). They use the valid token or none.
func gateShots(t Target, valid string) []shot {
	var shots []shot
	for _, group := range [][]shot{places(t, valid), schemes(t, valid), proxyHeaders(valid), otherRequests(t), paths(t), methods(t)} {
		shots = append(shots, group...)
	}
	return shots
}

func query(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		pair := name + "=" + url.QueryEscape(value)
		if r.URL.RawQuery != "" {
			pair = r.URL.RawQuery + "&" + pair
		}
		r.URL.RawQuery = pair
	}
}

func header(pairs ...string) func(*http.Request) {
	return func(r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			r.Header[pairs[i]] = append(r.Header[pairs[i]], pairs[i+1])
		}
	}
}

func both(changes ...func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) {
		for _, change := range changes {
			change(r)
		}
	}
}

// places carry the valid token elsewhere, alone (T70) and beside a bad one (T71).
func places(t Target, valid string) []shot {
	const wantHeader, wantOne = "A token in an address ends up in logs (RFC 9700 §4.3.2).", "A request has one token (RFC 6750 §2)."
	bad := func(change func(*http.Request)) func(*http.Request) {
		return both(func(r *http.Request) { t.carry(r, "garbage") }, change)
	}
	var shots []shot
	for _, name := range []string{"access_token", "token", "jwt", "auth_token", "id_token"} {
		shots = append(shots, shot{id: "T70", name: "query-" + name, title: "the valid token as ?" + name + "=", want: wantHeader, change: query(name, valid), exacting: true})
	}
	shots = append(shots, shot{id: "T71", name: "bad-header-good-query", title: "a bad token in its place and the valid one in the query", want: wantOne, change: bad(query("access_token", valid)), exacting: true})
	if t.Cookie != "" || t.Field != "" {
		return shots
	}
	return append(shots,
		shot{id: "T71", name: "bad-header-good-cookie", title: "a bad token in the header and the valid one in a cookie", want: wantOne, change: bad(header("Cookie", "access_token="+valid+"; token="+valid+"; jwt="+valid)), exacting: true},
		shot{id: "T71", name: "two-headers", title: "two Authorization headers, a bad one and the valid one", want: wantOne, change: func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer garbage", "Bearer " + valid} }, exacting: true},
		shot{id: "T71", name: "comma-list", title: "a list of a bad token and the valid one", want: wantOne, change: header("Authorization", "Bearer garbage, Bearer "+valid), exacting: true},
	)
}

// schemes write the header otherwise (T72). Any case of "bearer" and more
// spaces are not among them: RFC 9110 §11.4 allows both.
func schemes(t Target, valid string) []shot {
	if t.Cookie != "" || t.Field != "" {
		return nil
	}
	var shots []shot
	for _, v := range []struct{ name, value string }{
		{"none", valid}, {"tab", "Bearer\t" + valid}, {"basic", "Basic " + valid}, {"jwt", "JWT " + valid}, {"token", "Token " + valid}, {"no-space", "Bearer" + valid}, {"colon", "Bearer: " + valid},
	} {
		shots = append(shots, shot{id: "T72", name: "scheme-" + v.name, title: "the valid token, the scheme written otherwise: " + v.name, want: "The scheme is Bearer (RFC 6750 §2.1).", change: header("Authorization", v.value), exacting: true})
	}
	return shots
}

// identityHeaders are names under which proxies tell an API who calls.
var identityHeaders = []string{"X-User", "X-User-Id", "X-Username", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Remote-User", "Remote-User", "X-Authenticated-User", "X-Webauth-User"}

// proxyHeaders are set by the client, in all spellings (T73).
func proxyHeaders(valid string) []shot {
	const want = "Only the proxy in front may set it."
	spelled := func(spell func(string) string) []string {
		var pairs []string
		for _, name := range identityHeaders {
			pairs = append(pairs, spell(name), forgedName)
		}
		return pairs
	}
	usual := spelled(func(s string) string { return s })
	underscore := spelled(func(s string) string { return strings.ReplaceAll(s, "-", "_") })
	lower := spelled(strings.ToLower)
	return []shot{
		{id: "T73", name: "identity-headers", title: "the headers of a proxy, no token", want: want, change: header(usual...)},
		{id: "T73", name: "identity-headers-underscore", title: "the same with underscores, no token", want: want, change: header(underscore...)},
		{id: "T73", name: "identity-headers-token", title: "the headers of a proxy beside the valid token", want: want, token: valid, change: header(usual...), echo: true},
		{id: "T73", name: "identity-headers-lower", title: "the same in lower case", want: want, token: valid, change: header(lower...), echo: true},
		{id: "T73", name: "identity-headers-underscore-token", title: "the same with underscores", want: want, token: valid, change: header(underscore...), echo: true},
		{id: "T73", name: "identity-headers-connection", title: "the same, named in Connection so that a proxy drops its own", want: want, token: valid, change: both(header(usual...), header("Connection", strings.Join(identityHeaders, ", "))), echo: true},
	}
}

// otherRequests claim to be another request than they are (T74), or carry a
// public path somewhere (T75).
func otherRequests(t Target) []shot {
	var shots []shot
	for _, v := range []struct{ name, header, value string }{
		{"original-url", "X-Original-URL", "/"}, {"rewrite-url", "X-Rewrite-URL", "/"}, {"forwarded-uri", "X-Forwarded-Uri", "/healthz"}, {"forwarded-uri-public", "X-Forwarded-Uri", "/public"},
		{"auth-request-redirect", "X-Auth-Request-Redirect", "/public"}, {"forwarded-method", "X-Forwarded-Method", "OPTIONS"}, {"original-method", "X-Original-Method", "OPTIONS"},
		{"forwarded-host", "X-Forwarded-Host", "localhost"}, {"forwarded-for", "X-Forwarded-For", "127.0.0.1"}, {"real-ip", "X-Real-Ip", "127.0.0.1"}, {"forwarded-proto", "X-Forwarded-Proto", "https"}, {"forwarded-prefix", "X-Forwarded-Prefix", "/public"},
	} {
		shots = append(shots, shot{id: "T74", name: v.name, title: "no token, " + v.header + ": " + v.value, want: "What is checked is the request itself.", change: header(v.header, v.value), exacting: true})
	}
	for _, v := range []struct{ name, query string }{
		{"query-public", "x=/public"}, {"query-health", "/healthz"}, {"query-login", "next=/login"}, {"query-asset", "x=.css"}, {"query-image", "x.png"}, {"query-fragment", "x=%23/public"}, {"query-swagger", "x=/swagger/index.html"},
	} {
		shots = append(shots, shot{id: "T75", name: v.name, title: "no token, ?" + v.query, want: "A rule for public paths looks at the path alone.", exacting: true, change: func(r *http.Request) {
			r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&"+v.query, "&")
		}})
	}
	return append(shots, shot{id: "T75", name: "agent-health", title: "no token, the User-Agent of a health check", want: "A name that the client gives is no proof.", change: func(r *http.Request) { r.Header.Set("User-Agent", "ELB-HealthChecker/2.0 kube-probe/1.30") }, exacting: true})
}

// paths write the path otherwise (T76).
func paths(t Target) []shot {
	u, err := url.Parse(t.URL)
	if err != nil || u.EscapedPath() == "" || u.EscapedPath() == "/" {
		return nil
	}
	p := u.EscapedPath()
	last := strings.LastIndexByte(p, '/') + 1
	first := "%" + strings.ToUpper(hexByte(p[1]))
	var shots []shot
	for _, v := range []struct{ name, path string }{
		{"double-slash", "/" + p}, {"dot", "/." + p}, {"dot-dot", "/public/.." + p}, {"encoded-dot-dot", "/public/%2e%2e" + p}, {"encoded-slash-dot-dot", "/public%2f..%2f" + p[1:]}, {"dot-behind", p + "/."},
		{"slash-behind", p + "/"}, {"dot-letter-behind", p + "."}, {"semicolon", p + ";x"}, {"semicolon-public", "/public;" + p}, {"dot-dot-semicolon", "/public/..;" + p}, {"encoded-slash-behind", p + "%2f"}, {"space-behind", p + "%20"},
		{"encoded-letter", "/" + first + p[2:]}, {"encoded-question", p + "%3f/public"}, {"encoded-fragment", p + "%23/public"}, {"nul-behind", p + "%00"}, {"case", strings.ToUpper(p)}, {"extension", p + ".json"}, {"asset", p + "/x.css"}, {"middle-slashes", p[:last] + "/" + p[last:]},
	} {
		decoded, err := url.PathUnescape(v.path)
		if err != nil || v.path == p {
			continue
		}
		shots = append(shots, shot{id: "T76", name: "path-" + v.name, title: "no token, the path " + v.path, want: "One path has one reading.", exacting: true, change: func(r *http.Request) { r.URL.Path, r.URL.RawPath = decoded, v.path }})
	}
	return shots
}

func hexByte(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// methods are other verbs (T78). Those that change something are not sent
// unless the target's own method is one.
func methods(t Target) []shot {
	const want = "Every method is checked."
	method := func(name string) func(*http.Request) { return func(r *http.Request) { r.Method = name } }
	shots := []shot{
		{id: "T78", name: "override-header", title: "no token, X-HTTP-Method-Override: OPTIONS", want: want, change: header("X-Http-Method-Override", "OPTIONS", "X-Method-Override", "OPTIONS"), exacting: true},
		{id: "T78", name: "unknown-method", title: "no token, the method GATEHOUSE", want: want, change: method("GATEHOUSE"), exacting: true},
		{id: "T78", name: "preflight", title: "no token, OPTIONS", want: want, change: method(http.MethodOptions), exacting: true},
	}
	if t.method() == http.MethodGet {
		shots = append(shots, shot{id: "T78", name: "head", title: "no token, HEAD", want: want, change: method(http.MethodHead)}, shot{id: "T78", name: "lower-case", title: "no token, the method get", want: want, change: method("get"), exacting: true})
	}
	return shots
}
