package jose_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// A signer never shows its key: not printed, not logged, not as JSON, not from
// within another struct.
func TestSignerIsRedacted(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0xab}, 32))
	s, err := jose.NewSigner(jose.EdDSA, private)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "signer", s, "holder", struct{ S jose.Signer }{s})
	type holder struct{ hidden jose.Signer }
	texts := []string{log.String(), marshal(t, s), marshal(t, struct{ S jose.Signer }{s})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		texts = append(texts, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, holder{s}), fmt.Sprintf(verb, []jose.Signer{s}))
	}
	for _, text := range texts {
		if strings.Contains(text, "171 171") || strings.Contains(strings.ToLower(text), "abab") || strings.Contains(text, "0xab, 0xab") {
			t.Errorf("shows the key: %s", text)
		}
	}
	if fmt.Sprint(s) != "redacted" || !strings.Contains(log.String(), "signer=redacted") {
		t.Errorf("%v in %s", s, log.String())
	}
}

func TestSignerReadsBack(t *testing.T) {
	for _, algorithm := range asymmetric {
		s := signer(t, algorithm)
		der, err := s.PKCS8()
		if err != nil {
			t.Fatal(err)
		}
		again, err := jose.ParseSigner(algorithm, der)
		if err != nil || !again.Key().Equal(s.Key()) {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	der, err := signer(t, jose.ES256).PKCS8()
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() (jose.Signer, error){
		"another algorithm": func() (jose.Signer, error) { return jose.ParseSigner(jose.RS256, der) },
		"another curve":     func() (jose.Signer, error) { return jose.ParseSigner(jose.ES384, der) },
		"no key":            func() (jose.Signer, error) { return jose.ParseSigner(jose.ES256, []byte("x")) },
		"nil":               func() (jose.Signer, error) { return jose.NewSigner(jose.ES256, nil) },
	} {
		if s, err := try(); !errors.Is(err, jose.ErrKey) || !s.IsZero() {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The zero Signer signs nothing and has no key.
func TestZeroSigner(t *testing.T) {
	var s jose.Signer
	if _, err := s.Sign("at+jwt", struct{}{}); err == nil {
		t.Error("it signs")
	}
	if _, err := s.PKCS8(); err == nil {
		t.Error("it has a private key")
	}
	if !s.IsZero() || !s.Key().IsZero() || s.Private() != nil {
		t.Error("it is not zero")
	}
}

// The header of our own tokens is exactly alg, kid and typ.
func TestSignWritesTheHeader(t *testing.T) {
	s := signer(t, jose.ES256)
	for _, kind := range []string{"at+jwt", "JWT", "", `q"uo\te`} {
		raw, err := s.Sign(kind, map[string]any{"a": 1})
		if err != nil {
			t.Fatal(err)
		}
		want := `{"alg":"ES256","kid":"` + s.Key().ID() + `","typ":` + marshal(t, kind) + `}`
		if got := string(decode(t, strings.Split(raw, ".")[0])); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if _, err := s.Sign("at+jwt", func() {}); err == nil {
		t.Error("claims that are no JSON are signed")
	}
}
