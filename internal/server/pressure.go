package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
)

// newThrottle counts guesses together with the other processes on the database.
func (p *Parts) newThrottle(ctx context.Context, now func() time.Time) (*throttle.Throttle, error) {
	candidate := make([]byte, 16)
	rand.Read(candidate)
	secret, err := p.Store.SharedSecret(ctx, "throttle", candidate)
	if err != nil {
		return nil, fmt.Errorf("read the throttle's secret: %w", err)
	}
	return throttle.New(throttle.Config{Now: now, Secret: secret}), nil
}

// pressure is a report on its way through the database.
type pressure struct {
	Node string `json:"node"`
	throttle.Report
}

// tellPressure tells the other processes what this one counted.
func (p *Parts) tellPressure(ctx context.Context) error {
	var changes []iam.Change
	for _, r := range p.throttle.Reports() {
		text, err := json.Marshal(pressure{p.node, r})
		if err != nil {
			return err
		}
		changes = append(changes, iam.Change{Kind: iam.ChangePressure, Subject: string(text)})
	}
	if len(changes) == 0 {
		return nil
	}
	if err := p.Store.Tell(ctx, changes...); err != nil {
		return fmt.Errorf("tell of guesses: %w", err)
	}
	return nil
}

// hearPressure counts what others told. What is not understood is of a newer
// version.
func (p *Parts) hearPressure(ctx context.Context, changes []iam.Change) error {
	var now time.Time
	for _, c := range changes {
		var heard pressure
		if c.Kind != iam.ChangePressure || json.Unmarshal([]byte(c.Subject), &heard) != nil || heard.Node == p.node {
			continue
		}
		if now.IsZero() {
			var err error
			if now, err = p.Store.Clock(ctx); err != nil {
				return fmt.Errorf("read the clock: %w", err)
			}
		}
		p.throttle.Hear(heard.Report, now.Sub(c.At))
	}
	return nil
}
