package guard

import (
	"crypto/sha256"
	"sync"
)

// shards keep concurrent requests from waiting for one lock.
const shards = 16

// cache remembers verified tokens by the SHA-256 of the whole token: a token
// that differs in one byte is another token. It forgets the older half of a
// shard when that is full, which is simple and bounded.
type cache struct {
	size  int // of one generation of one shard
	shard [shards]struct {
		mu       sync.RWMutex
		new, old map[[32]byte]*verified
	}
}

func newCache(size int) *cache { return &cache{size: max(1, size/shards/2)} }

func digestOf(raw string) [32]byte { return sha256.Sum256([]byte(raw)) }

func (c *cache) get(digest [32]byte) (*verified, bool) {
	s := &c.shard[digest[0]%shards]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if v, ok := s.new[digest]; ok {
		return v, true
	}
	v, ok := s.old[digest]
	return v, ok
}

func (c *cache) put(digest [32]byte, v *verified) {
	s := &c.shard[digest[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.new == nil || len(s.new) >= c.size {
		s.old, s.new = s.new, make(map[[32]byte]*verified, c.size)
	}
	s.new[digest] = v
}
