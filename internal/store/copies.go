package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// maxCopies bounds the clients that are held; beyond it all are forgotten and
// read again as they are needed.
const maxCopies = 10_000

// Copies is a DB that keeps clients, APIs and roles in memory, because every
// token needs them and they hardly ever change. A change made through this DB
// is seen at once; one made by another process when Forget hears of it, which
// is at the next poll of the change table (C28). Who decides by a copy repeats
// the decision in the statement that writes: an epoch that moved is a conflict,
// and is then read afresh.
//
// What it returns is shared: do not write to it.
type Copies struct {
	*DB

	mu      sync.Mutex
	age     uint64 // moves with every change; a read that began before one is not kept
	clients map[iam.ClientID]iam.Client
	apis    []iam.API
	roles   []iam.Role
}

// NewCopies starts with nothing held.
func NewCopies(db *DB) *Copies {
	c := &Copies{DB: db, clients: map[iam.ClientID]iam.Client{}}
	db.onChange = append(db.onChange, func(kind, subject string) { c.Forget(iam.Change{Kind: kind, Subject: subject}) })
	return c
}

// Forget drops what a change may have made untrue. A role or an API that goes
// away takes itself from clients and roles, so everything goes with it.
func (c *Copies) Forget(changes ...iam.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, change := range changes {
		switch change.Kind {
		case "user", "key", iam.ChangePressure, iam.ChangeCanary:
			continue
		case "client":
			delete(c.clients, iam.ClientID(change.Subject))
		default:
			clear(c.clients)
			c.apis, c.roles = nil, nil
		}
		c.age++
	}
}

// Client reads a client or service account by id. One that does not exist is
// looked up each time: strangers must not fill the memory with names.
func (c *Copies) Client(ctx context.Context, id iam.ClientID) (iam.Client, error) {
	c.mu.Lock()
	client, held := c.clients[id]
	age := c.age
	c.mu.Unlock()
	if held {
		return client, nil
	}
	client, err := c.DB.Client(ctx, id)
	if err != nil {
		return client, err
	}
	c.keep(age, func() {
		if len(c.clients) >= maxCopies {
			clear(c.clients)
		}
		c.clients[id] = client
	})
	return client, nil
}

// APIs reads all APIs by name.
func (c *Copies) APIs(ctx context.Context) ([]iam.API, error) {
	c.mu.Lock()
	apis, age := c.apis, c.age
	c.mu.Unlock()
	if apis != nil {
		return apis, nil
	}
	apis, err := c.DB.APIs(ctx)
	if err == nil {
		c.keep(age, func() { c.apis = apis })
	}
	return apis, err
}

// Roles reads all roles by name.
func (c *Copies) Roles(ctx context.Context) ([]iam.Role, error) {
	c.mu.Lock()
	roles, age := c.roles, c.age
	c.mu.Unlock()
	if roles != nil {
		return roles, nil
	}
	roles, err := c.DB.Roles(ctx)
	if err == nil {
		c.keep(age, func() { c.roles = roles })
	}
	return roles, err
}

func (c *Copies) keep(age uint64, put func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age == c.age {
		put()
	}
}

// Held are the ids of the clients in memory.
func (c *Copies) Held() []iam.ClientID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.clients))
}

// IssueForClient is the store's. After a conflict the copy is known to be old.
func (c *Copies) IssueForClient(ctx context.Context, candidate iam.Grant, clientEpoch int64, event iam.Event) (iam.GrantID, error) {
	id, err := c.DB.IssueForClient(ctx, candidate, clientEpoch, event)
	if errors.Is(err, iam.ErrConflict) {
		c.Forget(iam.Change{Kind: "client", Subject: string(candidate.ClientID)})
	}
	return id, err
}

// TurnRefresh is the store's. After a moved epoch the copy may be old.
func (c *Copies) TurnRefresh(ctx context.Context, t iam.Turn) (iam.Grant, iam.TurnOutcome, error) {
	grant, outcome, err := c.DB.TurnRefresh(ctx, t)
	if outcome == iam.EpochChanged {
		c.Forget(iam.Change{Kind: "client", Subject: string(t.Client)})
	}
	return grant, outcome, err
}
