package targets_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	jwt4 "github.com/golang-jwt/jwt/v4"
	jwt5 "github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// The API lets tokens in that have just expired, by the error that the library
// returns. At v4.5.0 the same error also hides a bad signature (CVE-2024-51744).
func subjectV4(raw string, key any) (string, bool) {
	claims := jwt4.MapClaims{}
	_, err := jwt4.ParseWithClaims(raw, claims, func(*jwt4.Token) (any, error) { return key, nil }, jwt4.WithValidMethods([]string{"RS256"}))
	if err != nil && !errors.Is(err, jwt4.ErrTokenExpired) {
		return "", false
	}
	subject, _ := claims["sub"].(string)
	return subject, true
}

func subjectV5(raw string, key any) (string, bool) {
	claims := jwt5.MapClaims{}
	_, err := jwt5.ParseWithClaims(raw, claims, func(*jwt5.Token) (any, error) { return key, nil }, jwt5.WithValidMethods([]string{"RS256"}), jwt5.WithStrictDecoding())
	if err != nil && !errors.Is(err, jwt5.ErrTokenExpired) {
		return "", false
	}
	subject, _ := claims["sub"].(string)
	return subject, true
}

func TestGoLibraries(t *testing.T) {
	w := newWorld(t)
	signer, err := w.issuer.Signer(jose.RS256)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		subject func(string, any) (string, bool)
		rows    string
	}{"golang-jwt 4.5.0": {subjectV4, "T17"}, "golang-jwt 5": {subjectV5, ""}} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				raw, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
				subject, ok := tc.subject(raw, signer.Key().Public())
				// One text for one token, and no header that nobody understands: as in the
				// other servers, everything around the library is as it should be.
				if _, err := jose.Parse(raw); err != nil || !ok || !bearer || r.URL.Path != "/orders" {
					rw.Header().Set("WWW-Authenticate", "Bearer")
					rw.WriteHeader(http.StatusUnauthorized)
					return
				}
				rw.Header().Set("Content-Type", "application/json")
				json.NewEncoder(rw).Encode(map[string]string{"subject": subject})
			}))
			defer server.Close()
			r, _ := w.audit(t, server.URL+"/orders", target{name: name})
			var got []string
			for _, one := range r.Results {
				if one.Verdict == "VULNERABLE" {
					got = append(got, one.ID)
				}
			}
			if strings.Join(got, " ") != tc.rows || !r.Targets[0].Measurable {
				t.Errorf("found %q, want %q (%s)", got, tc.rows, r.Targets[0].Reason)
			}
		})
	}
}
