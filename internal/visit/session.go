package visit

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Session is one browser that is signed in. Cookie and tokens are secrets.
type Session struct {
	Subject string `json:"sub"`
	SID     string `json:"sid,omitempty"` // of the issuer
	Name    string `json:"name,omitempty"`

	Access  string    `json:"at"`
	Refresh string    `json:"rt,omitempty"`
	Expires time.Time `json:"exp"` // of the access token
	Got     time.Time `json:"got"` // when the tokens came

	key  Key
	gen  int64
	seen time.Time
	ends time.Time
}

// Key names a session without giving its cookie away.
type Key string

// Key of the session.
func (s Session) Key() Key { return s.key }

// Generation counts the refreshes.
func (s Session) Generation() int64 { return s.gen }

// Ends is when the session is over even if it is used.
func (s Session) Ends() time.Time { return s.ends }

// String keeps tokens out of logs.
func (s Session) String() string { return "session of " + s.Subject }

// ErrNone says that there is no such session, or no more.
var ErrNone = errors.New("no such session")

const purposeSession = "session"

// KeyOf a cookie.
func (s *Store) KeyOf(cookie string) Key { return Key(s.sealer.name("cookie", cookie)) }

// Begin remembers a session under a cookie that nobody had before. ErrNone: it
// ended at the issuer in the meantime.
func (s *Store) Begin(ctx context.Context, v Session) (cookie string, err error) {
	cookie = rand.Text()
	id, subject, now := s.KeyOf(cookie), s.sealer.name("subject", v.Subject), s.now()
	sealed, err := s.sealSession(v, id)
	if err != nil {
		return "", err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	defer tx.Rollback()
	made, err := count(tx.ExecContext(ctx, `INSERT INTO session (id, subject, sid, gen, sealed, began, seen)
		SELECT $1, $2, $3, 0, $4, $5, $5 WHERE NOT EXISTS (SELECT 1 FROM mark WHERE id = $6 AND until > $5)`,
		string(id), subject, s.sid(v.SID), sealed, milli(now), s.sealer.name("ended", v.SID)))
	if err != nil {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	if made == 0 {
		return "", ErrNone
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM session WHERE id IN (SELECT id FROM session WHERE subject = $1 AND id <> $2 ORDER BY seen DESC LIMIT -1 OFFSET $3)`,
		subject, string(id), PerUser-1); err != nil {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	return cookie, tx.Commit()
}

func (s *Store) sid(sid string) string {
	if sid == "" {
		return ""
	}
	return s.sealer.name("sid", sid)
}

func (s *Store) sealSession(v Session, id Key) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.sealer.seal(plain, purposeSession, string(id)), nil
}

// Find returns the session of a key, ErrNone for none. It is no use of the session.
func (s *Store) Find(ctx context.Context, id Key) (Session, error) {
	now := s.now()
	var sealed []byte
	var began, seen int64
	v := Session{key: id}
	err := s.find.QueryRowContext(ctx, string(id), milli(now.Add(-Idle)), milli(now.Add(-Absolute))).Scan(&sealed, &v.gen, &began, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, ErrNone
	}
	if err != nil {
		return Session{}, fmt.Errorf("find a session: %w", err)
	}
	plain, err := s.sealer.open(sealed, purposeSession, string(id))
	if err != nil {
		return Session{}, ErrNone // sealed with a key that is gone
	}
	v.seen = time.UnixMilli(seen)
	v.ends = time.UnixMilli(began).Add(Absolute)
	return v, json.Unmarshal(plain, &v)
}

// Touch says that a session is used. It writes once a minute.
func (s *Store) Touch(ctx context.Context, v Session) error {
	now := s.now()
	if now.Sub(v.seen) < touchEvery {
		return nil
	}
	_, err := s.db.ExecContext(ctx, `UPDATE session SET seen = $1 WHERE id = $2 AND seen < $3`, milli(now), string(v.key), milli(now.Add(-touchEvery)))
	if err != nil {
		return fmt.Errorf("touch a session: %w", err)
	}
	return nil
}

// Renew stores the tokens of a refresh. ErrNone: the session ended meanwhile, or
// was renewed by somebody else.
func (s *Store) Renew(ctx context.Context, v Session) (Session, error) {
	sealed, err := s.sealSession(v, v.key)
	if err != nil {
		return Session{}, err
	}
	changed, err := count(s.db.ExecContext(ctx, `UPDATE session SET sealed = $1, gen = gen + 1 WHERE id = $2 AND gen = $3`, sealed, string(v.key), v.gen))
	switch {
	case err != nil:
		return Session{}, fmt.Errorf("renew a session: %w", err)
	case changed == 0:
		return Session{}, ErrNone
	}
	v.gen++
	return v, nil
}

// End ends one session.
func (s *Store) End(ctx context.Context, id Key) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM session WHERE id = $1`, string(id)); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// Ending is what an issuer says about sessions that ended.
type Ending struct {
	SID     string // empty: all sessions of Subject
	Subject string
	ID      string    // of the message
	Until   time.Time // how long a copy of it could come
}

// EndAll ends sessions and returns their keys. A copy of a message that was
// heard ends nothing: what began later goes on.
func (s *Store) EndAll(ctx context.Context, e Ending) ([]Key, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	defer tx.Rollback()
	const mark = `INSERT INTO mark (id, until) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`
	first, err := count(tx.ExecContext(ctx, mark, s.sealer.name("ending", e.ID), milli(e.Until)))
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	if first == 0 {
		return nil, nil
	}
	query, name := `DELETE FROM session WHERE subject = $1 RETURNING id`, s.sealer.name("subject", e.Subject)
	if e.SID != "" {
		query, name = `DELETE FROM session WHERE sid = $1 RETURNING id`, s.sid(e.SID)
		if _, err := tx.ExecContext(ctx, mark, s.sealer.name("ended", e.SID), milli(s.now().Add(endedLife))); err != nil {
			return nil, fmt.Errorf("end sessions: %w", err)
		}
	}
	keys, err := list(tx.QueryContext(ctx, query, name))
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	return keys, tx.Commit()
}

func list(rows *sql.Rows, err error) (all []Key, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k Key
		if err := rows.Scan((*string)(&k)); err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, rows.Err()
}

func count(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Spend tells whether a value of this kind is used for the first time. It is
// remembered until then.
func (s *Store) Spend(ctx context.Context, kind, value string, until time.Time) (bool, error) {
	n, err := count(s.db.ExecContext(ctx, `INSERT INTO mark (id, until) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, s.sealer.name("spent "+kind, value), milli(until)))
	if err != nil {
		return false, fmt.Errorf("spend a %s: %w", kind, err)
	}
	return n == 1, nil
}

// Seal makes a text for a cookie of a value, which only this gateway can read.
func (s *Store) Seal(purpose string, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.sealer.seal(plain, "cookie "+purpose, "")), nil
}

// Unseal reads what Seal made for the same purpose.
func (s *Store) Unseal(purpose, text string, into any) error {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return errors.New("not a sealed text")
	}
	plain, err := s.sealer.open(sealed, "cookie "+purpose, "")
	if err != nil {
		return errors.New("not sealed here")
	}
	return json.Unmarshal(plain, into)
}
