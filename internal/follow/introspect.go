package follow

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of asking. While the feed is stale every request may want an answer.
const (
	askTimeout = 3 * time.Second
	// An answer, good or bad, is good for a moment.
	answerLife = time.Second
	maxAnswers = 4096
	// maxAsks questions are under way at once; whoever comes then is told that
	// nothing is known.
	maxAsks = 64
	// After a failure nobody is asked for askPause, so that an issuer that is down
	// costs a request nothing.
	askPause       = time.Second
	maxAnswerBytes = 64 << 10
)

// ErrUnknown says that the issuer could not be asked about a token.
var ErrUnknown = errors.New("the issuer could not be asked about the token")

// Reader is a client of the issuer that may ask about tokens of this API and
// read a private feed (C19). The zero Reader is none.
type Reader struct{ ClientID, ClientSecret string }

// asker asks the introspection endpoint (RFC 7662), once at a time for a token.
type asker struct {
	client *http.Client
	reader Reader
	now    func() time.Time
	ctx    context.Context
	ended  *sync.WaitGroup

	mu       sync.Mutex
	address  string
	flights  map[[32]byte]*flight
	answers  map[[32]byte]answer
	failed   time.Time
	lastFail error
}

type flight struct {
	done   chan struct{}
	active bool
	err    error
}

type answer struct {
	active bool
	at     time.Time
}

func (a *asker) possible() bool { return a.reader.ClientID != "" }

func (a *asker) at(address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if address != "" {
		a.address = address
	}
}

// ask tells whether a token is live. ErrUnknown when that cannot be had.
func (a *asker) ask(ctx context.Context, raw string) (bool, error) {
	f, err := a.join(sha256.Sum256([]byte(raw)), raw)
	if err != nil {
		return false, err
	}
	select {
	case <-f.done:
		return f.active, f.err
	case <-ctx.Done():
		return false, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// join finds the answer or the question under way, or begins one, on our own
// time: a caller that gives up does not end it for the others.
func (a *asker) join(digest [32]byte, raw string) (*flight, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if old, ok := a.answers[digest]; ok && now.Sub(old.at) < answerLife {
		f := &flight{done: make(chan struct{}), active: old.active}
		close(f.done)
		return f, nil
	}
	if f := a.flights[digest]; f != nil {
		return f, nil
	}
	switch {
	case !a.possible():
		return nil, fmt.Errorf("%w: there is no reader credential", ErrUnknown)
	case a.address == "":
		return nil, fmt.Errorf("%w: its introspection endpoint is not known", ErrUnknown)
	case a.lastFail != nil && now.Sub(a.failed) < askPause:
		return nil, a.lastFail
	case len(a.flights) >= maxAsks:
		return nil, fmt.Errorf("%w: %d questions are under way", ErrUnknown, maxAsks)
	case a.ctx.Err() != nil:
		return nil, fmt.Errorf("%w: closed", ErrUnknown)
	}
	f := &flight{done: make(chan struct{})}
	a.flights[digest] = f
	address := a.address
	a.ended.Go(func() {
		active, err := a.post(address, raw)
		a.settle(digest, f, active, err)
	})
	return f, nil
}

func (a *asker) settle(digest [32]byte, f *flight, active bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.flights, digest)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
		a.failed, a.lastFail = a.now(), err
	} else {
		if len(a.answers) >= maxAnswers {
			clear(a.answers)
		}
		a.lastFail, a.answers[digest] = nil, answer{active: active, at: a.now()}
	}
	f.active, f.err = active, err
	close(f.done)
}

func (a *asker) post(address, raw string) (bool, error) {
	ctx, cancel := context.WithTimeout(a.ctx, askTimeout)
	defer cancel()
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	a.reader.sign(request)
	response, err := a.client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s answered %s", address, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err == nil && len(body) > maxAnswerBytes {
		err = fmt.Errorf("larger than %d bytes", maxAnswerBytes)
	}
	var said struct {
		Active *bool `json:"active"`
	}
	if err == nil {
		err = json.Unmarshal(body, &said)
	}
	if err == nil && said.Active == nil {
		err = errors.New("it does not say active")
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", address, err)
	}
	return *said.Active, nil
}

// sign is client_secret_basic (RFC 6749 §2.3.1).
func (r Reader) sign(request *http.Request) {
	if r.ClientID != "" {
		request.SetBasicAuth(url.QueryEscape(r.ClientID), url.QueryEscape(r.ClientSecret))
	}
}
