package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// metricsPatience bounds what one reading of the metrics asks of the database.
const metricsPatience = 2 * time.Second

// exposition is metrics as Prometheus reads them (text format 0.0.4).
type exposition struct{ strings.Builder }

// gauge is a value that goes up and down. labels are names and values in turn.
func (e *exposition) gauge(name, help string, value float64, labels ...string) {
	e.family("gauge", name, help, value, labels)
}

// counter is a value that only rises while the process lives.
func (e *exposition) counter(name, help string, value float64, labels ...string) {
	e.family("counter", name, help, value, labels)
}

func (e *exposition) family(kind, name, help string, value float64, labels []string) {
	name = "gatehouse_" + name
	if !strings.Contains(e.String(), "# TYPE "+name+" ") {
		fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	e.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		separator := ","
		if i == 0 {
			separator = "{"
		}
		fmt.Fprintf(e, `%s%s="%s"`, separator, labels[i], escapeLabel.Replace(labels[i+1]))
	}
	if len(labels) > 1 {
		e.WriteString("}")
	}
	e.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// Metrics answers GET /metrics, for a listener of its own: it says nothing of
// users, but whoever operates the server need not tell everybody how it is.
func (p *Parts) Metrics() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		io.WriteString(w, p.metrics(r.Context()))
	})
	return mux
}

// ServeMetrics answers on a listener until ctx ends.
func (p *Parts) ServeMetrics(ctx context.Context, l net.Listener) error {
	return Serve(ctx, p.Metrics(), p.logger, l)
}

func (p *Parts) metrics(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, metricsPatience)
	defer cancel()
	var e exposition
	p.feedMetrics(&e)
	p.leaseMetrics(ctx, &e)
	p.databaseMetrics(ctx, &e)
	load := p.passwords.Load()
	e.gauge("hash_slots", "Password hashes that may be computed at once.", float64(load.Slots))
	e.gauge("hash_slots_free", "Of these, how many are free.", float64(load.Free))
	e.gauge("hash_waiting", "Logins that wait for a slot.", float64(load.Known), "lane", "known")
	e.gauge("hash_waiting", "", float64(load.Strangers), "lane", "stranger")
	e.counter("hashes_total", "Password hashes computed.", float64(load.Hashes))
	e.gauge("keys_confirmed_age_seconds", "Since when this process knows that its keys are those of the database. Beyond 1 it reads them again before it signs.", p.Keys.Age().Seconds())
	e.gauge("goroutines", "Goroutines of this process.", float64(runtime.NumGoroutine()))
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	e.gauge("memory_heap_bytes", "Memory in use by this process's heap.", float64(memory.HeapInuse))
	return e.String()
}

func (p *Parts) feedMetrics(e *exposition) {
	if lag, known := p.Feed.Lag(); known {
		e.gauge("feed_lag_seconds", "Since when the database was last read for the revocation feed.", lag.Seconds())
	}
	e.gauge("feed_readers", "Verifiers that read the revocation feed from this process.", float64(p.Feed.Readers()))
	p.canary.mu.Lock()
	last, measured := p.canary.last, p.canary.measured
	p.canary.mu.Unlock()
	if last.At.IsZero() {
		return
	}
	ok := 0.0
	if last.Fault == "" {
		ok = 1
		e.gauge("revocation_delay_seconds", "How long the last revocation of the canary took to reach a verifier, whichever process measured it.", last.Delay.Seconds())
	}
	e.gauge("canary_ok", "1: the last measurement of the canary has a result.", ok)
	e.gauge("canary_timestamp_seconds", "When the canary last measured, as Unix time.", float64(last.At.UnixMilli())/1000)
	e.counter("canary_measurements_total", "Measurements that this process made or heard of.", float64(measured))
}

func (p *Parts) leaseMetrics(ctx context.Context, e *exposition) {
	leases, err := p.Store.Leases(ctx)
	if err != nil {
		return // database_up says so
	}
	for _, l := range leases {
		mine := 0.0
		if l.Owner == p.node {
			mine = 1
		}
		e.gauge("lease_mine", "1: this process did this duty last.", mine, "duty", l.Name)
	}
	for _, l := range leases {
		e.gauge("lease_holder", "Which process did a duty last; always 1.", 1, "duty", l.Name, "node", l.Owner)
	}
	for _, l := range leases {
		e.counter("lease_fence", "The fence of a duty's lease: how often it was taken or given back.", float64(l.Fence), "duty", l.Name)
	}
	if n, err := p.Store.Sweeps(ctx); err == nil {
		e.gauge("sweeps", "Decisions over many grants whose rows are still being marked.", float64(n))
	}
}

func (p *Parts) databaseMetrics(ctx context.Context, e *exposition) {
	up := 1.0
	if err := p.Store.Ping(ctx); err != nil {
		up = 0
	}
	e.gauge("database_up", "1: the database can be read and written.", up)
	if d, err := p.Store.Durability(ctx); err == nil {
		e.gauge("database_durability", "What a change that was answered survives: file, single, async, quorum, none or unknown; always 1.", 1, "mode", string(d))
	}
	pools := p.Store.Pools()
	for _, state := range []struct {
		name  string
		value func(store.Pool) int
	}{{"open", func(x store.Pool) int { return x.Stats.OpenConnections }}, {"in_use", func(x store.Pool) int { return x.Stats.InUse }}, {"most", func(x store.Pool) int { return x.Stats.MaxOpenConnections }}} {
		for _, pool := range pools {
			e.gauge("database_connections", "Connections to the database.", float64(state.value(pool)), "pool", pool.Name, "state", state.name)
		}
	}
	for _, pool := range pools {
		e.counter("database_waits_total", "Requests that waited for a connection.", float64(pool.Stats.WaitCount), "pool", pool.Name)
	}
	for _, pool := range pools {
		e.counter("database_wait_seconds_total", "How long they waited.", pool.Stats.WaitDuration.Seconds(), "pool", pool.Name)
	}
	e.gauge("database_writes_waiting", "Writes that wait for the one writer of SQLite.", float64(p.Store.Waiting()))
}
