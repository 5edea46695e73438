package store_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

func TestPostgres(t *testing.T) {
	if !storetest.Postgres() {
		t.Skip("GATEHOUSE_TEST_DATABASE is not postgres")
	}
	storetest.Run(t, func(t *testing.T, dir string, now func() time.Time) *store.DB { return storetest.OpenAt(t, dir, now) })
}
