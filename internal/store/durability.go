package store

import (
	"context"
	"log/slog"
	"time"
)

// Durability is what a change that was answered survives.
type Durability string

// Durability of a store.
const (
	DurableFile   Durability = "file"   // SQLite: written to the disk
	DurableSingle Durability = "single" // one PostgreSQL server: its disk
	// DurableAsync: standbys follow without being waited for. When one takes
	// over, the last answers may be forgotten.
	DurableAsync  Durability = "async"
	DurableQuorum Durability = "quorum" // standbys confirmed it
	DurableNone   Durability = "none"   // synchronous_commit or fsync is off
	DurableOpaque Durability = "unknown"
)

// Durability asks the database how it keeps what it confirms.
func (db *DB) Durability(ctx context.Context) (Durability, error) {
	reads, ok := db.reads.(*pgReader)
	if !ok {
		return DurableFile, nil
	}
	var fsync, commit, names string
	var standbys int
	err := reads.QueryRowContext(ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), (SELECT COUNT(*) FROM pg_stat_replication)`).
		Scan(&fsync, &commit, &names, &standbys)
	switch {
	case err != nil && pgCode(err, "42"): // not everybody may ask
		return DurableOpaque, nil
	case err != nil:
		return "", err
	case commit == "off" || fsync == "off" && names == "" && standbys == 0:
		return DurableNone, nil
	case names != "" && commit != "local":
		return DurableQuorum, nil
	case standbys > 0:
		return DurableAsync, nil
	}
	return DurableSingle, nil
}

// sayDurability warns of what may be lost although it was answered.
func (db *DB) sayDurability(ctx context.Context, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	d, err := db.Durability(ctx)
	attr := slog.String("durability", string(d))
	switch {
	case err != nil:
		logger.Warn("it cannot be told how the database keeps what it confirms", slog.Any("error", err))
	case d == DurableAsync:
		logger.Warn("a failover of the database can forget logins, refreshes and revocations that were answered: set synchronous_standby_names to ANY 1 of at least two standbys", attr)
	case d == DurableNone:
		logger.Warn("a power cut can make the database forget what it confirmed: set fsync and synchronous_commit to on", attr)
	default:
		logger.Info("database", attr)
	}
}
