-- +goose Up
-- Which process does a job that one alone may do. fence counts up with every
-- owner, so that one who slept over the end of its lease writes nothing.
CREATE TABLE leases (
  name    TEXT PRIMARY KEY,
  owner   TEXT NOT NULL,
  fence   BIGINT NOT NULL,
  expires BIGINT NOT NULL
);

-- All logins of a client end with one row: grants that were made at an epoch
-- below the client's min_grant_epoch are over. Their own rows follow in batches.
ALTER TABLE clients ADD COLUMN min_grant_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN client_epoch BIGINT NOT NULL DEFAULT 0;

-- What was decided and whose rows are still to be marked. seen is how far that is.
CREATE TABLE sweeps (
  kind    TEXT NOT NULL,
  subject TEXT NOT NULL,
  below   BIGINT NOT NULL,
  seen    TEXT NOT NULL,
  PRIMARY KEY (kind, subject)
);

-- Lists of logins, a page by key.
DROP INDEX grants_user;
CREATE INDEX grants_user ON grants (user_id, id);
DROP INDEX grants_client;
CREATE INDEX grants_client ON grants (client_id, id);
DROP INDEX sessions_user;
CREATE INDEX sessions_user ON sessions (user_id, id);
DROP INDEX session_apps_client;
CREATE INDEX session_apps_client ON session_apps (client_id, session_id);

-- From which network a request waits, so that one network cannot use up the
-- places of all.
ALTER TABLE pushed ADD COLUMN network TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN network TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE devices DROP COLUMN network;
ALTER TABLE pushed DROP COLUMN network;
DROP INDEX session_apps_client;
CREATE INDEX session_apps_client ON session_apps (client_id);
DROP INDEX sessions_user;
CREATE INDEX sessions_user ON sessions (user_id);
DROP INDEX grants_client;
CREATE INDEX grants_client ON grants (client_id);
DROP INDEX grants_user;
CREATE INDEX grants_user ON grants (user_id);
DROP TABLE sweeps;
ALTER TABLE grants DROP COLUMN client_epoch;
ALTER TABLE clients DROP COLUMN min_grant_epoch;
DROP TABLE leases;
