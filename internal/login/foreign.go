package login

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// foreignMark begins a hash of another system, which hashed the bytes as they
// were typed; ours are of the NFKC form. It tells an imported Argon2id hash
// from one of ours with the same parameters.
const foreignMark = "{raw}"

// Bounds of what a stored hash may cost, so that a row in the database cannot
// make a login take gigabytes or minutes. Each is about two seconds on a slow
// core, and above what the systems that people come from use by default.
const (
	maxMemory      = 256 * 1024  // KiB, of Argon2 and scrypt
	maxArgonWork   = 1024 * 1024 // KiB times passes
	maxScryptWork  = 1 << 22     // N times r times p
	maxBcryptCost  = 14
	maxIterations  = 3_000_000 // of PBKDF2, times blocks
	maxHashText    = 1024
	bcryptReads    = 72
	shortestKey    = 16
	longestKey     = 128
	shortestSalt   = 4
	longestSalt    = 256
	maxParallelism = 16
	maxPasses      = 64
)

// parsedHash is a hash that can be compared with a password.
type parsedHash struct {
	scheme  string // for the journal
	foreign bool   // of the bytes as typed, not of their NFKC form
	current bool   // what Hash makes today
	memory  uint32 // KiB
	reads   int    // bytes of the password that count; 0: all
	matches func(password []byte) bool
}

var (
	errHashForm = errors.New("its form is none of those that docs/guides/logins.md lists")
	errHashCost = errors.New("its cost is beyond what a login may take (docs/guides/logins.md has the bounds)")
	errHashText = errors.New("its salt or digest is too short, too long or not readable")
)

// parseHash reads a hash of ours or of another system.
func parseHash(s string) (parsedHash, error) {
	if len(s) > maxHashText {
		return parsedHash{}, errHashForm
	}
	bare := s
	for _, prefix := range []string{foreignMark, "{bcrypt}", "{argon2}"} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	for _, f := range hashForms {
		if rest, ok := strings.CutPrefix(bare, f.prefix); ok {
			h, err := f.parse(rest)
			if err != nil {
				return parsedHash{}, err
			}
			h.scheme = f.scheme
			h.foreign = f.scheme != "argon2id" || bare != s
			h.current = h.current && !h.foreign
			return h, nil
		}
	}
	return parsedHash{}, errHashForm
}

// hashForms by what they begin with; a longer beginning stands before a shorter one.
var hashForms = []struct {
	prefix, scheme string
	parse          func(rest string) (parsedHash, error)
}{
	{"$argon2id$", "argon2id", parseArgon(argon2.IDKey)},
	{"$argon2i$", "argon2i", parseArgon(argon2.Key)},
	{"argon2$argon2id$", "argon2id (Django)", parseArgon(argon2.IDKey)},
	{"argon2$argon2i$", "argon2i (Django)", parseArgon(argon2.Key)},
	{"bcrypt_sha256$", "bcrypt of SHA-256 (Django)", parseDigestedBcrypt},
	{"bcrypt$", "bcrypt (Django)", parseBcrypt},
	{"$2", "bcrypt", func(rest string) (parsedHash, error) { return parseBcrypt("$2" + rest) }},
	{"$scrypt$", "scrypt", parseScrypt},
	{"scrypt$", "scrypt (Django)", parseDjangoScrypt},
	{"scrypt:", "scrypt (Werkzeug)", parseWerkzeugScrypt},
	{"$pbkdf2$", "PBKDF2-SHA1", parsePBKDF2(sha1.New)},
	{"$pbkdf2-sha1$", "PBKDF2-SHA1", parsePBKDF2(sha1.New)},
	{"$pbkdf2-sha256$", "PBKDF2-SHA256", parsePBKDF2(sha256.New)},
	{"$pbkdf2-sha512$", "PBKDF2-SHA512", parsePBKDF2(sha512.New)},
	{"pbkdf2_sha1$", "PBKDF2-SHA1 (Django)", parseDjangoPBKDF2(sha1.New)},
	{"pbkdf2_sha256$", "PBKDF2-SHA256 (Django)", parseDjangoPBKDF2(sha256.New)},
	{"pbkdf2:sha1:", "PBKDF2-SHA1 (Werkzeug)", parseWerkzeugPBKDF2(sha1.New)},
	{"pbkdf2:sha256:", "PBKDF2-SHA256 (Werkzeug)", parseWerkzeugPBKDF2(sha256.New)},
	{"pbkdf2:sha512:", "PBKDF2-SHA512 (Werkzeug)", parseWerkzeugPBKDF2(sha512.New)},
}

type argonKey func(password, salt []byte, time, memory uint32, lanes uint8, length uint32) []byte

// parseArgon reads v=19$m=…,t=…,p=…$salt$digest.
func parseArgon(derive argonKey) func(string) (parsedHash, error) {
	return func(rest string) (parsedHash, error) {
		parts := strings.Split(rest, "$")
		if len(parts) != 4 || parts[0] != fmt.Sprintf("v=%d", argon2.Version) {
			return parsedHash{}, errHashForm
		}
		n, err := numbers(parts[1], "m", "t", "p")
		if err != nil {
			return parsedHash{}, err
		}
		memory, time, lanes := n[0], n[1], n[2]
		if lanes < 1 || lanes > maxParallelism || memory < 8*lanes || memory > maxMemory || time < 1 || time > maxPasses || memory*time > maxArgonWork {
			return parsedHash{}, errHashCost
		}
		salt, key, err := saltAndKey(parts[2], parts[3])
		if err != nil || len(salt) < 8 {
			return parsedHash{}, errHashText
		}
		return parsedHash{
			memory:  uint32(memory),
			current: memory == argonMemory && time == argonTime && lanes == argonLanes && len(key) == hashLength && len(salt) == saltLength,
			matches: func(password []byte) bool {
				return same(derive(password, salt, uint32(time), uint32(memory), uint8(lanes), uint32(len(key))), key)
			},
		}, nil
	}
}

var bcryptForm = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)

// parseBcrypt reads $2b$12$…; $2x$ is of a broken implementation and refused.
//
// bcrypt reads 72 bytes and no more. A longer password is compared by its first
// 72, as the system did that made the hash; the verdict says so. It also ends a
// password at a zero byte and begins it again, so one with a zero byte never
// matches.
func parseBcrypt(s string) (parsedHash, error) {
	m := bcryptForm.FindStringSubmatch(s)
	if m == nil {
		return parsedHash{}, errHashForm
	}
	if cost, _ := strconv.Atoi(m[1]); cost < bcrypt.MinCost || cost > maxBcryptCost {
		return parsedHash{}, errHashCost
	}
	return parsedHash{memory: 4, reads: bcryptReads, matches: func(password []byte) bool {
		hasZero := slices.Contains(password, 0)
		return bcrypt.CompareHashAndPassword([]byte(s), password[:min(len(password), bcryptReads)]) == nil && !hasZero
	}}, nil
}

// parseDigestedBcrypt is Django's way around the 72 bytes.
func parseDigestedBcrypt(rest string) (parsedHash, error) {
	h, err := parseBcrypt(rest)
	if err != nil {
		return h, err
	}
	inner := h.matches
	h.reads = 0
	h.matches = func(password []byte) bool {
		digest := sha256.Sum256(password)
		return inner([]byte(hex.EncodeToString(digest[:])))
	}
	return h, nil
}

// parseScrypt reads ln=…,r=…,p=…$salt$digest.
func parseScrypt(rest string) (parsedHash, error) {
	parts := strings.Split(rest, "$")
	if len(parts) != 3 {
		return parsedHash{}, errHashForm
	}
	n, err := numbers(parts[0], "ln", "r", "p")
	if err != nil {
		return parsedHash{}, err
	}
	salt, key, err := saltAndKey(parts[1], parts[2])
	if err != nil {
		return parsedHash{}, err
	}
	if n[0] > 30 {
		return parsedHash{}, errHashCost
	}
	return scryptOf(1<<n[0], n[1], n[2], salt, key)
}

// parseDjangoScrypt reads N$salt$r$p$digest, where the salt is text.
func parseDjangoScrypt(rest string) (parsedHash, error) {
	parts := strings.Split(rest, "$")
	if len(parts) != 5 {
		return parsedHash{}, errHashForm
	}
	n, err := values(parts[0], parts[2], parts[3])
	if err != nil {
		return parsedHash{}, err
	}
	key, err := decodeBase64(parts[4])
	if err != nil {
		return parsedHash{}, err
	}
	return scryptOf(n[0], n[1], n[2], []byte(parts[1]), key)
}

// parseWerkzeugScrypt reads N:r:p$salt$digest, where the salt is text and the
// digest hexadecimal.
func parseWerkzeugScrypt(rest string) (parsedHash, error) {
	parts := strings.Split(rest, "$")
	if len(parts) != 3 {
		return parsedHash{}, errHashForm
	}
	n, err := values(strings.Split(parts[0], ":")...)
	if err != nil || len(n) != 3 {
		return parsedHash{}, errHashForm
	}
	key, err := hex.DecodeString(parts[2])
	if err != nil {
		return parsedHash{}, errHashText
	}
	return scryptOf(n[0], n[1], n[2], []byte(parts[1]), key)
}

func scryptOf(n, r, p int, salt, key []byte) (parsedHash, error) {
	if n < 2 || n&(n-1) != 0 || n > 1<<22 || r < 1 || r > 64 || p < 1 || p > maxParallelism || n*r > maxMemory*8 || n*r*p > maxScryptWork {
		return parsedHash{}, errHashCost
	}
	if err := checkLengths(salt, key); err != nil {
		return parsedHash{}, err
	}
	return parsedHash{memory: uint32(n * r / 8), matches: func(password []byte) bool {
		derived, err := scrypt.Key(password, salt, n, r, p, len(key))
		return err == nil && same(derived, key)
	}}, nil
}

// parsePBKDF2 reads 29000$salt$digest, as passlib writes it, and i=29000$salt$digest.
func parsePBKDF2(digest func() hash.Hash) func(string) (parsedHash, error) {
	return func(rest string) (parsedHash, error) {
		parts := strings.Split(rest, "$")
		if len(parts) != 3 {
			return parsedHash{}, errHashForm
		}
		rounds, length, hasLength := strings.Cut(strings.TrimPrefix(parts[0], "i="), ",l=")
		salt, key, err := saltAndKey(parts[1], parts[2])
		if err != nil {
			return parsedHash{}, err
		}
		if hasLength && length != strconv.Itoa(len(key)) {
			return parsedHash{}, errHashText
		}
		return pbkdf2Of(digest, rounds, salt, key)
	}
}

// parseDjangoPBKDF2 reads 870000$salt$digest, where the salt is text.
func parseDjangoPBKDF2(digest func() hash.Hash) func(string) (parsedHash, error) {
	return func(rest string) (parsedHash, error) {
		parts := strings.Split(rest, "$")
		if len(parts) != 3 {
			return parsedHash{}, errHashForm
		}
		key, err := decodeBase64(parts[2])
		if err != nil {
			return parsedHash{}, err
		}
		return pbkdf2Of(digest, parts[0], []byte(parts[1]), key)
	}
}

// parseWerkzeugPBKDF2 reads 600000$salt$digest, where the salt is text and the
// digest hexadecimal.
func parseWerkzeugPBKDF2(digest func() hash.Hash) func(string) (parsedHash, error) {
	return func(rest string) (parsedHash, error) {
		parts := strings.Split(rest, "$")
		if len(parts) != 3 {
			return parsedHash{}, errHashForm
		}
		key, err := hex.DecodeString(parts[2])
		if err != nil {
			return parsedHash{}, errHashText
		}
		return pbkdf2Of(digest, parts[0], []byte(parts[1]), key)
	}
}

func pbkdf2Of(digest func() hash.Hash, rounds string, salt, key []byte) (parsedHash, error) {
	n, err := values(rounds)
	if err != nil {
		return parsedHash{}, err
	}
	if err := checkLengths(salt, key); err != nil {
		return parsedHash{}, err
	}
	blocks := (len(key) + digest().Size() - 1) / digest().Size()
	if n[0] < 1 || n[0]*blocks > maxIterations {
		return parsedHash{}, errHashCost
	}
	return parsedHash{matches: func(password []byte) bool {
		derived, err := pbkdf2.Key(digest, string(password), salt, n[0], len(key))
		return err == nil && same(derived, key)
	}}, nil
}

// numbers reads name=value pairs in any order; each name exactly once, no other.
func numbers(s string, names ...string) ([]int, error) {
	found := make([]string, len(names))
	for pair := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(pair, "=")
		i := slices.Index(names, name)
		if i < 0 || found[i] != "" {
			return nil, errHashForm
		}
		found[i] = value
	}
	return values(found...)
}

// values reads decimal numbers of at most eight digits, so that the products of
// three still fit.
func values(texts ...string) ([]int, error) {
	var all []int
	for _, s := range texts {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil || len(s) > 8 {
			return nil, errHashForm
		}
		all = append(all, int(n))
	}
	return all, nil
}

func saltAndKey(saltText, keyText string) (salt, key []byte, err error) {
	if salt, err = decodeBase64(saltText); err != nil {
		return nil, nil, err
	}
	if key, err = decodeBase64(keyText); err != nil {
		return nil, nil, err
	}
	return salt, key, checkLengths(salt, key)
}

func checkLengths(salt, key []byte) error {
	if len(salt) < shortestSalt || len(salt) > longestSalt || len(key) < shortestKey || len(key) > longestKey {
		return errHashText
	}
	return nil
}

// decodeBase64 reads the standard alphabet, or passlib's with . for +, with or
// without padding.
func decodeBase64(s string) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(strings.ReplaceAll(s, ".", "+"), "="))
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, errHashText
	}
	return b, nil
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
