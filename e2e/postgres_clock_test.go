package e2e_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
)

// TestClocks runs nodes whose machines are an hour fast, an hour slow and three
// minutes fast beside one that is right. Grace and expiry go by the database's
// clock whichever node is asked, no token comes from the future, and no key
// signs that others do not publish.
func TestClocks(t *testing.T) {
	skewed := filepath.Join(t.TempDir(), "skewed")
	if out, err := exec.Command("go", "build", "-o", skewed, "./skewed").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := postgres(t)
	dsn := server.Database(t)
	h := &house{installation: newInstallation(t), server: server, database: databaseOf(dsn)}
	skews := []time.Duration{0, time.Hour, -time.Hour, 3 * time.Minute}
	h.configure(dsn, len(skews))
	for i, n := range h.nodes {
		if skews[i] != 0 {
			n.program, n.env = skewed, []string{"GATEHOUSE_SKEW=" + skews[i].String()}
		}
	}
	right, fast, slow := h.nodes[0], h.nodes[1], h.nodes[2]
	fast.start() // the first of all: the keys are made by its clock
	for _, n := range h.nodes {
		if n != fast {
			n.start()
		}
	}
	for i, n := range h.nodes {
		if says := strings.Contains(n.log.String(), "clock differs from the database's"); says != (skews[i] != 0) {
			t.Errorf("the node at %v says that its clock is wrong: %v", skews[i], says)
		}
	}
	h.furnish()
	g, err := guard.New(guard.Config{Issuer: h.issuer, Audience: "https://orders.example.com", HTTPClient: right.client()})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	check := func(what string, a answer, err error) {
		t.Helper()
		if err != nil || a.status != 200 {
			t.Errorf("%s: %v %+v", what, err, a)
			return
		}
		iat := time.Unix(int64(claimsOf(t, a.Access)["iat"].(float64)), 0)
		if off := time.Since(iat); off < -5*time.Second || off > 10*time.Second {
			t.Errorf("%s: a token of %v ago", what, off)
		}
		if _, err := g.Verify(t.Context(), a.Access); err != nil {
			t.Errorf("%s: guard says %v", what, err)
		}
		for i, n := range h.nodes {
			if _, keys := n.get("/.well-known/jwks.json"); !strings.Contains(keys, kidOf(t, a.Access)) {
				t.Errorf("%s: node %d does not publish the key that signed", what, i)
			}
		}
	}
	clients := make([]*http.Client, len(h.nodes))
	for i, n := range h.nodes {
		clients[i] = n.client()
		a, err := h.credentials(clients[i])
		check(fmt.Sprintf("client_credentials at %v", skews[i]), a, err)
	}

	// A login begins at one node and ends at another: the code lives a minute of
	// the database's clock.
	browsers := make([]*http.Client, len(h.nodes))
	for i, n := range h.nodes {
		browsers[i] = h.session(n)
		code, err := h.code(browsers[i])
		h.must(err)
		other := (i + 1) % len(h.nodes)
		a, err := h.redeem(clients[other], code)
		check(fmt.Sprintf("a code made at %v, redeemed at %v", skews[i], skews[other]), a, err)
	}

	// C13, C26: the grace.
	first := h.login(browsers[0])
	rotated, err := h.refresh(clients[0], first)
	check("refresh at the right node", rotated, err)
	at := time.Now()
	for i, c := range clients {
		a, err := h.refresh(c, first)
		check(fmt.Sprintf("repeat within the grace at %v", skews[i]), a, err)
		if a.Refresh != rotated.Refresh {
			t.Errorf("at %v the successor is another", skews[i])
		}
	}

	// Expiry: of two grants one ended a minute ago and one ends in ten, as the
	// database counts; an hour's error decides neither.
	ended, lives := h.login(browsers[0]), h.login(browsers[0])
	h.query(fmt.Sprintf(`UPDATE grants SET idle_expires = (EXTRACT(EPOCH FROM now() - interval '1 minute') * 1000000)::bigint WHERE id = '%s'`, grantOf(ended)))
	for i, c := range clients {
		h.query(fmt.Sprintf(`UPDATE grants SET idle_expires = (EXTRACT(EPOCH FROM now() + interval '10 minutes') * 1000000)::bigint WHERE id = '%s'`, grantOf(lives)))
		if a, err := h.refresh(c, ended); err != nil || a.Error != "invalid_grant" {
			t.Errorf("a grant that ended rotates at %v: %v %+v", skews[i], err, a)
		}
		a, err := h.refresh(c, lives)
		check(fmt.Sprintf("a grant that lives, at %v", skews[i]), a, err)
		if a.status == 200 {
			lives = a.Refresh
		}
	}

	// A planned key signs in 24 hours, at no node before.
	before := kidOf(t, rotated.Access)
	h.run("key", "rotate")
	eventually(t, "every node publishes the next key", func() bool {
		for _, n := range h.nodes {
			if _, keys := n.get("/.well-known/jwks.json"); strings.Count(keys, `"kid"`) < 5 {
				return false
			}
		}
		return true
	})
	for i, c := range clients {
		a, err := h.credentials(c)
		check(fmt.Sprintf("after a rotation was planned, at %v", skews[i]), a, err)
		if a.status == 200 && kidOf(t, a.Access) != before {
			t.Errorf("at %v the next key signs already", skews[i])
		}
	}

	// The grace ends by the database's clock too, at the node that is slow.
	time.Sleep(time.Until(at.Add(10500 * time.Millisecond)))
	if a, err := h.refresh(slow.client(), first); err != nil || a.Error != "invalid_grant" {
		t.Errorf("reuse after the grace, at the slow node: %v %+v", err, a)
	}
}
