package jose_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
)

var now = time.Unix(1_800_000_000, 0)

// signers draws one key of each algorithm for the whole run: RSA keys are slow
// to find.
var signers = struct {
	sync.Mutex
	made map[jose.Algorithm]jose.Signer
}{made: map[jose.Algorithm]jose.Signer{}}

func signer(t testing.TB, algorithm jose.Algorithm) jose.Signer {
	t.Helper()
	signers.Lock()
	defer signers.Unlock()
	if s, ok := signers.made[algorithm]; ok {
		return s
	}
	s, err := jose.GenerateSigner(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	signers.made[algorithm] = s
	return s
}

func encode[T ~string | ~[]byte](data T) string {
	return base64.RawURLEncoding.EncodeToString([]byte(data))
}

// signed signs any header and payload with the key of s, by golang-jwt alone:
// what comes out has a good signature, whatever it says.
func signed(t testing.TB, s jose.Signer, header, payload string) string {
	t.Helper()
	return signedText(t, s, encode(header)+"."+encode(payload))
}

func signedText(t testing.TB, s jose.Signer, text string) string {
	t.Helper()
	signature, err := jwt.GetSigningMethod(string(s.Key().Algorithm())).Sign(text, s.Private())
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

// header is the protected header of a good token of s; more is JSON that is
// put behind its members.
func header(s jose.Signer, more string) string {
	return `{"alg":"` + string(s.Key().Algorithm()) + `","kid":"` + s.Key().ID() + `","typ":"at+jwt"` + more + `}`
}

// payload is a good claims set; more is JSON that is put behind its members.
func payload(more string) string {
	return `{"iss":"` + issuer + `","aud":"` + audience + `","sub":"usr_1","exp":1800000600,"iat":1800000000` + more + `}`
}

// accept is what an acceptor of access tokens does.
func accept(set jose.KeySet, raw string) error {
	token, err := jose.Parse(raw)
	if err != nil {
		return err
	}
	key, ok := set.Key(token.KeyID())
	if !ok {
		return jose.ErrUnknownKey
	}
	if err := token.Verify(key); err != nil {
		return err
	}
	claims, err := token.Claims()
	if err != nil {
		return err
	}
	return expect().Check(token, claims)
}

func expect() jose.Expect {
	return jose.Expect{Type: "at+jwt", Issuer: issuer, Audience: audience, Now: now, Leeway: 30 * time.Second}
}

// row is a token and the error that it must give; nil: it is taken.
type row struct {
	name string
	raw  string
	want error
}

func checkRows(t *testing.T, set jose.KeySet, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			err := accept(set, r.raw)
			if r.want == nil && err != nil || !errors.Is(err, r.want) {
				t.Errorf("got %v, want %v", err, r.want)
			}
		})
	}
}

// swap is the token with another segment in the place of the i-th.
func swap(raw string, i int, segment string) string {
	parts := strings.Split(raw, ".")
	parts[i] = segment
	return strings.Join(parts, ".")
}

func mustGenerate(t testing.TB, algorithm jose.Algorithm) jose.Signer {
	t.Helper()
	s, err := jose.GenerateSigner(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func decode(t testing.TB, segment string) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func orderOf(algorithm jose.Algorithm) *big.Int {
	curves := map[jose.Algorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()}
	return curves[algorithm].Params().N
}

// plusOrder adds the order of Ed25519's group to S, which is little-endian.
func plusOrder(signature []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return join(signature[:32], sum)
}
