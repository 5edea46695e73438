package directory

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Logins names sessions or grants: by user, by client, or both. Names are as an
// administrator types them; empty ones do not restrict.
type Logins struct {
	User   string
	Client string
}

// resolve turns names into ids. An error names the one that does not exist.
func (s *Service) resolve(ctx context.Context, l Logins) (f iam.LoginFilter, u iam.User, err error) {
	if l.User != "" {
		if u, err = s.FindUser(ctx, l.User); err != nil {
			return f, u, err
		}
		f.User = u.ID
	}
	if l.Client != "" {
		c, err := s.clients.Client(ctx, iam.ClientID(l.Client))
		if err != nil {
			return f, u, missing(err, "client", l.Client)
		}
		f.Client = c.ID
	}
	return f, u, nil
}

// ListSessions reads a page of live sessions by id, after an id. next is where
// to go on, "" at the end.
func (s *Service) ListSessions(ctx context.Context, l Logins, after string, limit int) (page []iam.ListedSession, next string, err error) {
	f, _, err := s.resolve(ctx, l)
	if err != nil {
		return nil, "", err
	}
	f.After, f.Limit = after, limit
	return s.logins.ListSessions(ctx, f)
}

// ListGrants is ListSessions for grants.
func (s *Service) ListGrants(ctx context.Context, l Logins, after string, limit int) (page []iam.ListedGrant, next string, err error) {
	f, _, err := s.resolve(ctx, l)
	if err != nil {
		return nil, "", err
	}
	f.After, f.Limit = after, limit
	return s.logins.ListGrants(ctx, f)
}

// RevokeSession ends one session, with the grants that belong to it. False: it
// was over already.
func (s *Service) RevokeSession(ctx context.Context, actor string, id iam.SessionID) (bool, error) {
	session, err := s.logins.Session(ctx, id)
	if err != nil {
		return false, missing(err, "session", string(id))
	}
	e := event(actor, iam.EventSessionEnded, string(id))
	e.UserID = session.UserID
	return s.logins.EndSession(ctx, id, session.UserID, e)
}

// RevokeSessions ends all sessions of a user, of those only in which a client
// was reached when one is named. It returns how many.
func (s *Service) RevokeSessions(ctx context.Context, actor string, l Logins) (int64, error) {
	f, u, err := s.resolve(ctx, l)
	if err != nil {
		return 0, err
	}
	if f.User == "" {
		return 0, iam.Invalidf("Whose sessions? Name the user, or the id of one session.")
	}
	e := userEvent(actor, iam.EventSessionEnded, u)
	e.ClientID = f.Client
	n, err := s.logins.EndSessionsOf(ctx, f.User, f.Client, e)
	return n, missing(err, "user", l.User)
}

// RevokeGrant ends one grant and the tokens under it. False: it was over already.
func (s *Service) RevokeGrant(ctx context.Context, actor string, id iam.GrantID) (bool, error) {
	g, err := s.logins.Grant(ctx, id)
	if err != nil {
		return false, missing(err, "grant", string(id))
	}
	e := event(actor, iam.EventGrantRevoked, "")
	e.UserID, e.ClientID = g.UserID, g.ClientID
	return s.logins.RevokeGrant(ctx, id, "an administrator ended it", e)
}

// RevokeGrants ends all grants of a user, of a user at one client, or of a
// client. It returns how many, -1 for those of a client, which nobody counts.
func (s *Service) RevokeGrants(ctx context.Context, actor string, l Logins) (int64, error) {
	f, u, err := s.resolve(ctx, l)
	if err != nil {
		return 0, err
	}
	switch {
	case f.User != "":
		e := userEvent(actor, iam.EventGrantRevoked, u)
		e.ClientID = f.Client
		n, err := s.logins.EndGrantsOf(ctx, f.User, f.Client, e)
		return n, missing(err, "user", l.User)
	case f.Client != "":
		e := clientEvent(actor, iam.EventGrantRevoked, f.Client)
		e.Detail = map[string]string{"grants": "all"}
		return -1, missing(s.logins.EndClientGrants(ctx, f.Client, e), "client", l.Client)
	}
	return 0, iam.Invalidf("Whose grants? Name the user, the client, or the id of one grant.")
}
