package visit

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

	key    Key
	gen    int64
	unseen bool // for so long that its use is worth writing
	ends   time.Time
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
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	cookie = rand.Text()
	if err := s.begin(ctx, v, s.KeyOf(cookie)); err != nil {
		if !errors.Is(err, ErrNone) {
			err = fmt.Errorf("begin a session: %w", err)
		}
		return "", err
	}
	return cookie, nil
}

func (s *Store) begin(ctx context.Context, v Session, id Key) error {
	sealed, err := s.sealSession(v, id)
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := s.alone(ctx, tx, v.Subject, v.SID); err != nil {
		return err
	}
	var ended int
	if err := tx.QueryRowContext(ctx, s.sql(`SELECT COUNT(*) FROM @mark WHERE id = $2 AND until > @now`), s.engine.moment(), s.sealer.name("ended", v.SID)).Scan(&ended); err != nil {
		return err
	}
	if ended > 0 {
		return ErrNone
	}
	subject := s.sealer.name("subject", v.Subject)
	if _, err := tx.ExecContext(ctx, s.sql(`INSERT INTO @session (id, subject, sid, gen, sealed, began, seen) VALUES ($2, $3, $4, 0, $5, @now, @now)`),
		s.engine.moment(), string(id), subject, s.sid(v.SID), sealed); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, s.sql(`DELETE FROM @session WHERE id IN (SELECT id FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY seen DESC) AS place FROM @session WHERE subject = $1 AND id <> $2) AS others WHERE place > $3)`),
		subject, string(id), PerUser-1); err != nil {
		return err
	}
	return tx.Commit()
}

// alone lets a transaction wait for others that begin or end sessions of the same
// user or the same sign-on: a session must not begin beside its end unseen. With
// one gateway each transaction is alone.
func (s *Store) alone(ctx context.Context, tx *sql.Tx, subject, sid string) error {
	if !s.engine.shared {
		return nil
	}
	for _, name := range []string{s.sealer.name("turn of a subject", subject), s.sealer.name("turn of a sid", sid)} { // always in this order
		if _, err := tx.ExecContext(ctx, s.sql(`INSERT INTO @mark (id, until) VALUES ($2, @now + $3) ON CONFLICT (id) DO UPDATE SET until = EXCLUDED.until`),
			s.engine.moment(), name, endedLife.Milliseconds()); err != nil {
			return err
		}
	}
	return nil
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

// findQuery finds what lives, and says whether its last use is worth writing.
const findQuery = `SELECT sealed, gen, began, seen <= @now - $2 FROM @session WHERE id = $3 AND seen > @now - $4 AND began > @now - $5`

// Find returns the session of a key, ErrNone for none. It is no use of the session.
func (s *Store) Find(ctx context.Context, id Key) (Session, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	args := []any{s.engine.moment(), touchEvery.Milliseconds(), string(id), Idle.Milliseconds(), Absolute.Milliseconds()}
	var row *sql.Row
	if s.engine.find != nil {
		row = s.engine.find.QueryRowContext(ctx, args...)
	} else {
		row = s.db.QueryRowContext(ctx, s.sql(findQuery), args...)
	}
	var sealed []byte
	var began int64
	v := Session{key: id}
	err := row.Scan(&sealed, &v.gen, &began, &v.unseen)
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
	v.ends = time.UnixMilli(began).Add(Absolute)
	return v, json.Unmarshal(plain, &v)
}

// Touch says that a session is used. It writes once a minute.
func (s *Store) Touch(ctx context.Context, v Session) error {
	if !v.unseen {
		return nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.db.ExecContext(ctx, s.sql(`UPDATE @session SET seen = @now WHERE id = $2 AND seen <= @now - $3`), s.engine.moment(), string(v.key), touchEvery.Milliseconds())
	if err != nil {
		return fmt.Errorf("touch a session: %w", err)
	}
	return nil
}

// Claim takes the turn to refresh the tokens of a session: of all gateways one
// gets it, for Lease at most. False: another has it, or the session is not at this
// generation any more.
func (s *Store) Claim(ctx context.Context, v Session) (bool, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n, err := count(s.db.ExecContext(ctx, s.sql(`UPDATE @session SET lease = @now + $2 WHERE id = $3 AND gen = $4 AND lease <= @now`), s.engine.moment(), Lease.Milliseconds(), string(v.key), v.gen))
	if err != nil {
		return false, fmt.Errorf("claim a session: %w", err)
	}
	return n == 1, nil
}

// Release gives the turn back when nothing came of it.
func (s *Store) Release(ctx context.Context, v Session) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if _, err := s.db.ExecContext(ctx, s.sql(`UPDATE @session SET lease = 0 WHERE id = $1 AND gen = $2`), string(v.key), v.gen); err != nil {
		return fmt.Errorf("release a session: %w", err)
	}
	return nil
}

// Renew stores the tokens of a refresh. ErrNone: the session ended meanwhile, or
// was renewed by somebody else.
func (s *Store) Renew(ctx context.Context, v Session) (Session, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	sealed, err := s.sealSession(v, v.key)
	if err != nil {
		return Session{}, err
	}
	changed, err := count(s.db.ExecContext(ctx, s.sql(`UPDATE @session SET sealed = $1, gen = gen + 1, lease = 0 WHERE id = $2 AND gen = $3`), sealed, string(v.key), v.gen))
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
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if _, err := s.db.ExecContext(ctx, s.sql(`DELETE FROM @session WHERE id = $1`), string(id)); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// Ending is what an issuer says about sessions that ended.
type Ending struct {
	SID     string // empty: all sessions of Subject
	Subject string
	ID      string        // of the message
	For     time.Duration // how long a copy of it could come
}

// EndAll ends sessions and returns their keys. A copy of a message that was
// heard ends nothing: what began later goes on.
func (s *Store) EndAll(ctx context.Context, e Ending) ([]Key, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	keys, err := s.endAll(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	return keys, nil
}

// mark remembers a name for a while; none is marked twice.
const mark = `INSERT INTO @mark (id, until) VALUES ($2, @now + $3) ON CONFLICT (id) DO NOTHING`

func (s *Store) endAll(ctx context.Context, e Ending) ([]Key, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	first, err := count(tx.ExecContext(ctx, s.sql(mark), s.engine.moment(), s.sealer.name("ending", e.ID), e.For.Milliseconds()))
	if err != nil || first == 0 {
		return nil, err
	}
	if err := s.alone(ctx, tx, e.Subject, e.SID); err != nil {
		return nil, err
	}
	query, name := `DELETE FROM @session WHERE subject = $1 RETURNING id`, s.sealer.name("subject", e.Subject)
	if e.SID != "" {
		query, name = `DELETE FROM @session WHERE sid = $1 RETURNING id`, s.sid(e.SID)
		if _, err := tx.ExecContext(ctx, s.sql(mark), s.engine.moment(), s.sealer.name("ended", e.SID), endedLife.Milliseconds()); err != nil {
			return nil, err
		}
	}
	keys, err := list(tx.QueryContext(ctx, s.sql(query), name))
	if err != nil {
		return nil, err
	}
	return keys, tx.Commit()
}

// atOnce is how many sessions are looked up with one question.
const atOnce = 500

// Gone returns those of the keys whose session is over: another gateway may have
// ended it.
func (s *Store) Gone(ctx context.Context, keys []Key) ([]Key, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var gone []Key
	for some := range slices.Chunk(keys, atOnce) {
		args, marks := make([]any, len(some)), make([]string, len(some))
		for i, k := range some {
			args[i], marks[i] = string(k), "$"+strconv.Itoa(i+1)
		}
		live, err := list(s.db.QueryContext(ctx, s.sql(`SELECT id FROM @session WHERE id IN (`+strings.Join(marks, ", ")+`)`), args...))
		if err != nil {
			return nil, fmt.Errorf("look up sessions: %w", err)
		}
		for _, k := range some {
			if !slices.Contains(live, k) {
				gone = append(gone, k)
			}
		}
	}
	return gone, nil
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
// remembered for so long.
func (s *Store) Spend(ctx context.Context, kind, value string, life time.Duration) (bool, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n, err := count(s.db.ExecContext(ctx, s.sql(mark), s.engine.moment(), s.sealer.name("spent "+kind, value), life.Milliseconds()))
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
