package login

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
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

// heavyMemory in KiB is from where hashes are computed one at a time: imported
// ones may need up to maxMemory each.
const heavyMemory = 64 * 1024

// Passwords hashes and verifies behind a bounded queue, and knows the rules
// for new ones. Safe for concurrent use.
type Passwords struct {
	queue *queue
	heavy chan struct{}
	// dummy is verified for a user who does not exist, so that both answers
	// cost one hash of the same parameters.
	dummy string
	rules rules
	// operations counts hashes: equal cost is a promise that can be measured.
	operations atomic.Int64
}

// PasswordConfig of Passwords; the zero value is usable.
type PasswordConfig struct {
	Slots    int           // hashes at once; 0: one for each processor
	Deadline time.Duration // the longest wait for one; 0: two seconds
	// Blocklist is the operator's; called at the first check, nil: none.
	Blocklist func() (*Blocklist, error)
	// Words that stand in no password alone, such as the host of the issuer.
	Words []string
}

// Operations is how many hashes were computed so far.
func (p *Passwords) Operations() int64 { return p.operations.Load() }

// NewPasswords makes a queue with one slot for each processor, and the rules
// without an operator's blocklist.
func NewPasswords() *Passwords { return NewPasswordsWith(PasswordConfig{}) }

// NewPasswordsFor makes a queue with slots hashes at once, where a caller waits
// at most deadline for one.
func NewPasswordsFor(slots int, deadline time.Duration) *Passwords {
	return NewPasswordsWith(PasswordConfig{Slots: slots, Deadline: deadline})
}

// NewPasswordsWith makes Passwords of a configuration.
func NewPasswordsWith(c PasswordConfig) *Passwords {
	if c.Slots == 0 {
		c.Slots = runtime.GOMAXPROCS(0)
	}
	if c.Deadline == 0 {
		c.Deadline = queueDeadline
	}
	salt := make([]byte, saltLength)
	rand.Read(salt)
	return &Passwords{
		queue: newQueue(c.Slots, c.Deadline), heavy: make(chan struct{}, 1),
		dummy: phc(salt, make([]byte, hashLength)), rules: rules{blocklist: c.Blocklist, words: c.Words},
	}
}

// Check reports why a password cannot be chosen; see CheckPassword.
func (p *Passwords) Check(password string, context ...string) error {
	return p.rules.check(password, context)
}

// Hash returns the PHC string of a password. ErrBusy when no slot was free in time.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLength)
	rand.Read(salt)
	var key []byte
	err := p.work(ctx, knownLane, argonMemory, func() {
		key = argon2.IDKey([]byte(normalize(password)), salt, argonTime, argonMemory, argonLanes, hashLength)
	})
	if err != nil {
		return "", err
	}
	return phc(salt, key), nil
}

// Import checks a hash that another system made and returns what to store. The
// error, an *iam.Invalid, says what is wrong with it and shows nothing of it.
func (p *Passwords) Import(hash string) (stored, scheme string, err error) {
	parsed, err := parseHash(hash)
	if err != nil {
		return "", "", iam.Invalidf("The password hash cannot be used: %s.", err)
	}
	if !parsed.foreign {
		hash = foreignMark + hash
	}
	return hash, parsed.scheme, nil
}

// Verify tells whether password is the one behind a hash. It performs exactly
// one hash operation whatever the hash is: an empty or unreadable one is
// verified against a dummy and never matches.
func (p *Passwords) Verify(ctx context.Context, hash, password string) (bool, error) {
	v, err := p.verify(ctx, strangerLane, hash, password)
	return v.match, err
}

// verdict is what came of a verification.
type verdict struct {
	match  bool
	scheme string
	renew  bool // the hash is not what Hash would make today
	cut    bool // only the first 72 bytes were compared: bcrypt reads no more
}

func (p *Passwords) verify(ctx context.Context, l lane, hash, password string) (verdict, error) {
	parsed, err := parseHash(hash)
	real := err == nil
	if !real {
		parsed, _ = parseHash(p.dummy)
	}
	input := []byte(password)
	if !parsed.foreign {
		input = []byte(normalize(password))
	}
	match := false
	if err := p.work(ctx, l, parsed.memory, func() { match = parsed.matches(input) }); err != nil {
		return verdict{}, err
	}
	cut := parsed.reads > 0 && len(input) > parsed.reads
	return verdict{match: match && real, scheme: parsed.scheme, renew: !parsed.current && !cut, cut: cut}, nil
}

// work computes one hash when it is its turn.
func (p *Passwords) work(ctx context.Context, l lane, memory uint32, compute func()) error {
	if memory > heavyMemory {
		release, err := p.alone(ctx)
		if err != nil {
			return err
		}
		defer release()
	}
	if err := p.queue.enter(ctx, l); err != nil {
		return err
	}
	defer p.queue.leave()
	p.operations.Add(1)
	compute()
	return nil
}

// alone waits until no other hash of much memory is computed.
func (p *Passwords) alone(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.queue.deadline, ErrBusy)
	defer cancel()
	select {
	case p.heavy <- struct{}{}:
		return func() { <-p.heavy }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func phc(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}
