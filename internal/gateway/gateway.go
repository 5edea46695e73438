package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
)

// defaultTimeout is how long the upstream may think before it answers.
const defaultTimeout = 60 * time.Second

// Config of a Gateway. Policy, or PolicyFile, is required.
type Config struct {
	// Policy is the text of a policy, where there is no file.
	Policy []byte
	// PolicyFile is read at the start and at each Reload.
	PolicyFile string
	// Upstream is where admitted requests go: http, https or h2c (HTTP/2 in the
	// clear, for gRPC), without a path. Empty: the policy's.
	Upstream string
	// ForwardAuth says which headers of a proxy carry the request that it asks
	// about. Zero: no forward-auth.
	ForwardAuth Carrier
	// TrustedProxies, beside the policy's, may ask at /forward-auth and say for
	// whom they call. Nobody else is believed.
	TrustedProxies []netip.Prefix
	// ProxiesOnly refuses all other peers, on a listener without TLS.
	ProxiesOnly bool
	// Data is a folder of this gateway's own, for its identity key and for
	// copies of the issuers' keys. Empty: neither.
	Data string
	// KeyFile has the key that seals what lies in Data or Database. Empty: one in
	// Data, made when there is none.
	KeyFile string
	// Database is where several gateways keep the sessions of browsers together,
	// as postgres://USER@HOST/DATABASE. Empty: a file in Data.
	Database         string
	DatabasePassword string
	// Reader is this API's client at the issuer, which is asked about tokens while
	// revocations are not known. Zero: the BFF's client, or nobody.
	Reader guard.Reader
	// IdentityIssuer names this gateway in the identities that it signs.
	IdentityIssuer string
	// Timeout is how long the upstream may think: 0 means a minute.
	Timeout time.Duration
	// BFF signs browsers in. Nil: requests bring tokens themselves.
	BFF *BFF
	// Decisions gets each decision as a line of JSON. Nil: none.
	Decisions io.Writer
	// Logger is required.
	Logger *slog.Logger

	now    func() time.Time
	client *http.Client // to the issuers; nil: guard's own
}

// Gateway answers for the API behind it. Safe for concurrent use.
type Gateway struct {
	config    Config
	logger    *slog.Logger
	now       func() time.Time
	clock     func() time.Time // of a test; nil: the real one
	decisions *decisionLog
	bff       *bff // nil: none
	running   running
	counts    counts
	closed    chan struct{}
	tending   sync.WaitGroup

	reload sync.Mutex
	rules  atomic.Pointer[rules]
}

// New reads the policy and checks everything; an issuer is not asked before
// the first request.
func New(c Config) (*Gateway, error) {
	clock := c.now
	if c.now == nil {
		c.now = time.Now
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	g := &Gateway{config: c, logger: c.Logger, now: c.now, clock: clock, closed: make(chan struct{})}
	if err := g.Reload(); err != nil {
		return nil, err
	}
	if c.BFF != nil {
		settled := *c.BFF
		settled.Issuer, _ = g.bffIssuer(g.rules.Load().policy.Tokens()) // the policy was read with it
		var err error
		if g.bff, err = g.openBFF(settled); err != nil {
			return nil, errors.Join(err, g.rules.Load().guard.Close())
		}
		// A policy that is read later must go on taking what people log in for.
		g.config.BFF = &settled
	}
	g.decisions = newDecisionLog(c.Decisions, c.Logger)
	g.tending.Go(g.tend)
	return g, nil
}

// Close ends the background work.
func (g *Gateway) Close() error {
	close(g.closed)
	g.tending.Wait()
	g.decisions.close()
	return errors.Join(g.rules.Load().guard.Close(), g.bff.close())
}

// Reload reads the policy again. A policy with a fault changes nothing. Open
// requests end under the policy that admitted them.
func (g *Gateway) Reload() error {
	g.reload.Lock()
	defer g.reload.Unlock()
	text, name := g.config.Policy, "policy"
	if g.config.PolicyFile != "" {
		var err error
		if text, err = os.ReadFile(g.config.PolicyFile); err != nil {
			return fmt.Errorf("read the policy: %w", err)
		}
		name = g.config.PolicyFile
	}
	old := g.rules.Load()
	made, err := g.compile(text, name, old)
	if err != nil {
		return err
	}
	g.rules.Store(made)
	if old != nil && old.guard != made.guard {
		g.tending.Go(func() { g.leave(old.guard) })
	}
	return nil
}

// leaveAfter is how long a guard that a new policy replaced is kept at least:
// requests that began with the old policy may still verify with it.
const leaveAfter = time.Minute

// leave closes a guard when no request that it admitted is under way any more.
func (g *Gateway) leave(old *guard.Guard) {
	defer old.Close()
	tick := time.NewTicker(leaveAfter)
	defer tick.Stop()
	for {
		select {
		case <-g.closed:
			return
		case <-tick.C:
			if !g.running.uses(old) {
				return
			}
		}
	}
}

// watchEvery is how often the policy's file is looked at.
const watchEvery = time.Second

// Watch takes up changes of the policy's file, and reads it when asked, until
// ctx ends. What is wrong with a new policy goes to the log; the old one stays.
func (g *Gateway) Watch(ctx context.Context, asked <-chan os.Signal) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := g.stamp()
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
		case <-tick.C:
			if g.stamp() == seen {
				continue
			}
		}
		seen = g.stamp() // before reading: what is written meanwhile is read the next time
		if err := g.Reload(); err != nil {
			g.logger.Error("the new policy cannot be used; the old one stays", "cause", err)
			continue
		}
		g.logger.Info("policy read", "file", g.config.PolicyFile, "routes", len(g.rules.Load().policy.Routes()))
	}
}

type stamp struct {
	size int64
	at   time.Time
}

func (g *Gateway) stamp() stamp {
	info, err := os.Stat(g.config.PolicyFile)
	if g.config.PolicyFile == "" || err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime()}
}

// ServeHTTP is the whole gateway.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rules := g.rules.Load()
	id := strings.ToLower(rand.Text())[:16]
	w.Header()["X-Request-Id"] = []string{id}
	trusted := rules.trusts(peer(r))
	own := rules.own[path(r.RequestURI)]
	switch {
	case own == ownForwardAuth && (trusted || rules.proxy == nil):
		g.forwardAuth(w, r, rules, id, trusted)
	case own == ownHealth && reading(r):
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	case own == ownReady && reading(r):
		g.ready(w, r, rules)
	case g.config.ProxiesOnly && !trusted:
		g.refuse(w, id, refusal{status: http.StatusForbidden, code: "access_denied", sentence: "This server is reached through its proxy only."})
	case g.bff != nil && !g.bff.named(r.Host):
		g.refuse(w, id, refusal{status: http.StatusMisdirectedRequest, code: "invalid_request", sentence: "This server answers as " + g.bff.host + " only."})
	case own == ownMetadata && reading(r):
		rules.metadata[path(r.RequestURI)].ServeHTTP(w, r)
	case own == ownIdentityKeys && reading(r):
		rules.identity.keys().ServeHTTP(w, r)
	case rules.proxy == nil:
		g.refuse(w, id, refusal{status: http.StatusNotFound, code: "not_found", sentence: "This gateway answers other proxies only, at /forward-auth."})
	case g.bff != nil:
		g.bff.serve(w, r, rules, id, trusted)
	default:
		g.proxy(w, r, rules, id, trusted)
	}
}

func reading(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// path is the target without the query, as received.
func path(target string) string {
	before, _, _ := strings.Cut(target, "?")
	return before
}

func peer(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}

// readyPatience is how long a readiness check waits for an issuer.
const readyPatience = 3 * time.Second

// ready says whether tokens can be verified, and why not.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request, rules *rules) {
	ctx, cancel := context.WithTimeout(r.Context(), readyPatience)
	defer cancel()
	err := rules.guard.Ready(ctx)
	if err == nil && g.bff != nil {
		if trouble := g.bff.visits.Ready(ctx); trouble != nil { // its text may name hosts
			g.logger.Warn("not ready", "cause", trouble)
			err = errors.New("the sessions of browsers cannot be read")
		}
	}
	if err != nil {
		w.Header().Set("Retry-After", "1")
		writeJSON(w, http.StatusServiceUnavailable, readiness{Status: "unavailable", Reason: err.Error(), Revocations: feedOf(rules.guard)})
		return
	}
	writeJSON(w, http.StatusOK, readiness{Status: "ok", Revocations: feedOf(rules.guard)})
}

type readiness struct {
	Status      string     `json:"status"`
	Reason      string     `json:"reason,omitempty"`
	Revocations *feedState `json:"revocations,omitempty"` // none: no issuer has a feed
}

// feedState is how well revocations are known.
type feedState struct {
	Age   float64 `json:"age_seconds"` // since all of them were known
	Stale bool    `json:"stale"`       // routes do as their on_stale says
}

func feedOf(g *guard.Guard) *feedState {
	age, heard := g.FeedAge()
	if !heard {
		return nil
	}
	return &feedState{Age: age.Round(time.Millisecond).Seconds(), Stale: age > staleFeed}
}

// ErrNothingToDo is a configuration without upstream and without forward-auth.
var ErrNothingToDo = errors.New("neither an upstream to forward to, nor proxies to answer")
