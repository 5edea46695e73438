package gcd_test

import (
	"context"
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/gcd"
)

// random is a number of exactly that many bits.
func random(r *rand.Rand, bits int) *big.Int {
	words := make([]big.Word, (bits+63)/64)
	for i := range words {
		words[i] = big.Word(r.Uint64())
	}
	n := new(big.Int).SetBits(words)
	return n.Rsh(n, uint(len(words)*64-bits)).SetBit(n, bits-1, 1)
}

func TestAgreesWithMathBig(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, bits := range []int{1, 63, 64, 65, 1000, 8_191, 8_192, 8_193, 9_000, 20_000, 100_000, 300_000} {
		for _, common := range []int{1, 60, 2048, bits / 3, bits - 1} {
			g := random(r, max(common, 1))
			a := new(big.Int).Mul(random(r, max(bits-common, 1)), g)
			b := new(big.Int).Mul(random(r, max(bits-common-r.IntN(50), 1)), g)
			agrees(t, a, b)
		}
	}
}

func agrees(t *testing.T, a, b *big.Int) {
	t.Helper()
	before := [2]string{a.Text(62), b.Text(62)}
	got, err := gcd.Of(t.Context(), a, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := new(big.Int).GCD(nil, nil, new(big.Int).Abs(a), new(big.Int).Abs(b)); got.Cmp(want) != 0 {
		t.Errorf("numbers of %d and %d bits: got one of %d bits, want %d", a.BitLen(), b.BitLen(), got.BitLen(), want.BitLen())
	}
	if before != [2]string{a.Text(62), b.Text(62)} {
		t.Error("an argument was changed")
	}
}

// Numbers whose quotients are all one, all but one enormous, or nearly equal.
func TestAgreesOnOddNumbers(t *testing.T) {
	one := big.NewInt(1)
	power := func(n uint) *big.Int { return new(big.Int).Lsh(one, n) }
	fib := [2]*big.Int{big.NewInt(1), big.NewInt(1)}
	for range 40_000 {
		fib[0], fib[1] = new(big.Int).Add(fib[0], fib[1]), fib[0]
	}
	less := func(x *big.Int) *big.Int { return new(big.Int).Sub(x, one) }
	for name, pair := range map[string][2]*big.Int{
		"zeros": {new(big.Int), new(big.Int)}, "zero and large": {new(big.Int), power(50_000)}, "equal": {power(50_000), power(50_000)},
		"neighbours": {power(50_000), less(power(50_000))}, "Fibonacci": fib, "large and small": {power(60_000), big.NewInt(12)},
		"powers less one": {less(power(60_000)), less(power(45_000))}, "powers": {power(60_000), power(45_000)}, "one below the other": {power(60_000), power(30_001)},
		"negative": {new(big.Int).Neg(less(power(60_000))), less(power(40_000))}, "a multiple": {new(big.Int).Mul(fib[0], fib[1]), fib[1]},
	} {
		t.Run(name, func(t *testing.T) { agrees(t, pair[0], pair[1]) })
	}
}

// What is subquadratic is done in a second or two with four million bits;
// math/big takes a minute.
func TestFourMillionBits(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	want := new(big.Int).SetBit(random(r, 2048), 0, 1)
	x := random(r, 4<<20)
	a, b := new(big.Int).Mul(x, want), new(big.Int).Mul(new(big.Int).Add(x, big.NewInt(1)), want) // neighbours share nothing
	began, last := time.Now(), 0.0
	got, err := gcd.Of(t.Context(), a, b, func(done float64) {
		if done < last || done > 1 {
			t.Errorf("progress went from %f to %f", last, done)
		}
		last = done
	})
	if err != nil || got.Cmp(want) != 0 || last != 1 {
		t.Errorf("got %d bits and %v, progress ended at %f", got.BitLen(), err, last)
	}
	b = random(r, 4<<20)
	if got, err = gcd.Of(t.Context(), new(big.Int).Mul(x, want), b.Mul(b, want), nil); err != nil || new(big.Int).Rem(got, want).Sign() != 0 || got.BitLen() > want.BitLen()+40 {
		t.Errorf("got %d bits and %v", got.BitLen(), err)
	}
	if took := time.Since(began); took > 45*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	a, b := random(r, 8<<20), random(r, 8<<20)
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	_, err := gcd.Of(ctx, a, b, func(done float64) {
		if done > 0.01 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || time.Since(began) > 10*time.Second {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
}

// The quotients of Euclid's algorithm are chosen here, so the divisor is known.
func FuzzOf(f *testing.F) {
	f.Add([]byte{0}, uint64(1))
	f.Add([]byte{1, 200, 0, 0, 3}, uint64(12))
	f.Add([]byte{63, 64, 65, 255}, uint64(1<<63))
	f.Add([]byte{30, 31, 32, 33}, uint64(3))
	f.Fuzz(func(t *testing.T, quotients []byte, divisor uint64) {
		if len(quotients) == 0 || divisor == 0 {
			return
		}
		x, y := new(big.Int).SetUint64(divisor), new(big.Int)
		r := rand.New(rand.NewPCG(divisor, uint64(len(quotients))))
		for i := 0; x.BitLen() < 12_000; i++ {
			bits := 1 + int(quotients[i%len(quotients)])
			x, y = new(big.Int).Add(y, new(big.Int).Mul(x, random(r, bits))), x
		}
		got, err := gcd.Of(t.Context(), y, x, nil)
		if err != nil || !got.IsUint64() || got.Uint64() != divisor {
			t.Errorf("got %v, want %d (%v)", got, divisor, err)
		}
	})
}
