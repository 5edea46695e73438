package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// C16: of a role that very many hold, the access of each ends, a batch at a
// time, and of nobody else.
func TestC16ManyHoldersAreEndedInBatches(t *testing.T) {
	const users = 2*holdersAtOnce + 1
	db := fresh(t)
	ctx := context.Background()
	for _, name := range []string{"many", "other"} {
		if err := db.CreateRole(ctx, iam.Role{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.CreateClient(ctx, iam.Client{ID: "robot", Type: iam.Service, Roles: []string{"many"}}); err != nil {
		t.Fatal(err)
	}
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		for i := range users + 10 {
			u := iam.User{ID: iam.UserID(fmt.Sprintf("usr_%04d", i)), Username: fmt.Sprintf("u%04d", i), Roles: []string{"many", "other"}}
			if i >= users {
				u.Roles = u.Roles[1:]
			}
			if err := db.insertUser(ctx, tx, u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	count := func(query string) (n int) {
		t.Helper()
		if err := db.reads.QueryRowContext(ctx, query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	check := func(epoch, told int) {
		t.Helper()
		for query, want := range map[string]int{
			fmt.Sprintf(`SELECT COUNT(*) FROM users WHERE epoch = %d`, epoch):                            users,
			`SELECT COUNT(*) FROM users WHERE epoch = 1`:                                                 10,
			fmt.Sprintf(`SELECT COUNT(*) FROM clients WHERE epoch = %d`, epoch):                          1,
			fmt.Sprintf(`SELECT COUNT(DISTINCT subject) FROM revocation WHERE min_epoch = %d`, epoch):    users + 1,
			`SELECT COUNT(*) FROM revocation`:                                                            told,
			`SELECT COUNT(*) FROM user_roles WHERE role = 'other'`:                                       users + 10,
			`SELECT COUNT(*) FROM events WHERE kind = 'role.taken' AND actor = 'a' AND subject = 'many'`: 2 * (epoch - 2),
			`SELECT COUNT(*) FROM events WHERE kind = 'done'`:                                            epoch - 1,
			fmt.Sprintf(`SELECT COUNT(*) FROM user_roles WHERE role = 'many' AND %d = 3`, epoch):         0,
			fmt.Sprintf(`SELECT COUNT(*) FROM client_roles WHERE role = 'many' AND %d = 3`, epoch):       0,
		} {
			if got := count(query); got != want {
				t.Errorf("got %d, want %d: %s", got, want, query)
			}
		}
	}
	if err := db.BumpHolders(ctx, "many", iam.Event{Kind: "done", Actor: "a"}); err != nil {
		t.Fatal(err)
	}
	check(2, users+1)
	if err := db.DeleteRole(ctx, "many", iam.Event{Kind: "done", Actor: "a"}); err != nil {
		t.Fatal(err)
	}
	check(3, 2*(users+1))
}
