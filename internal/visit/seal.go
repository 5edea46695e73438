package visit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Of the key file.
const (
	keyFile = "gateway-sessions.key"
	keySize = 32
)

// sealer hides what is stored, and names what is looked up, with keys that are
// not in the database.
type sealer struct {
	aead cipher.AEAD
	mac  []byte
}

func newSealer(secret []byte) (sealer, error) {
	sealing, err := hkdf.Key(sha256.New, secret, nil, "gatehouse gateway sealing", keySize)
	if err != nil {
		return sealer{}, err
	}
	naming, err := hkdf.Key(sha256.New, secret, nil, "gatehouse gateway naming", keySize)
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return sealer{aead: aead, mac: naming}, err
}

// seal binds the text to its purpose and place: moved elsewhere it does not open.
func (s sealer) seal(plain []byte, purpose, place string) []byte {
	return s.aead.Seal(nil, nil, plain, []byte(purpose+"\x00"+place))
}

func (s sealer) open(sealed []byte, purpose, place string) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, []byte(purpose+"\x00"+place))
}

// name is what a value is looked up by. The file shows neither the value nor,
// without the key, whether it is one that somebody knows.
func (s sealer) name(kind, value string) string {
	h := hmac.New(sha256.New, s.mac)
	h.Write([]byte(kind + "\x00" + value))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:24])
}

// readKeyFile reads a key that the operator made.
func readKeyFile(path string) ([]byte, error) {
	secret, err := checkKey(path, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w. Make one, for all gateways the same: head -c %d /dev/urandom > %s", err, keySize, path)
	}
	return secret, err
}

// checkKey reads a key that nobody else can read.
func checkKey(path, otherwise string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): whoever has it opens the tokens of everybody who is signed in%s", path, info.Mode().Perm(), otherwise)
	}
	secret, err := os.ReadFile(path)
	if err == nil && len(secret) != keySize {
		err = fmt.Errorf("%s is not a key: it has %d bytes, not %d%s", path, len(secret), keySize, otherwise)
	}
	return secret, err
}

// readKey reads the key of a folder, and makes one, readable by this user alone,
// when there is none.
func readKey(dir string) ([]byte, error) {
	const otherwise = ". Delete it, and everybody signs in again"
	path := filepath.Join(dir, keyFile)
	secret, err := checkKey(path, otherwise)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(dir, path); err == nil {
			secret, err = checkKey(path, otherwise)
		}
	}
	return secret, err
}

// makeKey writes to another name first, so that there is never half a key.
func makeKey(dir, path string) error {
	secret := make([]byte, keySize)
	rand.Read(secret)
	f, err := os.CreateTemp(dir, keyFile+".") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
