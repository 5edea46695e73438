package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Deliveries of logout tokens.
const (
	deliverEvery = 500 * time.Millisecond
	deliverBatch = 16
)

// noLogouts tells whether no client waits to hear of a logout.
func (p *Parts) noLogouts(ctx context.Context) (bool, error) {
	waiting, err := p.Store.HasDueLogouts(ctx)
	return !waiting, err
}

// deliverDue tells clients that sessions ended (OpenID Connect Back-Channel
// Logout). What is due is in the store, so a restart loses nothing, and of
// several processes one takes each delivery.
func (p *Parts) deliverDue(ctx context.Context) error {
	due, err := p.Store.DueLogouts(ctx, deliverBatch)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	faults := make([]error, len(due))
	for i, d := range due {
		running.Go(func() { faults[i] = p.deliverOne(ctx, d) })
	}
	running.Wait()
	return errors.Join(faults...)
}

// retryAfter is the pause after each attempt; the last one is repeated until
// the delivery expires.
var retryAfter = []time.Duration{2 * time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}

func (p *Parts) deliverOne(ctx context.Context, d iam.LogoutDelivery) error {
	client, err := p.Store.Client(ctx, d.ClientID)
	if errors.Is(err, iam.ErrNotFound) || err == nil && (client.Disabled || client.BackchannelLogoutURI == "") {
		return p.finishLogout(ctx, d, iam.EventLogoutGivenUp, "the client does not want to know any more")
	}
	if err != nil {
		return fmt.Errorf("read client: %w", err)
	}
	failed := p.tellLogout(ctx, client, d)
	if failed == nil {
		return p.finishLogout(ctx, d, iam.EventLogoutDelivered, "")
	}
	if ctx.Err() != nil {
		return nil // we stop: the lease ends, and the next process tries again
	}
	pause := retryAfter[min(d.Attempts, len(retryAfter))-1]
	p.logger.Warn("logout not delivered", "client_id", d.ClientID, "attempt", d.Attempts, "again_in", pause.String(), "cause", failed)
	if p.now().Add(pause).After(d.Expires) {
		return p.finishLogout(ctx, d, iam.EventLogoutGivenUp, failed.Error())
	}
	return p.Store.RetryLogout(ctx, d, pause)
}

// tellLogout posts the logout token. Each attempt signs a new one: a token that
// was kept for an hour would have expired.
func (p *Parts) tellLogout(ctx context.Context, client iam.Client, d iam.LogoutDelivery) error {
	raw, err := p.Tokens.LogoutToken(ctx, client, d)
	if err != nil {
		return err
	}
	body := url.Values{"logout_token": {raw}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, client.BackchannelLogoutURI, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := p.outgoing.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the client answered %s", response.Status)
	}
	return nil
}

func (p *Parts) finishLogout(ctx context.Context, d iam.LogoutDelivery, kind, why string) error {
	event := iam.Event{ID: iam.NewEventID(), Kind: kind, Actor: "system", UserID: d.UserID, ClientID: d.ClientID, Subject: string(d.SessionID), Detail: map[string]string{"attempts": fmt.Sprint(d.Attempts)}}
	if why != "" {
		event.Detail["cause"] = iam.Printable(why, 200)
	}
	return p.Store.FinishLogout(ctx, d.ID, event)
}
