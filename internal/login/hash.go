package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// Argon2id parameters: OWASP's second choice, 2 passes over 19 MiB in 1 lane
// (map.md decision 10). They are part of every hash, so they can be raised.
const (
	argonTime   = 2
	argonMemory = 19 * 1024 // KiB
	argonLanes  = 1
	saltLength  = 16
	hashLength  = 32
)

// queueDeadline is how long a login waits for a hashing slot before it is told
// to come back: unbounded concurrency gains nothing and takes 19 MiB each.
const queueDeadline = 2 * time.Second

// ErrBusy says that all hashing slots were taken until the deadline.
var ErrBusy = errors.New("password hashing is busy")

// Passwords hashes and verifies behind a bounded queue. Safe for concurrent use.
type Passwords struct {
	slots chan struct{}
	// dummy is verified for a user who does not exist, so that both answers
	// cost one hash of the same parameters.
	dummy string
	// deadline bounds the wait for a slot.
	deadline time.Duration
	// operations counts hashes: equal cost is a promise that can be measured.
	operations atomic.Int64
}

// Operations is how many hashes were computed so far.
func (p *Passwords) Operations() int64 { return p.operations.Load() }

// NewPasswords makes a queue with one slot for each processor.
func NewPasswords() *Passwords { return NewPasswordsFor(runtime.GOMAXPROCS(0), queueDeadline) }

// NewPasswordsFor makes a queue with slots hashes at once, where a caller waits
// at most deadline for one.
func NewPasswordsFor(slots int, deadline time.Duration) *Passwords {
	salt := make([]byte, saltLength)
	rand.Read(salt)
	return &Passwords{slots: make(chan struct{}, slots), deadline: deadline, dummy: phc(salt, make([]byte, hashLength))}
}

// Check is CheckPassword, for those who are handed Passwords as an interface.
func (*Passwords) Check(password string, context ...string) error {
	return CheckPassword(password, context...)
}

// Hash returns the PHC string of a password. ErrBusy when no slot was free in time.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLength)
	rand.Read(salt)
	key, err := p.derive(ctx, password, salt, argonTime, argonMemory, argonLanes, hashLength)
	if err != nil {
		return "", err
	}
	return phc(salt, key), nil
}

// Verify tells whether password is the one behind a PHC string. It performs
// exactly one hash operation whatever the string is: an empty or unreadable
// one is verified against a dummy and never matches.
func (p *Passwords) Verify(ctx context.Context, hash, password string) (bool, error) {
	parsed, err := parsePHC(hash)
	real := err == nil
	if !real {
		parsed, _ = parsePHC(p.dummy)
	}
	key, err := p.derive(ctx, password, parsed.salt, parsed.time, parsed.memory, parsed.lanes, uint32(len(parsed.key)))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, parsed.key) == 1 && real, nil
}

func (p *Passwords) derive(ctx context.Context, password string, salt []byte, time, memory uint32, lanes uint8, length uint32) ([]byte, error) {
	release, err := p.wait(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	p.operations.Add(1)
	return argon2.IDKey([]byte(normalize(password)), salt, time, memory, lanes, length), nil
}

func (p *Passwords) wait(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.deadline, ErrBusy)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

type phcHash struct {
	time, memory uint32
	lanes        uint8
	salt, key    []byte
}

func phc(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

var errPHC = errors.New("not an argon2id PHC string")

// parsePHC reads a hash and bounds its cost, so that a row in the database
// cannot make a login take gigabytes.
func parsePHC(s string) (phcHash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phcHash{}, errPHC
	}
	var h phcHash
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.lanes); err != nil {
		return phcHash{}, errPHC
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.key, err2 = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	bounded := h.memory >= 8 && h.memory <= 256*1024 && h.time >= 1 && h.time <= 16 && h.lanes >= 1 && h.lanes <= 16
	if err1 != nil || err2 != nil || !bounded || len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 64 {
		return phcHash{}, errPHC
	}
	return h, nil
}
