package gateway

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"time"
)

// flushEvery is how long a decision may stay in memory before it is written.
const flushEvery = time.Second

// decisionLog writes decisions as NDJSON. The nil log writes nothing.
type decisionLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	w      *bufio.Writer
	broken bool
	end    chan struct{}
	ended  sync.WaitGroup
}

func newDecisionLog(w io.Writer, logger *slog.Logger) *decisionLog {
	if w == nil {
		return nil
	}
	l := &decisionLog{w: bufio.NewWriterSize(w, 64<<10), logger: logger, end: make(chan struct{})}
	l.ended.Go(l.tend)
	return l
}

func (l *decisionLog) tend() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.end:
			l.flush()
			return
		case <-tick.C:
			l.flush()
		}
	}
}

func (l *decisionLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complain(l.w.Flush())
}

// complain tells once that the log cannot be written. Requests go on: this log
// is for changing a policy, it is not the record of an audit.
func (l *decisionLog) complain(err error) {
	if err != nil && !l.broken {
		l.broken = true
		l.logger.Error("the decision log cannot be written", "cause", err)
	}
}

func (l *decisionLog) write(record any) {
	line, err := json.Marshal(record)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		_, err = l.w.Write(append(line, '\n'))
	}
	l.complain(err)
}

func (l *decisionLog) close() {
	if l == nil {
		return
	}
	close(l.end)
	l.ended.Wait()
}
