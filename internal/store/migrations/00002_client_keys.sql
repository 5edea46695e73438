-- +goose Up
-- How a client proves who it is, its keys, and the secret that a rotation
-- leaves valid for a while. Origins are asked about, so they are a table.
ALTER TABLE clients ADD COLUMN auth_method TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN jwks TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN jwks_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN old_secret_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN old_secret_ends BIGINT;
UPDATE clients SET auth_method = CASE type WHEN 'public' THEN 'none' ELSE 'client_secret' END;

CREATE TABLE client_origins (
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  origin    TEXT NOT NULL,
  PRIMARY KEY (client_id, origin)
);
CREATE INDEX client_origins_origin ON client_origins (origin);

-- +goose Down
DROP TABLE client_origins;
ALTER TABLE clients DROP COLUMN old_secret_ends;
ALTER TABLE clients DROP COLUMN old_secret_hash;
ALTER TABLE clients DROP COLUMN jwks_uri;
ALTER TABLE clients DROP COLUMN jwks;
ALTER TABLE clients DROP COLUMN auth_method;
