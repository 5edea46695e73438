package jose_test

import (
	"fmt"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// tokens are distinct access tokens with the claims of the contract (C3).
func tokens(b *testing.B, s jose.Signer, n int) []string {
	b.Helper()
	all := make([]string, n)
	for i := range all {
		raw, err := s.Sign("at+jwt", accessClaims(i))
		if err != nil {
			b.Fatal(err)
		}
		all[i] = raw
	}
	return all
}

func accessClaims(i int) map[string]any {
	return map[string]any{
		"iss": issuer, "aud": audience, "sub": fmt.Sprintf("usr_%d", i), "client_id": "demo-app", "jti": fmt.Sprintf("jti_%d", i), "gid": "gr_1", "sid": "ses_1",
		"exp": now.Unix() + 600, "iat": now.Unix(), "auth_time": now.Unix(), "scope": "orders:read orders:write", "roles": []string{"editor"}, "acr": "pwd", "amr": []string{"pwd"}, "ue": 1, "ce": 1,
	}
}

// BenchmarkVerify is the whole way of an acceptor, over distinct tokens.
func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.RS256, jose.EdDSA} {
		s := signer(b, algorithm)
		all := tokens(b, s, 256)
		set := jose.NewKeySet(s.Key())
		b.Run(string(algorithm)+"/jose", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := accept(set, all[i%len(all)]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(algorithm)+"/golang-jwt", func(b *testing.B) {
			b.ReportAllocs()
			parser := jwt.NewParser(jwt.WithValidMethods([]string{string(algorithm)}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithoutClaimsValidation())
			key := func(*jwt.Token) (any, error) { return s.Key().Public(), nil }
			for i := 0; b.Loop(); i++ {
				if _, err := parser.Parse(all[i%len(all)], key); err != nil {
					b.Fatal(err)
				}
			}
		})
		// The signature alone: what no intake can be faster than.
		b.Run(string(algorithm)+"/signature", func(b *testing.B) {
			parsed, err := jose.Parse(all[0])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := parsed.Verify(s.Key()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIntake is what the intake costs without the signature.
func BenchmarkIntake(b *testing.B) {
	s := signer(b, jose.ES256)
	all := tokens(b, s, 256)
	b.Run("jose", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			parsed, err := jose.Parse(all[i%len(all)])
			if err != nil {
				b.Fatal(err)
			}
			if _, err := parsed.Claims(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("golang-jwt", func(b *testing.B) {
		b.ReportAllocs()
		parser := jwt.NewParser()
		for i := 0; b.Loop(); i++ {
			if _, _, err := parser.ParseUnverified(all[i%len(all)], jwt.MapClaims{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.RS256, jose.EdDSA} {
		s := signer(b, algorithm)
		claims := accessClaims(1)
		b.Run(string(algorithm)+"/jose", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sign("at+jwt", claims); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(algorithm)+"/golang-jwt", func(b *testing.B) {
			b.ReportAllocs()
			method := jwt.GetSigningMethod(string(algorithm))
			for b.Loop() {
				made := jwt.NewWithClaims(method, jwt.MapClaims(claims))
				made.Header["typ"], made.Header["kid"] = "at+jwt", s.Key().ID()
				if _, err := made.SignedString(s.Private()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
