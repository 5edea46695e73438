package attack_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/attack"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// T05: the certificate of the key, the documents byte for byte and every other
// key of the set are tried as the secret too.
func TestT05KnowsCertificatesAndEveryKeyOfTheSet(t *testing.T) {
	signer, err := jose.GenerateSigner(jose.RS256)
	if err != nil {
		t.Fatal(err)
	}
	other, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "issuer"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Private().Public(), signer.Private())
	if err != nil {
		t.Fatal(err)
	}
	chain := base64.StdEncoding.EncodeToString(der)
	// A set as Keycloak serves it: two keys, the first with its certificate.
	first, _ := json.Marshal(signer.Key())
	second, _ := json.Marshal(other.Key())
	withChain := strings.TrimSuffix(string(first), "}") + `, "x5c":["` + chain + `"]}`
	document := "{ \"keys\" : [ " + withChain + " , " + string(second) + " ] }\n"
	set, _, err := jose.ParseKeySet([]byte(document))
	if err != nil || set.Len() != 2 {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	otherDER, err := x509.MarshalPKIXPublicKey(other.Private().Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		secret []byte
		bare   bool // the set is not known as served: the user gave the certificate
	}{
		"certificate in PEM":             {certificate, false},
		"certificate in PEM, given":      {certificate, true},
		"certificate in PEM, trimmed":    {bytes.TrimSpace(certificate), false},
		"certificate in DER":             {der, false},
		"certificate as in x5c":          {[]byte(chain), false},
		"JWK as it is served":            {[]byte(withChain), false},
		"set as it is served":            {[]byte(document), false},
		"the other key of the set":       {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: otherDER}), false},
		"the other key, as it is served": {second, false},
	} {
		t.Run(name, func(t *testing.T) {
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
				token, err := jose.Parse(raw)
				at := strings.LastIndexByte(raw, '.')
				if err != nil || at < 0 {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				h := hmac.New(sha256.New, tc.secret)
				h.Write([]byte(raw[:at]))
				signature, _ := base64.RawURLEncoding.DecodeString(raw[at+1:])
				if token.Verify(signer.Key()) != nil && !hmac.Equal(signature, h.Sum(nil)) {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				w.Write(token.Payload())
			}))
			defer api.Close()
			valid, err := signer.Sign("at+jwt", map[string]any{"iss": "https://issuer.lab.invalid", "sub": "usr_1", "aud": "orders", "exp": time.Now().Add(10 * time.Minute).Unix()})
			if err != nil {
				t.Fatal(err)
			}
			c := attack.Config{Targets: []attack.Target{{URL: api.URL}}, Token: always(valid), Keys: set, KeysDocument: []byte(document), Only: []string{"T05"}, Rate: 5000}
			if tc.bare {
				c.KeysDocument, c.Certificates = nil, [][]byte{der}
			}
			report, err := attack.Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if got := report.Results[0]; got.Verdict != attack.Vulnerable {
				t.Errorf("%s: %s", got.Verdict, got.Reason)
			}
		})
	}
}
