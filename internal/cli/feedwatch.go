package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/follow"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
)

const (
	// watchPatience is how long the first snapshot may take.
	watchPatience = 30 * time.Second
	// beatsALine is how many heartbeats share a line where no terminal can have
	// one that changes.
	beatsALine = 10
)

var errInterrupted = errors.New("interrupted")

// watcher follows a feed and prints what it says.
type watcher struct {
	*app
	issuer   string
	reader   follow.Reader
	subject  *feed.Subject // of the token; nil: none was given
	once     bool
	entries  bool
	terminal bool
	client   *http.Client
	news     chan struct{} // something was heard

	follower *follow.Follower
	keys     *jwks.Cache
	verdict  string // of the token, as last printed
	looked   uint64 // the generation of keys that the token's key was looked up for
	gone     bool   // the issuer's keys no longer have the token's key
	away     bool   // as last printed

	mu       sync.Mutex // of what follows, and of the output
	beats    int
	pending  bool              // the terminal's last line is the counter
	snapshot map[feed.Kind]int // of the parts so far
	whole    bool              // all that is revoked was known once
	fault    error
}

// line is an event of the output; only the members that it has are printed.
type line struct {
	Event       string         `json:"event"`
	Time        time.Time      `json:"time"`
	Kind        string         `json:"kind,omitempty"`
	Fingerprint string         `json:"fingerprint,omitempty"`
	MinEpoch    *int64         `json:"min_epoch,omitempty"`
	Until       *time.Time     `json:"until,omitempty"`
	Revoked     map[string]int `json:"revoked,omitempty"`
	Salt        string         `json:"salt,omitempty"`
	Count       int            `json:"count,omitempty"`
	AgeMS       *int64         `json:"age_ms,omitempty"`
	Verdict     string         `json:"verdict,omitempty"`
	By          string         `json:"by,omitempty"`
	Cause       string         `json:"cause,omitempty"`
}

func (v *watcher) run(ctx context.Context) error {
	places, err := v.discover(ctx)
	if err != nil {
		return err
	}
	defer v.keys.Close()
	v.follower, err = follow.New(follow.Config{Issuer: v.issuer, HTTPClient: v.client, Reader: v.reader, Heard: v.heard})
	if err != nil {
		return err
	}
	defer v.follower.Close()
	v.follower.Found(places)
	if !v.json {
		v.say("following %s", places.Feed)
	}
	v.follower.Start()
	if err := v.begin(ctx); err != nil {
		return err
	}
	return v.follow(ctx)
}

// discover finds the feed as guard does.
func (v *watcher) discover(ctx context.Context) (follow.Places, error) {
	var places follow.Places
	var err error
	v.keys, err = jwks.New(jwks.Config{Issuer: v.issuer, HTTPClient: v.client, Lazy: true, Logger: slog.New(slog.DiscardHandler),
		Discovered: func(m jwks.Metadata) {
			places = follow.Places{Feed: m.Feed, Keys: m.FeedKeys}
		}})
	if err != nil {
		return places, err
	}
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	if _, err := v.keys.Ready(ctx); err != nil {
		return places, errors.Join(&unreachable{fmt.Errorf("read the discovery document of %s: %w", v.issuer, err)}, v.keys.Close())
	}
	if places.Feed == "" || places.Keys == "" {
		return places, errors.Join(&unmeasured{fmt.Sprintf("%s has no revocation feed: its discovery document names no revocation_feed_endpoint. Its tokens are good until they expire", v.issuer)}, v.keys.Close())
	}
	return places, nil
}

// begin waits until the first snapshot has come.
func (v *watcher) begin(ctx context.Context) error {
	limit := time.NewTimer(watchPatience)
	defer limit.Stop()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		if whole, err := v.state(); whole || err != nil {
			return err
		}
		cause := v.follower.Cause()
		if errors.Is(cause, follow.ErrNotReader) {
			return &notAuthorized{fmt.Sprintf("%s: the feed is private. Read it as a client that may introspect tokens of some API: --reader-id ID --reader-secret-file FILE", cause)}
		}
		select {
		case <-v.news:
		case <-look.C:
			if cause != nil && v.once {
				return &unreachable{fmt.Errorf("read the feed: %w", cause)}
			}
		case <-limit.C:
			return &unreachable{fmt.Errorf("the feed did not come within %s: %w", watchPatience, errors.Join(cause, follow.ErrNoSnapshot))}
		case <-ctx.Done():
			return errInterrupted
		}
	}
}

// follow judges the token and watches for silence until ctx ends.
func (v *watcher) follow(ctx context.Context) error {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		revoked, err := v.judge(ctx)
		if err != nil {
			return err
		}
		if _, err := v.state(); err != nil {
			return err
		}
		if v.once && revoked {
			return &badToken{"revoked"}
		}
		if v.once {
			return nil
		}
		v.silence()
		select {
		case <-v.news:
		case <-look.C:
		case <-ctx.Done():
			return errInterrupted
		}
	}
}

func (v *watcher) state() (whole bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.whole, v.fault
}

// heard prints a message that holds. It is called for one after the other.
func (v *watcher) heard(o feed.Outcome) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch o.Type {
	case feed.Snapshot:
		v.part(o)
	case feed.Delta:
		for _, e := range o.Entries {
			v.entry(e)
		}
	case feed.Heartbeat:
		v.beat()
	}
	select {
	case v.news <- struct{}{}:
	default:
	}
}

// part is a piece of a snapshot: they are counted, and said when it is whole.
func (v *watcher) part(o feed.Outcome) {
	if v.snapshot == nil {
		v.snapshot = map[feed.Kind]int{}
	}
	for _, e := range o.Entries {
		v.snapshot[e.Kind]++
		if v.entries {
			v.entry(e)
		}
	}
	if !o.Live {
		return
	}
	l := line{Event: "snapshot", Revoked: map[string]int{}, Salt: v.follower.Set().Salt().String()}
	var all []string
	for k := feed.Token; k <= feed.All; k++ {
		if n := v.snapshot[k]; n > 0 {
			l.Count += n
			l.Revoked[k.String()] = n
			all = append(all, fmt.Sprintf("%s %d", named(k), n))
		}
	}
	v.snapshot = nil
	text := "nothing is revoked"
	if len(all) > 0 {
		text = counted(l.Count, "revocation") + ": " + strings.Join(all, ", ")
	}
	v.print(l, "snapshot  "+text)
}

func (v *watcher) entry(e feed.Entry) {
	until := time.Unix(int64(e.Drop), 0).UTC()
	l := line{Event: "revoked", Kind: e.Kind.String(), Fingerprint: fmt.Sprintf("%016x", e.Print), Until: &until}
	text := fmt.Sprintf("revoked   %-8s %s", named(e.Kind), l.Fingerprint)
	if e.Kind == feed.User || e.Kind == feed.Client {
		l.MinEpoch = &e.MinEpoch
		text += fmt.Sprintf("  below epoch %d", e.MinEpoch)
	}
	v.print(l, text+"  until "+until.Format("15:04:05")+" UTC")
}

// beat counts: a line that changes on a terminal, one in ten elsewhere.
func (v *watcher) beat() {
	v.beats++
	v.whole = true // a snapshot may have been signed a while ago
	age, _ := v.follower.Age()
	ms := age.Milliseconds()
	text := fmt.Sprintf("%s, what is known is %.1f s old, %s", counted(v.beats, "heartbeat"), age.Seconds(), counted(v.follower.Set().Len(), "revocation"))
	switch {
	case v.json:
		v.print(line{Event: "heartbeat", Count: v.beats, AgeMS: &ms}, "")
	case v.terminal:
		v.keep(fmt.Fprintf(v.Out, "\r\x1b[K%s", text))
		v.pending = true
	case v.beats%beatsALine == 1:
		v.print(line{}, text)
	}
}

// judge says whether the token is revoked, the first time and whenever it
// changes.
func (v *watcher) judge(ctx context.Context) (revoked bool, err error) {
	if v.subject == nil {
		return false, nil
	}
	set := v.follower.Set()
	kind, revoked := set.Revoked(set.Marks(*v.subject))
	if !revoked {
		if revoked = v.keyGone(ctx, set.Generation()); revoked {
			kind = feed.All
		}
	}
	l, text := line{Event: "token", Verdict: "not_revoked"}, "token     NOT REVOKED by this feed"
	if revoked {
		l.Verdict, l.By = "revoked", kind.String()
		text = "token     REVOKED, by its " + named(kind)
		if kind == feed.All {
			text = "token     REVOKED: the issuer took all its keys back, and has published this one no more"
		}
	}
	if now := l.Verdict + l.By; now != v.verdict {
		v.verdict = now
		v.mu.Lock()
		defer v.mu.Unlock()
		v.print(l, text)
	}
	return revoked, nil
}

// keyGone tells whether the token's key is none of the issuer's any more, after
// it took all of them back. A failure is tried again with the next message.
func (v *watcher) keyGone(ctx context.Context, generation uint64) bool {
	if generation == v.looked {
		return v.gone
	}
	v.keys.Void()
	s, err := v.keys.Ready(ctx)
	if err != nil {
		return v.gone
	}
	_, known := s.Keys.Key(v.subject.KeyID)
	v.looked, v.gone = generation, !known
	return v.gone
}

// silence says when the feed becomes stale, and when it is fresh again.
func (v *watcher) silence() {
	age, stale := v.follower.Stale()
	stale = stale && age >= follow.StaleAfter
	if stale == v.away {
		return
	}
	v.away = stale
	v.mu.Lock()
	defer v.mu.Unlock()
	if !stale {
		v.print(line{Event: "fresh"}, "fresh     all that is revoked is known again")
		return
	}
	ms := age.Milliseconds()
	l := line{Event: "stale", AgeMS: &ms}
	if cause := v.follower.Cause(); cause != nil {
		l.Cause = cause.Error()
	}
	v.print(l, fmt.Sprintf("stale     nothing new for %.0f s: %s", age.Seconds(), l.Cause))
}

// print writes an event. v.mu is held.
func (v *watcher) print(l line, text string) {
	now := time.Now()
	if v.json {
		l.Time = now.UTC()
		encoder := json.NewEncoder(v.Out)
		encoder.SetEscapeHTML(false)
		v.keep(0, encoder.Encode(l))
		return
	}
	if v.pending {
		v.pending = false
		v.keep(fmt.Fprint(v.Out, "\r\x1b[K"))
	}
	v.keep(fmt.Fprintf(v.Out, "%s  %s\n", now.UTC().Format("15:04:05"), text))
}

func (v *watcher) say(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keep(fmt.Fprintf(v.Err, format+"\n", args...))
}

// keep keeps the first fault of the output: a closed pipe ends the command.
func (v *watcher) keep(_ int, err error) {
	if v.fault == nil {
		v.fault = err
	}
}
