package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// renewEvery keeps every header file good for at least half of a token's life.
const renewEvery = 3 * time.Minute

// tokens are what the header files hold at one moment.
type tokens struct {
	users   []*person
	service string
	forged  []forge.Token
	kid     string // the key that signed the valid ones
}

// renew obtains new tokens from the authority, as any client would, forges
// anew from them, and writes one header file for each.
func (r *run) renew(ctx context.Context) (tokens, error) {
	t := tokens{users: r.seeded.people}
	for _, p := range t.users {
		err := p.fresh(ctx, r.issuer)
		var refused *refusedLogin
		if errors.As(err, &refused) {
			r.logger.Warn("no token for a user of a kept folder", "user", p.username, "cause", err)
		} else if err != nil {
			return tokens{}, err
		}
	}
	var err error
	if t.service, err = serviceToken(ctx, r.issuer, r.seeded.serviceSecret); err != nil {
		return tokens{}, err
	}
	valid := cmp.Or(t.users[0].access(), t.users[1].access(), t.service)
	if valid == "" {
		return t, r.writeHeaders(t) // everybody was disabled: nothing to forge from
	}
	if t.forged, err = r.forge(ctx, valid); err != nil {
		return tokens{}, err
	}
	parsed, err := jose.Parse(valid)
	if err != nil {
		return tokens{}, err
	}
	t.kid = parsed.KeyID()
	return t, r.writeHeaders(t)
}

// forge makes every forged token from a valid one. The ones that are signed
// but wrong need the issuer's own key: allowed in a dev folder only (C9).
func (r *run) forge(ctx context.Context, valid string) ([]forge.Token, error) {
	lab, err := r.parts.Keys.Signer(ctx, string(jose.ES256))
	if err != nil {
		return nil, err
	}
	forged, err := forge.All(forge.Source{Valid: valid, Keys: r.parts.Keys.Published(), Lab: lab, Issuer: r.issuer, Audience: r.audience, Now: time.Now()})
	if err != nil {
		return nil, fmt.Errorf("forge tokens: %w", err)
	}
	return forged, nil
}

func (r *run) writeHeaders(t tokens) error {
	files := map[string]string{serviceID: t.service}
	for _, p := range t.users {
		files[p.username] = p.access()
	}
	for _, f := range t.forged {
		// A header cannot carry a line break; --json has these tokens all the same.
		if !strings.ContainsAny(f.Raw, "\r\n\x00") && len(f.Raw) <= 16<<10 {
			files[filepath.Join(forgedDir, f.Name)] = f.Raw
		}
	}
	if err := os.MkdirAll(filepath.Join(r.folder.dir, forgedDir), 0o700); err != nil {
		return err
	}
	for name, token := range files {
		if err := writeFile(filepath.Join(r.folder.dir, name), []byte("Authorization: Bearer "+token+"\n")); err != nil {
			return fmt.Errorf("write header file: %w", err)
		}
	}
	return nil
}

// keepFresh renews the files before they expire, and soon after the key that
// signed them is gone. It looks at the clock often, because a laptop that was
// asleep wakes up with expired tokens.
func (r *run) keepFresh(ctx context.Context, t tokens) {
	made := time.Now().Round(0) // the wall clock: monotonic time stands still in sleep
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, live := r.parts.Keys.Published().Key(t.kid)
		if (live || t.kid == "") && time.Now().Round(0).Sub(made) < renewEvery {
			continue
		}
		next, err := r.renew(ctx)
		made = time.Now().Round(0)
		if err != nil {
			if ctx.Err() == nil {
				r.logger.Warn("header files not renewed", "cause", err)
			}
			continue
		}
		t = next
	}
}
