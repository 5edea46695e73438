-- +goose Up
-- Where a user logged in from lately: an IPv4 address or an IPv6 /64. Strangers'
-- guesses from elsewhere do not keep the user out from there.
CREATE TABLE known_networks (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  network TEXT NOT NULL,
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, network)
);
CREATE INDEX known_networks_seen ON known_networks (seen_at);

-- +goose Down
DROP TABLE known_networks;
