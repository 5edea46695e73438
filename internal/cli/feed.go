package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/follow"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

func (a *app) feedCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "feed",
		Short:   "The revocation feed: watch it as a verifier does",
		Long:    `Read the feed in which an issuer says which access tokens it has taken back.`,
		Example: "  gatehouse feed watch --issuer https://id.example.com",
		RunE:    verbless,
	}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(a.feedWatch())
	return c
}

// watching is what the flags of `feed watch` say.
type watching struct {
	issuer, token        string
	readerID, readerFile string
	once, entries        bool
}

func (a *app) feedWatch() *cobra.Command {
	w := &watching{}
	c := &cobra.Command{
		Use:   "watch --issuer URL",
		Short: "Follow an issuer's revocation feed and show what it says",
		Long: `Follow the revocation feed of an issuer as guard and the gateway do, and print
each message whose signature and place in the feed hold: what is revoked, by kind
and fingerprint, and how old what is known is. It reads only.

The feed has fingerprints, no ids: to see whether one token is among them, give
it with --token. Its own signature and expiry are not looked at; for these use
gatehouse token verify.

It goes on until it is interrupted, also when the issuer is away for a while;
with --once it ends when all that is revoked now has come.

Exit codes: 0 ended by --once, 2 usage, 3 the token is revoked (with --once),
4 the feed is private, 5 the issuer has no feed, 6 it cannot be reached, 130
interrupted.`,
		Example: `  gatehouse feed watch --issuer https://id.example.com
  gatehouse feed watch --issuer https://id.example.com --token @token.jwt
  gatehouse feed watch --issuer https://id.example.com --token @token.jwt --once
  gatehouse feed watch --issuer https://id.example.com --json | jq 'select(.event == "revoked")'
  gatehouse feed watch --issuer https://id.example.com --reader-id orders-api --reader-secret-file reader.secret`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v, err := a.watcherOf(w)
			if err != nil {
				return err
			}
			return v.run(c.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&w.issuer, "issuer", "", "whose feed: an address")
	f.StringVar(&w.token, "token", "", "also say whether this token is revoked, now and when it changes: @FILE, or -")
	f.BoolVar(&w.once, "once", false, "end when all that is revoked now has come")
	f.BoolVar(&w.entries, "entries", false, "also print each entry of the snapshot, not only how many there are")
	f.StringVar(&w.readerID, "reader-id", "", "for a private feed: a client that may introspect tokens of some API")
	f.StringVar(&w.readerFile, "reader-secret-file", "", "file with the secret of that client")
	f.BoolVar(&a.json, "json", false, "print JSON, an object a line")
	if err := c.MarkFlagRequired("issuer"); err != nil {
		panic(err)
	}
	c.MarkFlagsRequiredTogether("reader-id", "reader-secret-file")
	return c
}

func (a *app) watcherOf(w *watching) (*watcher, error) {
	if !strings.HasPrefix(w.issuer, "https://") && !strings.HasPrefix(w.issuer, "http://") {
		return nil, usagef("--issuer %q is no address. Write it as the tokens have it in `iss`, such as https://id.example.com", w.issuer)
	}
	v := &watcher{app: a, issuer: w.issuer, once: w.once, entries: w.entries, terminal: a.coloured(), news: make(chan struct{}, 1), client: &http.Client{Timeout: 10 * time.Second}}
	if w.readerFile != "" {
		secret, err := readSecret("--reader-secret-file", w.readerFile)
		if err != nil {
			return nil, err
		}
		v.reader = follow.Reader{ClientID: w.readerID, ClientSecret: secret}
	}
	if w.token == "" {
		return v, nil
	}
	if w.token != "-" && !strings.HasPrefix(w.token, "@") {
		return nil, pasted("token")
	}
	raw, err := a.secretIn("token", w.token)
	if err != nil {
		return nil, err
	}
	v.subject, err = subjectOf(raw, w.issuer)
	return v, err
}

// subjectOf is what the feed may name of a token, as guard reads it (C15, C16).
func subjectOf(raw, issuer string) (*feed.Subject, error) {
	t, err := jose.Parse(raw)
	if err != nil {
		return nil, usagef("--token: %s. What it is says: gatehouse token inspect", err)
	}
	claims, err := t.Claims()
	if err != nil {
		return nil, usagef("--token: %s", err)
	}
	if claims.Issuer != issuer {
		return nil, usagef("--token is of another issuer, %.200q: this feed says nothing about it", claims.Issuer)
	}
	s := &feed.Subject{TokenID: claims.ID, UserID: claims.Subject, KeyID: t.KeyID()}
	var faults [5]error
	s.GrantID, faults[0] = claims.String("gid")
	s.SessionID, faults[1] = claims.String("sid")
	s.ClientID, faults[2] = claims.String("client_id")
	s.UserEpoch, faults[3] = claims.Int("ue")
	s.ClientEpoch, faults[4] = claims.Int("ce")
	if err := errors.Join(faults[:]...); err != nil {
		return nil, usagef("--token: %s. Verifiers refuse it", err)
	}
	return s, nil
}

// named is a kind in the words of people.
func named(k feed.Kind) string {
	switch k {
	case feed.Token:
		return "token"
	case feed.Session:
		return "session"
	case feed.All:
		return "all keys"
	}
	return k.String()
}

func counted(n int, one string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", one)
	}
	return fmt.Sprintf("%d %ss", n, one)
}
