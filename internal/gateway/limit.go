package gateway

import (
	"hash/maphash"
	"sync"
	"time"
)

// maxBuckets bounds the memory of a limiter, whoever calls.
const maxBuckets = 1 << 16

// limiter lets each name do so many requests a second, and as many at once as
// in two seconds. The nil limiter lets everything through.
type limiter struct {
	rate  float64 // requests a second
	burst float64
	now   func() time.Time
	seed  maphash.Seed

	mu      sync.Mutex
	buckets map[uint64]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

func newLimiter(perSecond int, now func() time.Time) *limiter {
	if perSecond == 0 {
		return nil
	}
	return &limiter{rate: float64(perSecond), burst: 2 * float64(perSecond), now: now, seed: maphash.MakeSeed(), buckets: map[uint64]*bucket{}}
}

// take counts a request, and says how long to wait when there were too many.
func (l *limiter) take(issuer, name string) time.Duration {
	if l == nil || name == "" {
		return 0
	}
	key := maphash.Comparable(l.seed, [2]string{issuer, name})
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		l.makeRoom(now)
		b = &bucket{left: l.burst, at: now}
		l.buckets[key] = b
	}
	b.left = min(l.burst, b.left+max(0, now.Sub(b.at).Seconds())*l.rate)
	b.at = now
	if b.left < 1 {
		return time.Duration((1 - b.left) / l.rate * float64(time.Second))
	}
	b.left--
	return 0
}

// makeRoom forgets buckets that are full again, which says as much as none; and
// any, when that is not enough.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.buckets) < maxBuckets {
		return
	}
	for key, b := range l.buckets {
		if b.left+now.Sub(b.at).Seconds()*l.rate >= l.burst {
			delete(l.buckets, key)
		}
	}
	for key := range l.buckets {
		if len(l.buckets) < maxBuckets {
			return
		}
		delete(l.buckets, key)
	}
}
