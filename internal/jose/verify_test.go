package jose_test

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

var asymmetric = []jose.Algorithm{
	jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.EdDSA,
}

func TestSignThenVerify(t *testing.T) {
	for _, algorithm := range asymmetric {
		t.Run(string(algorithm), func(t *testing.T) {
			s := signer(t, algorithm)
			raw, err := s.Sign("at+jwt", map[string]any{"iss": issuer, "aud": audience, "exp": now.Unix() + 60})
			if err != nil {
				t.Fatal(err)
			}
			if err := accept(jose.NewKeySet(s.Key()), raw); err != nil {
				t.Errorf("own token: %v", err)
			}
			other, err := jose.GenerateSigner(jose.EdDSA)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := jose.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := parsed.Verify(other.Key()); err == nil {
				t.Error("another key verifies it")
			}
			if err := parsed.Verify(jose.Key{}); !errors.Is(err, jose.ErrUnknownKey) {
				t.Errorf("the zero Key: got %v", err)
			}
		})
	}
}

// BCP-1: the key has one algorithm and the header must name it, letter for
// letter (RFC 8725 §3.1).
func TestBCP1_OneKeyOneAlgorithm(t *testing.T) {
	names := []string{
		"none", "None", "NONE", "nOnE", "", "es256", "eS256", "rS256", "rs256", "hs256", "HS256", "HS384", "HS512", " RS256", "RS256 ", `RS256\u0000`, "ES256K", "RSA1_5",
		"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "eddsa", "ed25519", "Ed448", "*",
	}
	for _, algorithm := range asymmetric {
		s := signer(t, algorithm)
		for _, name := range names {
			if name == string(algorithm) {
				continue
			}
			h := `{"alg":"` + name + `","kid":"` + s.Key().ID() + `","typ":"at+jwt"}`
			parsed, err := jose.Parse(signed(t, s, h, payload("")))
			if err == nil {
				err = parsed.Verify(s.Key())
			}
			want := jose.ErrAlgorithm
			if name == "" {
				want = jose.ErrMalformed
			}
			if !errors.Is(err, want) {
				t.Errorf("%s key, alg %q: got %v, want %v", algorithm, name, err, want)
			}
		}
	}
}

// The same RSA key under two algorithms is two keys; neither takes the other's
// tokens.
func TestBCP1_OneRSAKeyIsNotTwoAlgorithms(t *testing.T) {
	pkcs1 := signer(t, jose.RS256)
	pss, err := jose.NewSigner(jose.PS256, pkcs1.Private())
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]jose.Signer{{pkcs1, pss}, {pss, pkcs1}} {
		raw, err := pair[0].Sign("at+jwt", map[string]any{"iss": issuer})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.Verify(pair[1].Key()); !errors.Is(err, jose.ErrAlgorithm) {
			t.Errorf("%s token, %s key: got %v", pair[0].Key().Algorithm(), pair[1].Key().Algorithm(), err)
		}
	}
}

// Asymmetric names exactly what a key set can hold.
func TestBCP1_Asymmetric(t *testing.T) {
	for _, algorithm := range append(slices.Clone(asymmetric), "Ed25519") {
		if !algorithm.Asymmetric() {
			t.Errorf("%s is left out", algorithm)
		}
	}
	for _, algorithm := range []jose.Algorithm{"", "none", "HS256", "HS384", "HS512", "es256", "ES256K", "RSA-OAEP", "Ed448"} {
		if algorithm.Asymmetric() {
			t.Errorf("%q is let in", algorithm)
		}
	}
}

// BCP-2: nothing makes or takes an unsigned token. That discovery never lists
// "none" is tested where discovery is (internal/oauth).
func TestBCP2_NoneIsNoAlgorithm(t *testing.T) {
	if _, err := jose.GenerateSigner("none"); !errors.Is(err, jose.ErrKey) {
		t.Errorf("GenerateSigner: got %v", err)
	}
	if _, err := jose.NewSecret("none", make([]byte, 64)); !errors.Is(err, jose.ErrKey) {
		t.Errorf("NewSecret: got %v", err)
	}
	for _, algorithm := range []jose.Algorithm{"none", "None", "RSA1_5", "RSA-OAEP", "HS256", "ES256K", "dir", ""} {
		for _, s := range []jose.Signer{signer(t, jose.RS256), signer(t, jose.ES256), signer(t, jose.EdDSA)} {
			if _, err := jose.NewKey(algorithm, s.Key().Public()); !errors.Is(err, jose.ErrKey) {
				t.Errorf("NewKey(%q, %T): got %v", algorithm, s.Key().Public(), err)
			}
		}
	}
}

// BCP-3: a nested token is not taken: its inner text is no claims set. A JWE is
// never decrypted (JOSE-7).
func TestBCP3_NestedTokensAreRefused(t *testing.T) {
	s := signer(t, jose.ES256)
	inner := signed(t, s, header(s, ""), payload(""))
	for name, raw := range map[string]string{
		"token inside":    signed(t, s, header(s, `,"cty":"JWT"`), inner),
		"quoted token":    signed(t, s, header(s, `,"cty":"JWT"`), `"`+inner+`"`),
		"PlainJWT inside": signed(t, s, header(s, `,"cty":"JWT"`), encode(`{"alg":"none"}`)+"."+encode(payload(""))+"."),
	} {
		if err := accept(jose.NewKeySet(s.Key()), raw); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("%s: got %v, want %v", name, err, jose.ErrMalformed)
		}
	}
}

// BCP-6: a kid means something only together with its issuer. Here: the sets of
// two issuers that use one kid take only their own tokens, and a token that one
// of them signs in the name of the other is refused by the issuer's name. That
// keys are looked up by issuer first is tested in guard.
func TestBCP6_SameKidTwoIssuers(t *testing.T) {
	a, b := signer(t, jose.ES256), mustGenerate(t, jose.ES256)
	sets := map[string]jose.KeySet{}
	for name, s := range map[string]jose.Signer{"a": a, "b": b} {
		jwk := strings.Replace(marshal(t, s.Key()), s.Key().ID(), "same", 1)
		set, skipped, err := jose.ParseKeySet([]byte(`{"keys":[` + jwk + `]}`))
		if err != nil || len(skipped) > 0 {
			t.Fatal(err, skipped)
		}
		sets[name] = set
	}
	h := `{"alg":"ES256","kid":"same","typ":"at+jwt"}`
	byB := signed(t, b, h, payload(""))
	if err := accept(sets["a"], byB); !errors.Is(err, jose.ErrSignature) {
		t.Errorf("iss=A, signed by B, keys of A: got %v", err)
	}
	other := signed(t, b, h, strings.Replace(payload(""), issuer, "https://b.example.com", 1))
	if err := accept(sets["b"], other); !errors.Is(err, jose.ErrIssuer) {
		t.Errorf("iss=B where A is expected: got %v", err)
	}
	if err := accept(sets["a"], signed(t, a, h, payload(""))); err != nil {
		t.Errorf("iss=A, signed by A: got %v", err)
	}
}

// BCP-8: what a token says is never fetched, because nothing here can fetch:
// the package imports no network, no files and no clock of its own. That the
// whole corpus of attacks causes no request is tested in guard.
func TestBCP8_NoNetwork(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		read++
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, forbidden := range []string{"net", "os", "syscall", "database"} {
				if path == forbidden || strings.HasPrefix(path, forbidden+"/") {
					t.Errorf("%s imports %s", e.Name(), path)
				}
			}
		}
		if source, err := os.ReadFile(e.Name()); err != nil || strings.Contains(string(source), "time.Now") {
			t.Errorf("%s reads the clock, or cannot be read: %v", e.Name(), err)
		}
	}
	if read == 0 {
		t.Error("no file was read")
	}
}

// BCP-9: every kind of token is taken by its own acceptor only. The kinds that
// exist as code, each with its acceptor, are in the matrix of internal/token.
func TestBCP9_OnlyTheDiagonal(t *testing.T) {
	s := signer(t, jose.ES256)
	set := jose.NewKeySet(s.Key())
	kinds := []string{"at+jwt", "jwt", "logout+jwt", "dpop+jwt", "handoff+jwt", "secevent+jwt", "oauth-authz-req+jwt", "client-authentication+jwt", ""}
	for _, made := range kinds {
		raw, err := s.Sign(made, map[string]any{"iss": issuer, "aud": audience, "exp": now.Unix() + 60})
		if err != nil {
			t.Fatal(err)
		}
		for _, wanted := range kinds {
			err := acceptAs(set, raw, wanted)
			if (err == nil) != (made == wanted && wanted != "") {
				t.Errorf("a %q for whoever wants %q: got %v", made, wanted, err)
			}
		}
	}
}

func acceptAs(set jose.KeySet, raw, kind string) error {
	parsed, err := jose.Parse(raw)
	if err != nil {
		return err
	}
	key, _ := set.Key(parsed.KeyID())
	if err := parsed.Verify(key); err != nil {
		return err
	}
	claims, err := parsed.Claims()
	if err != nil {
		return err
	}
	return jose.Expect{Type: kind, Issuer: issuer, Audience: audience, Now: now, Leeway: time.Second}.Check(parsed, claims)
}
