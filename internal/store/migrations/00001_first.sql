-- +goose Up
-- Times are microseconds since 1970, NULL when absent. Lists that are only read
-- back are JSON text; lists that are asked about are tables.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

CREATE TABLE apis (
  name       TEXT PRIMARY KEY,
  audience   TEXT NOT NULL UNIQUE,
  scopes     TEXT NOT NULL,
  claims     TEXT NOT NULL,
  algorithm  TEXT NOT NULL,
  disabled   INTEGER NOT NULL,
  version    BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE roles (
  name        TEXT PRIMARY KEY,
  description TEXT NOT NULL,
  is_default  INTEGER NOT NULL,
  disabled    INTEGER NOT NULL,
  version     BIGINT NOT NULL,
  created_at  BIGINT NOT NULL
);

CREATE TABLE role_scopes (
  role  TEXT NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
  api   TEXT NOT NULL REFERENCES apis (name) ON DELETE CASCADE,
  scope TEXT NOT NULL,
  PRIMARY KEY (role, api, scope)
);
CREATE INDEX role_scopes_api ON role_scopes (api);

CREATE TABLE users (
  id            TEXT PRIMARY KEY,
  username      TEXT NOT NULL UNIQUE,
  email         TEXT NOT NULL,
  name          TEXT NOT NULL,
  attributes    TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  epoch         BIGINT NOT NULL,
  disabled      INTEGER NOT NULL,
  version       BIGINT NOT NULL,
  created_at    BIGINT NOT NULL
);

CREATE TABLE user_roles (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role    TEXT NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
  PRIMARY KEY (user_id, role)
);
CREATE INDEX user_roles_role ON user_roles (role);

CREATE TABLE clients (
  id             TEXT PRIMARY KEY,
  name           TEXT NOT NULL,
  type           TEXT NOT NULL,
  first_party    INTEGER NOT NULL,
  grant_types    TEXT NOT NULL,
  redirect_uris  TEXT NOT NULL,
  scopes         TEXT NOT NULL,
  default_scopes TEXT NOT NULL,
  challenge      INTEGER NOT NULL,
  reader_of      TEXT NOT NULL,
  secret_hash    TEXT NOT NULL,
  epoch          BIGINT NOT NULL,
  disabled       INTEGER NOT NULL,
  version        BIGINT NOT NULL,
  created_at     BIGINT NOT NULL
);

CREATE TABLE client_roles (
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  role      TEXT NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
  PRIMARY KEY (client_id, role)
);
CREATE INDEX client_roles_role ON client_roles (role);

CREATE TABLE keys (
  id          TEXT PRIMARY KEY,
  purpose     TEXT NOT NULL,
  algorithm   TEXT NOT NULL,
  sealed      TEXT NOT NULL,
  public      TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  activate_at BIGINT,
  removed_at  BIGINT
);

CREATE TABLE sessions (
  id           TEXT PRIMARY KEY,
  user_id      TEXT NOT NULL,
  auth_time    BIGINT NOT NULL,
  acr          TEXT NOT NULL,
  amr          TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  idle_expires BIGINT NOT NULL,
  expires      BIGINT NOT NULL,
  ended_at     BIGINT
);
CREATE INDEX sessions_user ON sessions (user_id);

-- One row a grant; the generation counter is the whole refresh-token family.
-- user_id is NULL when the client acts for itself. cnf waits for DPoP and mTLS.
CREATE TABLE grants (
  id            TEXT PRIMARY KEY,
  user_id       TEXT,
  client_id     TEXT NOT NULL,
  session_id    TEXT,
  scopes        TEXT NOT NULL,
  resource      TEXT NOT NULL,
  auth_time     BIGINT,
  acr           TEXT NOT NULL,
  amr           TEXT NOT NULL,
  gen           BIGINT NOT NULL,
  mac_key_id    TEXT NOT NULL,
  rotated_at    BIGINT,
  created_at    BIGINT NOT NULL,
  idle_expires  BIGINT,
  expires       BIGINT,
  revoked_at    BIGINT,
  revoke_reason TEXT NOT NULL,
  cnf           TEXT NOT NULL
);
CREATE INDEX grants_user ON grants (user_id);
CREATE INDEX grants_client ON grants (client_id);
CREATE INDEX grants_session ON grants (session_id);
CREATE UNIQUE INDEX grants_standing ON grants (client_id) WHERE user_id IS NULL AND revoked_at IS NULL;

CREATE TABLE spent (
  id         TEXT PRIMARY KEY,
  grant_id   TEXT NOT NULL,
  drop_after BIGINT NOT NULL
);
CREATE INDEX spent_drop ON spent (drop_after);

CREATE TABLE revocation (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  at         BIGINT NOT NULL,
  kind       TEXT NOT NULL,
  subject    TEXT NOT NULL,
  min_epoch  BIGINT NOT NULL,
  drop_after BIGINT NOT NULL
);
CREATE INDEX revocation_subject ON revocation (kind, subject);
CREATE INDEX revocation_drop ON revocation (drop_after);

CREATE TABLE events (
  seq       INTEGER PRIMARY KEY AUTOINCREMENT,
  id        TEXT NOT NULL UNIQUE,
  at        BIGINT NOT NULL,
  kind      TEXT NOT NULL,
  actor     TEXT NOT NULL,
  user_id   TEXT NOT NULL,
  client_id TEXT NOT NULL,
  grant_id  TEXT NOT NULL,
  token_id  TEXT NOT NULL,
  subject   TEXT NOT NULL,
  detail    TEXT NOT NULL
);

CREATE TABLE change (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  at      BIGINT NOT NULL,
  kind    TEXT NOT NULL,
  subject TEXT NOT NULL
);
CREATE INDEX change_at ON change (at);

-- +goose Down
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
