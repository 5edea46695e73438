package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/follow"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// The canary proves, once a minute, that revocations reach verifiers: one
// process revokes an id that no token has and follows the public feed like any
// guard, over the network and the proxies in front, until the id is dead there.
const (
	canaryEvery = time.Minute
	// canaryPatience is how long it waits for the feed, and then for the id.
	canaryPatience = 10 * time.Second
	// canaryKeep is how long verifiers remember the id.
	canaryKeep = 2 * time.Minute
	// promised is how long a revocation may take, and lateAfter how often in a row
	// it may take longer before that is trouble.
	promised  = time.Second
	lateAfter = 3
	// mentionEvery is how often trouble that goes on is in the log.
	mentionEvery = time.Hour
)

// measurement is what a canary found.
type measurement struct {
	Node  string        `json:"node"`            // that measured
	At    time.Time     `json:"-"`               // by the database
	Delay time.Duration `json:"delay"`           // from the revocation to its effect
	Fault string        `json:"fault,omitempty"` // why there is no delay
}

// canary follows the feed, from its first measurement on.
type canary struct {
	mu        sync.Mutex
	follower  *follow.Follower
	changed   chan struct{}
	last      measurement // of any process
	measured  int64       // how many
	late      int         // in a row
	mentioned time.Time
	failing   bool
}

// sing is the duty: one measurement.
func (p *Parts) sing(ctx context.Context) error {
	m := measurement{Node: p.node}
	delay, err := p.measure(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if m.Delay = delay; err != nil {
		m.Fault = err.Error()
	}
	p.mention(m)
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return p.Store.Tell(ctx, iam.Change{Kind: iam.ChangeCanary, Subject: string(text)})
}

// measure revokes an id and waits until it is dead at a verifier.
func (p *Parts) measure(ctx context.Context) (time.Duration, error) {
	f, changed, err := p.canary.open(p.issuer)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*canaryPatience)
	defer cancel()
	if err := becomeFresh(ctx, f); err != nil {
		return 0, err
	}
	id := iam.NewTokenID()
	marks := f.Set().Marks(feed.Subject{TokenID: string(id)})
	if _, dead := f.Set().Revoked(marks); dead {
		return 0, errors.New("an id that was never used is revoked")
	}
	began := time.Now()
	if err := p.Store.RevokeNothing(ctx, id, canaryKeep); err != nil {
		return 0, fmt.Errorf("revoke: %w", err)
	}
	limit := time.NewTimer(canaryPatience)
	defer limit.Stop()
	for {
		if _, dead := f.Set().Revoked(marks); dead {
			return time.Since(began), nil
		}
		select {
		case <-changed:
		case <-limit.C:
			return 0, fmt.Errorf("a revocation did not reach a verifier within %s", canaryPatience)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func becomeFresh(ctx context.Context, f *follow.Follower) error {
	limit, tick := time.After(canaryPatience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !f.Fresh() {
		select {
		case <-tick.C:
		case <-limit:
			cause := f.Wait(ctx, time.Millisecond)
			if cause == nil {
				cause = errors.New("it is stale")
			}
			return fmt.Errorf("the feed cannot be read at the issuer's own address: %w", cause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// open connects to the feed, where every verifier does.
func (c *canary) open(issuer string) (*follow.Follower, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.follower == nil {
		changed := make(chan struct{}, 1)
		f, err := follow.New(follow.Config{Issuer: issuer, Changed: func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		}})
		if err != nil {
			return nil, nil, err
		}
		f.Found(follow.Places{Feed: issuer + oauth.FeedPath, Keys: issuer + oauth.FeedKeysPath})
		f.Start()
		c.follower, c.changed = f, changed
	}
	return c.follower, c.changed, nil
}

func (p *Parts) endCanary() {
	if err := p.canary.close(); err != nil {
		p.logger.Error("canary not ended", "cause", err)
	}
}

func (c *canary) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.follower == nil {
		return nil
	}
	err := c.follower.Close()
	c.follower = nil
	return err
}

// hear takes a measurement of this process or another.
func (c *canary) hear(m measurement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !m.At.After(c.last.At) {
		return
	}
	c.last = m
	c.measured++
	if m.Fault == "" && m.Delay <= promised {
		c.late = 0
		return
	}
	c.late++
}

// mention says in the log that the promise is not kept, and that it is again.
func (p *Parts) mention(m measurement) {
	c := &p.canary
	c.mu.Lock()
	defer c.mu.Unlock()
	bad := m.Fault != "" || m.Delay > promised
	switch {
	case bad && (!c.failing || time.Since(c.mentioned) > mentionEvery):
		c.mentioned = time.Now()
		if m.Fault != "" {
			p.logger.Warn("it is not known how long revocations take: see the canary in docs/guides/several-nodes.md", "issuer", p.issuer, "cause", m.Fault)
		} else {
			p.logger.Warn("revocations reach verifiers late", "revocation_delay_seconds", m.Delay.Seconds())
		}
	case !bad && c.failing:
		p.logger.Info("revocations reach verifiers in time", "revocation_delay_seconds", m.Delay.Seconds())
	}
	c.failing = bad
}

// hearCanary takes what this process and the others measured.
func (p *Parts) hearCanary(changes []iam.Change) {
	for _, c := range changes {
		var m measurement
		if c.Kind == iam.ChangeCanary && json.Unmarshal([]byte(c.Subject), &m) == nil {
			m.At = c.At
			p.canary.hear(m)
		}
	}
}

// Troubles are what somebody should know of a server that is ready all the same.
func (p *Parts) Troubles() []string {
	p.canary.mu.Lock()
	defer p.canary.mu.Unlock()
	if p.canary.late < lateAfter || p.canary.last.Fault != "" {
		return nil
	}
	return []string{fmt.Sprintf("revocations reach verifiers after %s, %d times in a row more than %s", p.canary.last.Delay.Round(time.Millisecond), p.canary.late, promised)}
}
