package config

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// commandTimeout bounds a command that fetches the key.
const commandTimeout = 30 * time.Second

// given is how many places are named.
func (s KeySource) given() (n int) {
	for _, set := range []bool{s.File != "", s.Env != "", s.Credential != "", len(s.Command) > 0} {
		if set {
			n++
		}
	}
	return n
}

func (s KeySource) check(data string) error {
	if s.given() != 1 {
		return errors.New("name exactly one of file, env, credential, command")
	}
	if s.File == "" || data == "" {
		return nil
	}
	return outside(data, s.File)
}

// Outside is the same check on the disk: a link may lead into the data folder.
// What does not exist is where its name says.
func (s KeySource) Outside(data string) error {
	if s.File == "" || data == "" {
		return nil
	}
	return outside(real(data), real(s.File))
}

func outside(data, file string) error {
	inside, err := filepath.Rel(data, file)
	if err == nil && filepath.IsLocal(inside) {
		return fmt.Errorf("the key-encryption key %s lies inside the data folder: a copy of the folder would hold the keys and what opens them. Keep it elsewhere", file)
	}
	return nil
}

// real follows links as far as the path exists.
func real(path string) string {
	if followed, err := filepath.EvalSymlinks(path); err == nil {
		return followed
	}
	dir := filepath.Dir(path)
	if dir == path {
		return path
	}
	return filepath.Join(real(dir), filepath.Base(path))
}

// Read returns the 32 bytes of the key-encryption key. Every error says what
// to do and none shows any of the key.
func (s KeySource) Read(ctx context.Context) ([]byte, error) {
	text, err := s.text(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the key-encryption key: %w. Put back the one of this installation: it alone opens the database, and Gatehouse never makes another by itself", err)
	}
	key, ok := decodeKey(text)
	if !ok {
		return nil, errors.New("the key-encryption key is not 32 bytes in base64 or hex. Make one with: openssl rand -base64 32")
	}
	return key, nil
}

func (s KeySource) text(ctx context.Context) ([]byte, error) {
	switch {
	case s.Env != "":
		value := os.Getenv(s.Env)
		if value == "" {
			return nil, fmt.Errorf("the environment variable %s is empty or not set", s.Env)
		}
		return []byte(value), nil
	case s.Credential != "":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, errors.New("CREDENTIALS_DIRECTORY is not set: credential works under systemd, with LoadCredential=")
		}
		return os.ReadFile(filepath.Join(dir, filepath.Base(s.Credential)))
	case len(s.Command) > 0:
		ctx, cancel := context.WithTimeout(ctx, commandTimeout)
		defer cancel()
		out, err := exec.CommandContext(ctx, s.Command[0], s.Command[1:]...).Output()
		if err != nil {
			return nil, fmt.Errorf("the command %s: %w", s.Command[0], err)
		}
		return out, nil
	}
	return readKeyFile(s.File)
}

func readKeyFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by other users. Run: chmod 600 %s", path, path)
	}
	return os.ReadFile(path)
}

func decodeKey(text []byte) ([]byte, bool) {
	trimmed := string(bytes.TrimSpace(text))
	if key, err := hex.DecodeString(trimmed); err == nil && len(key) == 32 {
		return key, true
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(strings.TrimSpace(trimmed)); err == nil && len(key) == 32 {
			return key, true
		}
	}
	return nil, false
}
