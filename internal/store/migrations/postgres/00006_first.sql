-- +goose Up
-- The first schema of PostgreSQL: what SQLite has after version 6, with the same
-- names. Later versions are the files of both.
-- Times are microseconds since 1970, NULL when absent. Lists that are only read
-- back are JSON text; lists that are asked about are tables.
CREATE TABLE meta (
  name  TEXT COLLATE "C" PRIMARY KEY,
  value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE apis (
  name       TEXT COLLATE "C" PRIMARY KEY,
  audience   TEXT COLLATE "C" NOT NULL UNIQUE,
  scopes     TEXT COLLATE "C" NOT NULL,
  claims     TEXT COLLATE "C" NOT NULL,
  algorithm  TEXT COLLATE "C" NOT NULL,
  disabled   BOOLEAN NOT NULL,
  version    BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE roles (
  name        TEXT COLLATE "C" PRIMARY KEY,
  description TEXT COLLATE "C" NOT NULL,
  is_default  BOOLEAN NOT NULL,
  disabled    BOOLEAN NOT NULL,
  version     BIGINT NOT NULL,
  created_at  BIGINT NOT NULL
);

CREATE TABLE role_scopes (
  role  TEXT COLLATE "C" NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
  api   TEXT COLLATE "C" NOT NULL REFERENCES apis (name) ON DELETE CASCADE,
  scope TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (role, api, scope)
);
CREATE INDEX role_scopes_api ON role_scopes (api);

CREATE TABLE users (
  id            TEXT COLLATE "C" PRIMARY KEY,
  username      TEXT COLLATE "C" NOT NULL UNIQUE,
  email         TEXT COLLATE "C" NOT NULL,
  name          TEXT COLLATE "C" NOT NULL,
  attributes    TEXT COLLATE "C" NOT NULL,
  password_hash TEXT COLLATE "C" NOT NULL,
  epoch         BIGINT NOT NULL,
  disabled      BOOLEAN NOT NULL,
  version       BIGINT NOT NULL,
  created_at    BIGINT NOT NULL,
  email_verified BOOLEAN NOT NULL DEFAULT false,
  phone TEXT COLLATE "C" NOT NULL DEFAULT '',
  phone_verified BOOLEAN NOT NULL DEFAULT false,
  address TEXT COLLATE "C" NOT NULL DEFAULT '',
  profile TEXT COLLATE "C" NOT NULL DEFAULT '{}',
  updated_at BIGINT
);

CREATE TABLE user_roles (
  user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role    TEXT COLLATE "C" NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
  PRIMARY KEY (user_id, role)
);

CREATE TABLE clients (
  id             TEXT COLLATE "C" PRIMARY KEY,
  name           TEXT COLLATE "C" NOT NULL,
  type           TEXT COLLATE "C" NOT NULL,
  first_party    BOOLEAN NOT NULL,
  grant_types    TEXT COLLATE "C" NOT NULL,
  redirect_uris  TEXT COLLATE "C" NOT NULL,
  scopes         TEXT COLLATE "C" NOT NULL,
  default_scopes TEXT COLLATE "C" NOT NULL,
  challenge      BOOLEAN NOT NULL,
  reader_of      TEXT COLLATE "C" NOT NULL,
  secret_hash    TEXT COLLATE "C" NOT NULL,
  epoch          BIGINT NOT NULL,
  disabled       BOOLEAN NOT NULL,
  version        BIGINT NOT NULL,
  created_at     BIGINT NOT NULL,
  auth_method TEXT COLLATE "C" NOT NULL DEFAULT '',
  jwks TEXT COLLATE "C" NOT NULL DEFAULT '',
  jwks_uri TEXT COLLATE "C" NOT NULL DEFAULT '',
  old_secret_hash TEXT COLLATE "C" NOT NULL DEFAULT '',
  old_secret_ends BIGINT,
  post_logout_redirect_uris TEXT COLLATE "C" NOT NULL DEFAULT '[]',
  backchannel_logout_uri TEXT COLLATE "C" NOT NULL DEFAULT '',
  id_token_alg TEXT COLLATE "C" NOT NULL DEFAULT '',
  require_par BOOLEAN NOT NULL DEFAULT false,
  handoff TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE client_roles (
  client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  role      TEXT COLLATE "C" NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
  PRIMARY KEY (client_id, role)
);
CREATE INDEX client_roles_role ON client_roles (role);

CREATE TABLE keys (
  id          TEXT COLLATE "C" PRIMARY KEY,
  purpose     TEXT COLLATE "C" NOT NULL,
  algorithm   TEXT COLLATE "C" NOT NULL,
  sealed      TEXT COLLATE "C" NOT NULL,
  public      TEXT COLLATE "C" NOT NULL,
  created_at  BIGINT NOT NULL,
  activate_at BIGINT,
  removed_at  BIGINT
);

CREATE TABLE sessions (
  id           TEXT COLLATE "C" PRIMARY KEY,
  user_id      TEXT COLLATE "C" NOT NULL,
  auth_time    BIGINT NOT NULL,
  acr          TEXT COLLATE "C" NOT NULL,
  amr          TEXT COLLATE "C" NOT NULL,
  created_at   BIGINT NOT NULL,
  idle_expires BIGINT NOT NULL,
  expires      BIGINT NOT NULL,
  ended_at     BIGINT,
  cookie_hash TEXT COLLATE "C",
  agent TEXT COLLATE "C" NOT NULL DEFAULT '',
  seen_at BIGINT
) WITH (fillfactor = 70);
CREATE INDEX sessions_user ON sessions (user_id);

-- One row a grant; the generation counter is the whole refresh-token family.
-- user_id is NULL when the client acts for itself. cnf waits for DPoP and mTLS.
CREATE TABLE grants (
  id            TEXT COLLATE "C" PRIMARY KEY,
  user_id       TEXT COLLATE "C",
  client_id     TEXT COLLATE "C" NOT NULL,
  session_id    TEXT COLLATE "C",
  scopes        TEXT COLLATE "C" NOT NULL,
  resource      TEXT COLLATE "C" NOT NULL,
  auth_time     BIGINT,
  acr           TEXT COLLATE "C" NOT NULL,
  amr           TEXT COLLATE "C" NOT NULL,
  gen           BIGINT NOT NULL,
  mac_key_id    TEXT COLLATE "C" NOT NULL,
  rotated_at    BIGINT,
  created_at    BIGINT NOT NULL,
  idle_expires  BIGINT,
  expires       BIGINT,
  revoked_at    BIGINT,
  revoke_reason TEXT COLLATE "C" NOT NULL,
  cnf           TEXT COLLATE "C" NOT NULL,
  claims TEXT COLLATE "C" NOT NULL DEFAULT ''
) WITH (fillfactor = 70);
CREATE INDEX grants_user ON grants (user_id);
CREATE INDEX grants_client ON grants (client_id);
CREATE INDEX grants_session ON grants (session_id);
CREATE UNIQUE INDEX grants_standing ON grants (client_id) WHERE user_id IS NULL AND revoked_at IS NULL;

CREATE TABLE spent (
  id         TEXT COLLATE "C" PRIMARY KEY,
  grant_id   TEXT COLLATE "C" NOT NULL,
  drop_after BIGINT NOT NULL
);
CREATE INDEX spent_drop ON spent (drop_after);

CREATE TABLE revocation (
  seq        BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  at         BIGINT NOT NULL,
  kind       TEXT COLLATE "C" NOT NULL,
  subject    TEXT COLLATE "C" NOT NULL,
  min_epoch  BIGINT NOT NULL,
  drop_after BIGINT NOT NULL
);
CREATE INDEX revocation_subject ON revocation (kind, subject);
CREATE INDEX revocation_drop ON revocation (drop_after);

CREATE TABLE events (
  seq       BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id        TEXT COLLATE "C" NOT NULL UNIQUE,
  at        BIGINT NOT NULL,
  kind      TEXT COLLATE "C" NOT NULL,
  actor     TEXT COLLATE "C" NOT NULL,
  user_id   TEXT COLLATE "C" NOT NULL,
  client_id TEXT COLLATE "C" NOT NULL,
  grant_id  TEXT COLLATE "C" NOT NULL,
  token_id  TEXT COLLATE "C" NOT NULL,
  subject   TEXT COLLATE "C" NOT NULL,
  detail    TEXT COLLATE "C" NOT NULL
);

CREATE TABLE change (
  seq     BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  at      BIGINT NOT NULL,
  kind    TEXT COLLATE "C" NOT NULL,
  subject TEXT COLLATE "C" NOT NULL
);
CREATE INDEX change_at ON change (at);

-- How a client proves who it is, its keys, and the secret that a rotation
-- leaves valid for a while. Origins are asked about, so they are a table.

CREATE TABLE client_origins (
  client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  origin    TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (client_id, origin)
);
CREATE INDEX client_origins_origin ON client_origins (origin);

-- What the clean-up asks for, so that it never reads a whole table.
CREATE INDEX grants_expires ON grants (expires) WHERE expires IS NOT NULL;
CREATE INDEX grants_revoked ON grants (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX sessions_expires ON sessions (expires);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

-- The holders of a role, a page at a time.
CREATE INDEX user_roles_role ON user_roles (role, user_id);

-- Secrets of the server itself that are not keys of a line: the ACME account
-- and certificates, sealed like keys.
CREATE TABLE sealed (
  purpose TEXT COLLATE "C" NOT NULL,
  id      TEXT COLLATE "C" NOT NULL,
  sealed  TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (purpose, id)
);

-- The one-time code for the first administrator: one row at most.
CREATE TABLE setup (
  id        BIGINT PRIMARY KEY,
  code_hash TEXT COLLATE "C" NOT NULL,
  expires   BIGINT NOT NULL
);

-- Where a user logged in from lately: an IPv4 address or an IPv6 /64. Strangers'
-- guesses from elsewhere do not keep the user out from there.
CREATE TABLE known_networks (
  user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  network TEXT COLLATE "C" NOT NULL,
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, network)
);
CREATE INDEX known_networks_seen ON known_networks (seen_at);

-- Who a user is, for ID tokens and userinfo.

-- A session of a browser is found by the hash of its cookie.
CREATE UNIQUE INDEX sessions_cookie ON sessions (cookie_hash) WHERE cookie_hash IS NOT NULL;

-- The applications that were reached through a session: those to tell of its end.
CREATE TABLE session_apps (
  session_id TEXT COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  client_id  TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  used_at    BIGINT NOT NULL,
  PRIMARY KEY (session_id, client_id)
);
CREATE INDEX session_apps_client ON session_apps (client_id);

CREATE TABLE logout_deliveries (
  id         TEXT COLLATE "C" PRIMARY KEY,
  client_id  TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  user_id    TEXT COLLATE "C" NOT NULL,
  session_id TEXT COLLATE "C" NOT NULL,
  attempts   BIGINT NOT NULL,
  next_at    BIGINT NOT NULL,
  expires    BIGINT NOT NULL
);
CREATE INDEX logout_deliveries_next ON logout_deliveries (next_at);
CREATE INDEX logout_deliveries_client ON logout_deliveries (client_id);

CREATE TABLE consents (
  user_id   TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  scopes    TEXT COLLATE "C" NOT NULL,
  since     BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_client ON consents (client_id);

CREATE TABLE pushed (
  id_hash   TEXT COLLATE "C" PRIMARY KEY,
  client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  request   TEXT COLLATE "C" NOT NULL,
  expires   BIGINT NOT NULL
);
CREATE INDEX pushed_client ON pushed (client_id, expires);
CREATE INDEX pushed_expires ON pushed (expires);

CREATE TABLE devices (
  code_hash    TEXT COLLATE "C" PRIMARY KEY,
  user_code    TEXT COLLATE "C" NOT NULL UNIQUE,
  client_id    TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  scopes       TEXT COLLATE "C" NOT NULL,
  resource     TEXT COLLATE "C" NOT NULL,
  state        TEXT COLLATE "C" NOT NULL,
  user_id      TEXT COLLATE "C" NOT NULL,
  session_id   TEXT COLLATE "C" NOT NULL,
  auth_time    BIGINT,
  acr          TEXT COLLATE "C" NOT NULL,
  amr          TEXT COLLATE "C" NOT NULL,
  user_epoch   BIGINT NOT NULL,
  client_epoch BIGINT NOT NULL,
  grant_id     TEXT COLLATE "C" NOT NULL,
  pause        BIGINT NOT NULL,
  polled_at    BIGINT,
  created_at   BIGINT NOT NULL,
  expires      BIGINT NOT NULL
);
CREATE INDEX devices_client ON devices (client_id, expires);
CREATE INDEX devices_expires ON devices (expires);


-- Rows that change with every refresh stay on their page (fillfactor), and what
-- comes and goes is vacuumed long before it fills a fifth of its table.
ALTER TABLE grants SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE sessions SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE spent SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE revocation SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE change SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE pushed SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE devices SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE logout_deliveries SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE session_apps SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.02);

-- +goose Down
DROP TABLE devices;
DROP TABLE pushed;
DROP TABLE consents;
DROP TABLE logout_deliveries;
DROP TABLE session_apps;
DROP TABLE known_networks;
DROP TABLE setup;
DROP TABLE sealed;
DROP TABLE client_origins;
DROP TABLE change;
DROP TABLE events;
DROP TABLE revocation;
DROP TABLE spent;
DROP TABLE grants;
DROP TABLE sessions;
DROP TABLE keys;
DROP TABLE client_roles;
DROP TABLE clients;
DROP TABLE user_roles;
DROP TABLE users;
DROP TABLE role_scopes;
DROP TABLE roles;
DROP TABLE apis;
DROP TABLE meta;
