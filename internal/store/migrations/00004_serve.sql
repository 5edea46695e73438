-- +goose Up
-- What the clean-up asks for, so that it never reads a whole table.
CREATE INDEX grants_expires ON grants (expires) WHERE expires IS NOT NULL;
CREATE INDEX grants_revoked ON grants (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX sessions_expires ON sessions (expires);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

-- The holders of a role, a page at a time.
DROP INDEX user_roles_role;
CREATE INDEX user_roles_role ON user_roles (role, user_id);

-- Secrets of the server itself that are not keys of a line: the ACME account
-- and certificates, sealed like keys.
CREATE TABLE sealed (
  purpose TEXT NOT NULL,
  id      TEXT NOT NULL,
  sealed  TEXT NOT NULL,
  PRIMARY KEY (purpose, id)
);

-- The one-time code for the first administrator: one row at most.
CREATE TABLE setup (
  id        INTEGER PRIMARY KEY,
  code_hash TEXT NOT NULL,
  expires   BIGINT NOT NULL
);

-- +goose Down
DROP TABLE setup;
DROP TABLE sealed;
DROP INDEX user_roles_role;
CREATE INDEX user_roles_role ON user_roles (role);
DROP INDEX grants_expires;
DROP INDEX grants_revoked;
DROP INDEX sessions_expires;
DROP INDEX sessions_ended;
