package gateway

import (
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// IdentityHeader carries the signed identity to the upstream.
const IdentityHeader = "Gatehouse-Identity"

// IdentityKeysPath is where the gateway publishes the key that signs it.
const IdentityKeysPath = "/.well-known/gatehouse-identity/jwks.json"

const (
	identityType = "gatehouse-identity+jwt"
	identityLife = 30 * time.Second
	identityFile = "gateway-identity.pem"
	pemType      = "PRIVATE KEY"
)

// Identity signs who calls, for one upstream: short-lived tokens that are bound
// to method and path, with a key of the gateway's own (C25).
type Identity struct {
	issuer, audience string
	signer           jose.Signer
}

// OpenIdentity reads the gateway's key from a folder of its own, and makes one,
// readable by this user alone, when there is none. The issuer names the gateway
// and is never that of an authorization server; the audience is the upstream.
func OpenIdentity(dir, issuer, audience string) (*Identity, error) {
	path := filepath.Join(dir, identityFile)
	signer, err := readSigner(path)
	if errors.Is(err, fs.ErrNotExist) {
		signer, err = makeSigner(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the gateway's identity key: %w", err)
	}
	return &Identity{issuer: issuer, audience: audience, signer: signer}, nil
}

func readSigner(path string) (jose.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return jose.Signer{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return jose.Signer{}, fmt.Errorf("%s can be read by others (mode %04o): whoever has it can be anyone at the upstream. Delete it, and a new one is made at the next start", path, info.Mode().Perm())
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return jose.Signer{}, err
	}
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != pemType || len(strings.TrimSpace(string(rest))) > 0 {
		return jose.Signer{}, fmt.Errorf("%s is not one key in PEM form", path)
	}
	return jose.ParseSigner(jose.ES256, block.Bytes)
}

// makeSigner writes the key to a file of another name first and links it, so
// that of two gateways that start at once both use the same.
func makeSigner(dir, path string) (jose.Signer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return jose.Signer{}, err
	}
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		return jose.Signer{}, err
	}
	der, err := signer.PKCS8()
	if err != nil {
		return jose.Signer{}, err
	}
	f, err := os.CreateTemp(dir, identityFile+".") // 0600
	if err != nil {
		return jose.Signer{}, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return jose.Signer{}, err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return jose.Signer{}, err
	}
	return readSigner(path)
}

// sign makes the token for one request. The path is as received, without the query.
func (i *Identity) sign(caller guard.Caller, method, path string, now time.Time) (string, error) {
	return i.signer.Sign(identityType, map[string]any{
		"iss": i.issuer, "aud": i.audience, "sub": caller.Subject(), "jti": strings.ToLower(rand.Text()),
		"iat": now.Unix(), "exp": now.Add(identityLife).Unix(),
		"method": method, "path": path,
		"token_iss": caller.Issuer(), "client_id": caller.ClientID(), "scope": strings.Join(caller.Scopes(), " "), "roles": caller.Roles(),
	})
}

// keys answers the public key as a JWKS.
func (i *Identity) keys() http.Handler {
	body, err := json.Marshal(jose.NewKeySet(i.signer.Key()))
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Write(append(body, '\n'))
	})
}
