-- +goose Up
-- Who a user is, for ID tokens and userinfo.
ALTER TABLE users ADD COLUMN email_verified INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN phone TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN phone_verified INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN profile TEXT NOT NULL DEFAULT '{}';
ALTER TABLE users ADD COLUMN updated_at BIGINT;

ALTER TABLE clients ADD COLUMN post_logout_redirect_uris TEXT NOT NULL DEFAULT '[]';
ALTER TABLE clients ADD COLUMN backchannel_logout_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN id_token_alg TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN require_par INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN handoff TEXT NOT NULL DEFAULT '';

-- A session of a browser is found by the hash of its cookie.
ALTER TABLE sessions ADD COLUMN cookie_hash TEXT;
ALTER TABLE sessions ADD COLUMN agent TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN seen_at BIGINT;
CREATE UNIQUE INDEX sessions_cookie ON sessions (cookie_hash) WHERE cookie_hash IS NOT NULL;

ALTER TABLE grants ADD COLUMN claims TEXT NOT NULL DEFAULT '';

-- The applications that were reached through a session: those to tell of its end.
CREATE TABLE session_apps (
  session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  used_at    BIGINT NOT NULL,
  PRIMARY KEY (session_id, client_id)
);
CREATE INDEX session_apps_client ON session_apps (client_id);

CREATE TABLE logout_deliveries (
  id         TEXT PRIMARY KEY,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  user_id    TEXT NOT NULL,
  session_id TEXT NOT NULL,
  attempts   INTEGER NOT NULL,
  next_at    BIGINT NOT NULL,
  expires    BIGINT NOT NULL
);
CREATE INDEX logout_deliveries_next ON logout_deliveries (next_at);
CREATE INDEX logout_deliveries_client ON logout_deliveries (client_id);

CREATE TABLE consents (
  user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  scopes    TEXT NOT NULL,
  since     BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_client ON consents (client_id);

CREATE TABLE pushed (
  id_hash   TEXT PRIMARY KEY,
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  request   TEXT NOT NULL,
  expires   BIGINT NOT NULL
);
CREATE INDEX pushed_client ON pushed (client_id, expires);
CREATE INDEX pushed_expires ON pushed (expires);

CREATE TABLE devices (
  code_hash    TEXT PRIMARY KEY,
  user_code    TEXT NOT NULL UNIQUE,
  client_id    TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  scopes       TEXT NOT NULL,
  resource     TEXT NOT NULL,
  state        TEXT NOT NULL,
  user_id      TEXT NOT NULL,
  session_id   TEXT NOT NULL,
  auth_time    BIGINT,
  acr          TEXT NOT NULL,
  amr          TEXT NOT NULL,
  user_epoch   BIGINT NOT NULL,
  client_epoch BIGINT NOT NULL,
  grant_id     TEXT NOT NULL,
  pause        BIGINT NOT NULL,
  polled_at    BIGINT,
  created_at   BIGINT NOT NULL,
  expires      BIGINT NOT NULL
);
CREATE INDEX devices_client ON devices (client_id, expires);
CREATE INDEX devices_expires ON devices (expires);

-- +goose Down
DROP TABLE devices;
DROP TABLE pushed;
DROP TABLE consents;
DROP TABLE logout_deliveries;
DROP TABLE session_apps;
ALTER TABLE grants DROP COLUMN claims;
DROP INDEX sessions_cookie;
ALTER TABLE sessions DROP COLUMN seen_at;
ALTER TABLE sessions DROP COLUMN agent;
ALTER TABLE sessions DROP COLUMN cookie_hash;
ALTER TABLE clients DROP COLUMN handoff;
ALTER TABLE clients DROP COLUMN require_par;
ALTER TABLE clients DROP COLUMN id_token_alg;
ALTER TABLE clients DROP COLUMN backchannel_logout_uri;
ALTER TABLE clients DROP COLUMN post_logout_redirect_uris;
ALTER TABLE users DROP COLUMN updated_at;
ALTER TABLE users DROP COLUMN profile;
ALTER TABLE users DROP COLUMN address;
ALTER TABLE users DROP COLUMN phone_verified;
ALTER TABLE users DROP COLUMN phone;
ALTER TABLE users DROP COLUMN email_verified;
