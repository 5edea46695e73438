package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

func TestCopiesSeeTheirOwnChangesAtOnce(t *testing.T) {
	ctx, db := context.Background(), store.NewCopies(open(t, t.TempDir(), time.Now))
	defer db.Close()
	must(t, db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public, Name: "one"}))
	for i := range 50 {
		c, err := db.Client(ctx, "app")
		must(t, err)
		c.Name = fmt.Sprint("name ", i)
		must(t, db.UpdateClient(ctx, c, iam.EndNothing))
		if after, err := db.Client(ctx, "app"); err != nil || after.Name != c.Name || after.Version != c.Version+1 {
			t.Fatalf("got %+v %v after the change to %q", after, err, c.Name)
		}
	}
	must(t, db.CreateAPI(ctx, iam.API{Name: "orders", Audience: "https://orders.example.com"}))
	must(t, db.CreateRole(ctx, iam.Role{Name: "clerk"}))
	apis, err1 := db.APIs(ctx)
	roles, err2 := db.Roles(ctx)
	if err := errors.Join(err1, err2); err != nil || len(apis) != 1 || len(roles) != 1 {
		t.Fatalf("got %v %v %v", apis, roles, err)
	}
	c, err := db.Client(ctx, "app")
	must(t, err)
	c.Roles = []string{"clerk"}
	must(t, db.UpdateClient(ctx, c, iam.EndAccess))
	if c, err = db.Client(ctx, "app"); err != nil || len(c.Roles) != 1 {
		t.Fatalf("got %+v %v", c, err)
	}
	must(t, db.DeleteRole(ctx, "clerk"))
	roles, err = db.Roles(ctx)
	if c, err1 := db.Client(ctx, "app"); errors.Join(err, err1) != nil || len(roles) != 0 || len(c.Roles) != 0 {
		t.Errorf("a deleted role is still there: %v, client %v", roles, c.Roles)
	}
	must(t, db.DeleteClient(ctx, "app"))
	if _, err := db.Client(ctx, "app"); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("a deleted client: %v", err)
	}
}

func TestCopiesHearOfOtherProcesses(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	ours, theirs := store.NewCopies(open(t, dir, time.Now)), open(t, dir, time.Now)
	defer ours.Close()
	defer theirs.Close()
	must(t, ours.CreateClient(ctx, iam.Client{ID: "robot", Type: iam.Service}))
	c, err := ours.Client(ctx, "robot")
	must(t, err)
	_, seen, err := ours.Changes(ctx, 0)
	must(t, err)

	c.Disabled = true
	must(t, theirs.UpdateClient(ctx, c, iam.EndEverything))
	if old, err := ours.Client(ctx, "robot"); err != nil || old.Disabled {
		t.Fatalf("got %+v %v: is there no copy?", old, err)
	}
	// What a copy says is never the decision: the statement that writes decides.
	_, err = ours.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "robot", CreatedAt: time.Now()}, 1, iam.Event{Kind: "x"})
	if !errors.Is(err, iam.ErrConflict) {
		t.Errorf("issued for a disabled client: %v", err)
	}
	if now, err := ours.Client(ctx, "robot"); err != nil || !now.Disabled {
		t.Errorf("after a conflict: %+v %v", now, err)
	}

	c, _ = theirs.Client(ctx, "robot")
	c.Name = "renamed"
	must(t, theirs.UpdateClient(ctx, c, iam.EndNothing))
	changes, _, err := ours.Changes(ctx, seen)
	must(t, err)
	ours.Forget(changes...)
	if now, err := ours.Client(ctx, "robot"); err != nil || now.Name != "renamed" {
		t.Errorf("after the poll: %+v %v", now, err)
	}
}

func TestCopiesNeverKeepWhatWasReadBeforeAChange(t *testing.T) {
	ctx, db := context.Background(), store.NewCopies(open(t, t.TempDir(), time.Now))
	defer db.Close()
	must(t, db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public}))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := db.Client(ctx, "app"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 300 {
		c, err := db.DB.Client(ctx, "app")
		must(t, err)
		c.Name = fmt.Sprint(i)
		must(t, db.UpdateClient(ctx, c, iam.EndNothing))
		if now, err := db.Client(ctx, "app"); err != nil || now.Name != c.Name {
			t.Fatalf("got %q %v after a change to %q", now.Name, err, c.Name)
		}
	}
	close(stop)
	readers.Wait()
}

func TestCopiesHoldNoStrangers(t *testing.T) {
	ctx, db := context.Background(), store.NewCopies(open(t, t.TempDir(), time.Now))
	defer db.Close()
	must(t, db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public}))
	for i := range 100 {
		if _, err := db.Client(ctx, iam.ClientID(fmt.Sprint("stranger-", i))); !errors.Is(err, iam.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if _, err := db.Client(ctx, "app"); err != nil || len(db.Held()) != 1 {
		t.Errorf("held %v %v", db.Held(), err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
