package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/broadcast"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

// FeedAccess says who may read the revocation feed (C19).
type FeedAccess int

const (
	FeedPublic  FeedAccess = iota // everybody
	FeedPrivate                   // clients that may introspect tokens of some API
)

const (
	// feedWriteLimit is how long a reader may take for one message of 16 KiB.
	feedWriteLimit = 10 * time.Second
	// feedLife is when a stream ends, give or take a tenth, so that dead peers
	// leave and readers spread over the nodes again. Resuming is cheap.
	feedLife = 30 * time.Minute
	// feedAgain is how often the credential of a reader is looked at again.
	feedAgain = 30 * time.Second
	// feedFull is how long a reader waits that found no room, at least.
	feedFull = 10 * time.Second
)

// feedDoor is what the endpoint of the feed needs.
type feedDoor struct {
	hub    *broadcast.Hub
	access FeedAccess
	feedTimes
}

// feedTimes are the bounds of one connection.
type feedTimes struct{ write, life, again time.Duration }

func newFeedDoor(c Config) feedDoor {
	if c.feed == (feedTimes{}) {
		c.feed = feedTimes{write: feedWriteLimit, life: feedLife, again: feedAgain}
	}
	return feedDoor{hub: c.Feed, access: c.FeedAccess, feedTimes: c.feed}
}

// revocations streams the feed as server-sent events until the reader goes, or
// must.
func (h handler) revocations(w http.ResponseWriter, r *http.Request) error {
	if err := h.mayFollow(r); err != nil {
		return err
	}
	header := w.Header()
	if r.Method == http.MethodHead {
		feedHeader(header)
		return nil
	}
	reader, err := h.feed.hub.Enter(respond.Address(r), r.Header.Get("Last-Event-ID"))
	if errors.Is(err, broadcast.ErrFull) {
		respond.RetryAfter(w, feedFull+rand.N(2*feedFull))
		header.Set("Connection", "close") // who found no room shall not keep a connection either
		return respond.Expected(oauth.Refuse(oauth.CodeTemporarilyUnavailable, "There are too many readers of the revocation feed. Try again later, or read it from another node.").Because(err))
	}
	if errors.Is(err, broadcast.ErrClosed) { // this node begins or ends
		return respond.Expected(oauth.Refuse(oauth.CodeTemporarilyUnavailable, "The revocation feed does not run here now. Try again in a moment.").Because(err))
	}
	if err != nil {
		return oauth.Refuse(oauth.CodeTemporarilyUnavailable, "The revocation feed cannot be read now. Try again in a moment.").Because(err)
	}
	defer reader.Close()
	feedHeader(header)
	return h.stream(w, r, reader)
}

// feedHeader: nothing on the way may keep, change or hold back the stream. The
// connection carries nothing else, so that it ends with the stream.
func feedHeader(header http.Header) {
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no")
	header.Set("Connection", "close")
}

// mayFollow asks for the credential of a reader where the feed is private.
func (h handler) mayFollow(r *http.Request) error {
	if h.feed.access == FeedPublic {
		return nil
	}
	credentials, err := oauth.ParseCredentials(r.Header.Values("Authorization"), oauth.Form{})
	if err != nil {
		return err
	}
	client, err := h.tokens.AuthenticateConfidential(r.Context(), credentials)
	if err != nil {
		return err
	}
	if len(client.ReaderOf) == 0 {
		return oauth.Refuse(oauth.CodeInsufficientScope, "This client reads the tokens of no API, so it may not read the revocation feed.").
			Because(fmt.Errorf("client %s is no reader", client.ID))
	}
	return nil
}

// stream writes until something ends it. The server's own time limits are for
// requests that end, so each message sets its own.
func (h handler) stream(w http.ResponseWriter, r *http.Request, reader *broadcast.Reader) error {
	life := h.feed.life*9/10 + rand.N(h.feed.life/5)
	ctx, cancel := context.WithTimeout(r.Context(), life)
	defer cancel()
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil // the connection is gone
	}
	end, checked := time.Now().Add(life), time.Now()
	for {
		frames, err := reader.Next(ctx)
		if err != nil { // the reader is gone, slow, or has been here for long; it connects again and resumes
			_ = control.SetWriteDeadline(time.Now().Add(time.Second)) // for the end of the answer
			return nil
		}
		if time.Since(checked) >= h.feed.again {
			if checked = time.Now(); h.mayFollow(r) != nil {
				return nil
			}
		}
		for _, frame := range frames {
			limit := time.Now().Add(h.feed.write)
			if limit.After(end) {
				limit = end
			}
			if err := control.SetWriteDeadline(limit); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return nil
			}
			if _, err := w.Write(frame); err != nil {
				return nil
			}
		}
		if err := control.Flush(); err != nil {
			return nil
		}
	}
}
