package login

// Load is what the queue for hashing does right now.
type Load struct {
	Slots     int // hashes that may be computed at once
	Free      int // of these
	Known     int // logins that wait, of accounts known on their network
	Strangers int // others that wait
	Hashes    int64
}

// Load tells how busy the hashing of passwords is.
func (p *Passwords) Load() Load {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	return Load{Slots: p.queue.slots, Free: p.queue.free, Known: len(p.queue.waiting[knownLane]), Strangers: len(p.queue.waiting[strangerLane]), Hashes: p.operations.Load()}
}
