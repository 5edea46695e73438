package throttle_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/throttle"
)

// group is some processes that hear of each other after every round.
type group struct {
	now   time.Time
	nodes []*throttle.Throttle
	told  int
}

func newGroup(n int, secret string) *group {
	g := &group{now: time.Unix(1e9, 0)}
	for range n {
		g.nodes = append(g.nodes, throttle.New(throttle.Config{Now: func() time.Time { return g.now }, Secret: []byte(secret)}))
	}
	return g
}

func (g *group) exchange(age time.Duration) {
	for i, from := range g.nodes {
		for _, r := range from.Reports() {
			g.told++
			for j, to := range g.nodes {
				if i != j {
					to.Hear(r, age)
				}
			}
		}
	}
}

func net(i int) netip.Prefix {
	return throttle.Network(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
}

// T: an account is attacked from everywhere through three processes at once.
// Together they let through little more than one would.
func TestProcessesCountAnAccountTogether(t *testing.T) {
	g := newGroup(3, "s")
	passed := 0
	for i := range 900 {
		if _, refused := g.nodes[i%3].Begin("ada", net(i), throttle.Stranger); refused == nil {
			passed++
		}
		g.exchange(0)
	}
	if most := throttle.Default.Account.Size + 3*10; passed > most || passed < throttle.Default.Account.Size {
		t.Errorf("%d attempts passed, want %d to %d", passed, throttle.Default.Account.Size, most)
	}
	if g.told > 15 {
		t.Errorf("%d reports for one account", g.told)
	}
	if _, refused := g.nodes[0].Begin("ada", net(5000), throttle.Known); refused != nil {
		t.Error("the owner is kept out of a network that is known")
	}
	if _, refused := g.nodes[1].Begin("bob", net(5001), throttle.Stranger); refused != nil {
		t.Error("another account is slowed down")
	}
	// Alone, each would have let through its own hundred.
	alone := []*throttle.Throttle{throttle.New(throttle.Config{}), throttle.New(throttle.Config{}), throttle.New(throttle.Config{})}
	passed = 0
	for i := range 900 {
		if _, refused := alone[i%3].Begin("ada", net(i), throttle.Stranger); refused == nil {
			passed++
		}
	}
	if passed < 3*throttle.Default.Account.Size || len(alone[0].Reports()) != 0 {
		t.Errorf("%d: the comparison says nothing", passed)
	}
}

// A network that tries one password on many accounts, and a pair.
func TestProcessesCountNetworksAndPairsTogether(t *testing.T) {
	g := newGroup(2, "s")
	passed := 0
	for i := range 400 {
		if _, refused := g.nodes[i%2].Begin(fmt.Sprint("user", i), net(1), throttle.Stranger); refused == nil {
			passed++
		}
		g.exchange(0)
	}
	if passed > throttle.Default.Network.Size+2*25 {
		t.Errorf("%d attempts of one network passed", passed)
	}
	g = newGroup(2, "s")
	for range 5 {
		if _, refused := g.nodes[0].Begin("ada", net(1), throttle.Stranger); refused != nil {
			t.Fatal("too early")
		}
	}
	if _, refused := g.nodes[1].Begin("ada", net(1), throttle.Stranger); refused != nil {
		t.Fatal("nobody told yet")
	}
	g.exchange(0)
	if _, refused := g.nodes[1].Begin("ada", net(1), throttle.Stranger); refused == nil || refused.Scope != throttle.ByPair {
		t.Errorf("%+v: the other process knows of five failures", refused)
	}
	// Success at one forgets it at the other.
	g.now = g.now.Add(20 * time.Second)
	a, refused := g.nodes[0].Begin("ada", net(1), throttle.Stranger)
	if refused != nil {
		t.Fatalf("%+v", refused)
	}
	a.Succeed()
	g.exchange(0)
	g.now = g.now.Add(20 * time.Second)
	for range 4 {
		if _, refused := g.nodes[1].Begin("ada", net(1), throttle.Stranger); refused != nil {
			t.Errorf("after the login: %+v", refused)
		}
	}
}

// Who tries each account once, and who logs in again and again, causes no
// traffic between processes.
func TestOrdinaryLoginsAreNotTold(t *testing.T) {
	g := newGroup(2, "s")
	for i := range 1000 {
		a, refused := g.nodes[0].Begin(fmt.Sprint("user", i%7), net(i%7), throttle.Stranger)
		if refused != nil {
			t.Fatal(refused)
		}
		a.Succeed()
	}
	for i := range 1000 {
		g.nodes[0].Begin(fmt.Sprint("name", i), net(100+i), throttle.Stranger)
	}
	if told := g.nodes[0].Reports(); len(told) != 0 {
		t.Errorf("%v", told)
	}
}

// What was told long ago counts as little as what was counted long ago; what
// makes no sense counts nothing.
func TestHearingLate(t *testing.T) {
	g := newGroup(2, "s")
	for i := range 60 {
		g.nodes[0].Begin("ada", net(i), throttle.Stranger)
	}
	reports := g.nodes[0].Reports()
	if len(reports) == 0 {
		t.Fatal("nothing was told")
	}
	late := throttle.New(throttle.Config{Now: func() time.Time { return g.now }, Secret: []byte("s")})
	stranger := throttle.New(throttle.Config{Now: func() time.Time { return g.now }, Secret: []byte("other")})
	left := func(x *throttle.Throttle, from int) (n int) {
		for i := range 200 {
			if _, refused := x.Begin("ada", net(from+i), throttle.Stranger); refused == nil {
				n++
			}
		}
		return n
	}
	for _, r := range reports {
		late.Hear(r, 3*time.Hour) // 30 of 60 are forgiven
		stranger.Hear(r, 0)
	}
	if n := left(late, 1000); n < 65 || n > 75 {
		t.Errorf("%d attempts are left after three hours, want about 70", n)
	}
	if n := left(stranger, 2000); n != throttle.Default.Account.Size {
		t.Errorf("%d: a report made with another secret counts", n)
	}
	for _, bad := range []throttle.Report{{}, {Scope: throttle.ByAccount, Key: "zz", N: 5}, {Scope: throttle.ByAccount, Key: reports[0].Key, N: 1 << 40}, {Scope: throttle.ByPair, Key: reports[0].Key + "00", N: 5}, {Scope: throttle.ByPair, Key: reports[0].Key, N: -1 << 40}} {
		late.Hear(bad, 0)
		late.Hear(bad, -time.Hour)
	}
}
