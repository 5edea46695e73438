package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/follow"
	_ "github.com/gatehouse-auth/gatehouse/internal/store" // the driver
)

// million starts a node whose database has a million live revocations, and
// verifiers at it.
func million(binary, dir string) error {
	const n = 1_000_000
	data := filepath.Join(dir, "million")
	_, stop, err := startIn(binary, data)
	if err != nil {
		return err
	}
	stop()
	if err := fill(filepath.Join(data, "gatehouse.db"), n); err != nil {
		return err
	}
	began := time.Now()
	d, stop, err := startIn(binary, data)
	if err != nil {
		return err
	}
	defer stop()
	ready := time.Since(began)
	fmt.Printf("\nA node that starts with a million live revocations\n")
	fmt.Printf("  ready for requests after %s, with %d MB", round(ready), resident(d.process.Pid)/1000)
	size, err := readSnapshot(d, began)
	if err != nil {
		return err
	}
	fmt.Printf("; the feed is there after %s\n", round(size.open))
	fmt.Printf("  a first reader has the snapshot of %.1f MB in %s", float64(size.bytes)/1e6, round(size.took))
	if size, err = readSnapshot(d, time.Now()); err != nil {
		return err
	}
	fmt.Printf(", the next one in %s; the node has %d MB\n", round(size.took), resident(d.process.Pid)/1000)
	return follower(d, n)
}

func fill(file string, n int) error {
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		return err
	}
	defer db.Close()
	now := time.Now()
	_, err = db.Exec(`INSERT INTO revocation (at, kind, subject, min_epoch, drop_after)
		WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i < $1) SELECT $2, 'jti', 'id-' || i, 0, $3 FROM c`, n, now.UnixMicro(), now.Add(time.Hour).UnixMicro())
	return err
}

type snapshotRead struct {
	open, took time.Duration
	bytes      int64
}

// readSnapshot reads the feed up to its first heartbeat, as bytes.
func readSnapshot(d dev, began time.Time) (snapshotRead, error) {
	var s snapshotRead
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		asked := time.Now()
		response, err := http.Get(d.Issuer + "/revocations")
		if err != nil {
			return s, err
		}
		if response.StatusCode != http.StatusOK {
			response.Body.Close()
			continue
		}
		s.open = asked.Sub(began)
		defer response.Body.Close()
		buffer, last := make([]byte, 64<<10), ""
		for {
			k, err := response.Body.Read(buffer)
			s.bytes += int64(k)
			if last += string(buffer[:k]); strings.Contains(last, "event: heartbeat") {
				s.took = time.Since(asked)
				return s, nil
			}
			last = last[max(0, len(last)-64):]
			if err != nil {
				return s, fmt.Errorf("the feed ended: %w", err)
			}
		}
	}
	return s, fmt.Errorf("the feed did not come: %w", io.ErrUnexpectedEOF)
}

// follower is what guard has: it verifies each message and keeps the set.
func follower(d dev, n int) error {
	before := live()
	f, err := follow.New(follow.Config{Issuer: d.Issuer})
	if err != nil {
		return err
	}
	defer f.Close()
	f.Found(follow.Places{Feed: d.Issuer + "/revocations", Keys: d.Issuer + "/.well-known/feed-keys.json"})
	began := time.Now()
	f.Start()
	if err := f.Wait(context.Background(), time.Minute); err != nil {
		return err
	}
	took := time.Since(began)
	if got := f.Set().Len(); got < n {
		return fmt.Errorf("%d revocations came, want %d", got, n)
	}
	fmt.Printf("  a verifier has read, verified and taken it in %s, and has %.1f MB more than before\n", round(took), float64(live()-before)/1e6)
	return nil
}
