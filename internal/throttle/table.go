package throttle

import "time"

// ways is how many entries share a row of a table.
const ways = 8

// table is a fixed piece of memory for counters. A key has one row where it can
// stand; the keys are made with a secret, so nobody can aim at a row. When a
// row is full, the entry that would be forgotten first anyway makes room: a
// name that was tried once goes before one that was tried often, so pushing a
// counter out takes more attempts than it holds, times the number of rows.
type table struct {
	rows [][ways]entry
	// ends is when an entry tells nothing any more.
	ends func(entry) time.Duration
}

// entry is a counter. at is a time since the start of the Throttle: of the last
// attempt, or when a bucket will be full again. No pointers: nothing for the
// collector to read.
type entry struct {
	key   key
	at    time.Duration
	told  time.Duration // of the last refusal that was reported as the first
	count uint8
	used  bool
	// fresh attempts were not told to other processes yet, told ones were.
	fresh, shared uint8
}

type key [16]byte

func newTable(rows int, ends func(entry) time.Duration) table {
	return table{rows: make([][ways]entry, rows), ends: ends}
}

// find is the entry of a key, or nil.
func (t *table) find(k key) *entry {
	row := t.row(k)
	for i := range row {
		if row[i].used && row[i].key == k {
			return &row[i]
		}
	}
	return nil
}

// get is the entry of a key, made if it is not there.
func (t *table) get(k key) *entry {
	if e := t.find(k); e != nil {
		return e
	}
	row := t.row(k)
	least := &row[0]
	for i := range row {
		if !row[i].used {
			least = &row[i]
			break
		}
		if t.ends(row[i]) < t.ends(*least) {
			least = &row[i]
		}
	}
	*least = entry{key: k, used: true}
	return least
}

func (t *table) row(k key) *[ways]entry {
	n := uint64(k[0]) | uint64(k[1])<<8 | uint64(k[2])<<16 | uint64(k[3])<<24
	return &t.rows[n%uint64(len(t.rows))]
}
