package gcd

import (
	"context"
	"math/big"

	"github.com/remyoudompheng/bigfft"
)

// Sizes in bits. Below plain the numbers are left to math/big; below leaf a
// half-GCD goes division by division, on two words at a time.
const (
	plain = 1 << 13
	leaf  = 1 << 11
	// side is the size from which products are worth a goroutine of their own.
	side = 1 << 18
)

// Progress is told how much of the way is done, from 0 to 1.
type Progress func(done float64)

// Of is the greatest common divisor of |a| and |b|; of 0 and 0 it is 0. It does
// not change its arguments. The error is that of ctx, which is asked between two
// products: on the largest numbers here these take seconds. progress may be nil.
//
// Two numbers of 134 million bits took 80 s and 490 MB on two cores of 2024
// (docs/why/0069). Time grows a little faster than the length, memory with it.
func Of(ctx context.Context, a, b *big.Int, progress Progress) (*big.Int, error) {
	if progress == nil {
		progress = func(float64) {}
	}
	x, y := new(big.Int).Abs(a), new(big.Int).Abs(b)
	if x.Cmp(y) < 0 {
		x, y = y, x
	}
	r := &reduction{ctx: ctx, all: float64(y.BitLen()), progress: progress}
	for y.BitLen() > plain {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// A quarter of the length at a time, read from the upper half.
		k := x.BitLen() / 4
		if x.BitLen()-y.BitLen() >= k {
			x, y = y, new(big.Int).Rem(x, y)
			continue
		}
		before := y.BitLen()
		_, x, y = r.step(x, y, k)
		if y.BitLen() >= before { // never stand still
			x, y = y, new(big.Int).Rem(x, y)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	progress(1)
	return new(big.Int).GCD(nil, nil, x, y), nil
}

// matrix is a linear map of pairs: (x, y) becomes (a·x + b·y, c·x + d·y). All
// of them here have the determinant 1 or −1, so that they keep the greatest
// common divisor of a pair, whichever they are. That is why nothing has to be
// undone where the upper halves of two numbers lead to other quotients than
// the whole numbers would: the pair is reduced a few bits less, and that is all.
type matrix struct{ a, b, c, d *big.Int }

func one() matrix {
	return matrix{big.NewInt(1), new(big.Int), new(big.Int), big.NewInt(1)}
}

// isOne tells whether a map of the determinant ±1 changes nothing.
func (m matrix) isOne() bool {
	return m.b.Sign() == 0 && m.c.Sign() == 0 && m.a.Sign() > 0 && m.d.Sign() > 0
}

// of applies the map to a pair.
func (m matrix) of(x, y *big.Int) (*big.Int, *big.Int) {
	var p [4]*big.Int
	multiply([]product{{m.a, x, &p[0]}, {m.b, y, &p[1]}, {m.c, x, &p[2]}, {m.d, y, &p[3]}})
	return p[0].Add(p[0], p[1]), p[2].Add(p[2], p[3])
}

// after is the map that does n first, then m.
func (m matrix) after(n matrix) matrix {
	if n.isOne() {
		return m
	}
	if m.isOne() {
		return n
	}
	var p [8]*big.Int
	multiply([]product{
		{m.a, n.a, &p[0]}, {m.b, n.c, &p[1]}, {m.a, n.b, &p[2]}, {m.b, n.d, &p[3]},
		{m.c, n.a, &p[4]}, {m.d, n.c, &p[5]}, {m.c, n.b, &p[6]}, {m.d, n.d, &p[7]},
	})
	return matrix{p[0].Add(p[0], p[1]), p[2].Add(p[2], p[3]), p[4].Add(p[4], p[5]), p[6].Add(p[6], p[7])}
}

type product struct {
	x, y *big.Int
	into **big.Int
}

// multiply makes several products, large ones two at a time: each takes much
// memory while it lasts.
func multiply(list []product) {
	if list[0].y.BitLen() < side {
		for _, p := range list {
			*p.into = bigfft.Mul(p.x, p.y)
		}
		return
	}
	half := make(chan struct{})
	go func() {
		defer close(half)
		for _, p := range list[len(list)/2:] {
			*p.into = bigfft.Mul(p.x, p.y)
		}
	}()
	for _, p := range list[:len(list)/2] {
		*p.into = bigfft.Mul(p.x, p.y)
	}
	<-half
}

// reduction is one computation.
type reduction struct {
	ctx      context.Context
	done     float64 // bits that quotients have taken off
	all      float64
	progress Progress
}

// step reduces a pair by about k bits, looking at its upper 2k bits only.
func (r *reduction) step(x, y *big.Int, k int) (matrix, *big.Int, *big.Int) {
	low := max(x.BitLen()-2*k, 0)
	m, hx, hy := r.half(new(big.Int).Rsh(x, uint(low)), new(big.Int).Rsh(y, uint(low)), k)
	if low == 0 || m.isOne() {
		if low > 0 {
			return m, x, y
		}
		return m.positive(hx, hy)
	}
	// m(x, y) = m(upper)·2^low + m(lower); the first is there already.
	mask := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(low)), big.NewInt(1))
	lx, ly := m.of(new(big.Int).And(x, mask), new(big.Int).And(y, mask))
	return m.positive(lx.Add(lx, hx.Lsh(hx, uint(low))), ly.Add(ly, hy.Lsh(hy, uint(low))))
}

// positive turns the signs of a reduced pair, and of the map that led there,
// and puts the larger first.
func (m matrix) positive(x, y *big.Int) (matrix, *big.Int, *big.Int) {
	if x.Sign() < 0 {
		x.Neg(x)
		m.a, m.b = new(big.Int).Neg(m.a), new(big.Int).Neg(m.b)
	}
	if y.Sign() < 0 {
		y.Neg(y)
		m.c, m.d = new(big.Int).Neg(m.c), new(big.Int).Neg(m.d)
	}
	if x.Cmp(y) < 0 {
		x, y, m = y, x, matrix{m.c, m.d, m.a, m.b}
	}
	return m, x, y
}

// half reduces a pair x ≥ y until y is at most x.BitLen() − k bits long, and
// returns the map that did it. With x of 2k bits its numbers have about k.
func (r *reduction) half(x, y *big.Int, k int) (matrix, *big.Int, *big.Int) {
	stop := x.BitLen() - k
	if x.BitLen() <= leaf {
		return r.divisions(one(), x, y, stop)
	}
	if r.ctx.Err() != nil {
		return one(), x, y
	}
	m := one()
	for range 2 {
		// Half of what is left each time: both halves cost the same.
		left := y.BitLen() - stop
		if left <= 64 {
			break
		}
		if x.BitLen()-y.BitLen() < left/2 { // else one division does as much
			part := k / 2
			if !m.isOne() {
				part = left
			}
			var n matrix
			n, x, y = r.step(x, y, min(part, x.BitLen()/2))
			m = n.after(m)
		}
		if y.BitLen() > stop {
			m, x, y = r.divide(m, x, y)
		}
	}
	return r.divisions(m, x, y, stop)
}

// divide is one step of Euclid's algorithm.
func (r *reduction) divide(m matrix, x, y *big.Int) (matrix, *big.Int, *big.Int) {
	q, rest := new(big.Int).QuoRem(x, y, new(big.Int))
	c := new(big.Int).Sub(m.a, bigfft.Mul(q, m.c))
	d := new(big.Int).Sub(m.b, bigfft.Mul(q, m.d))
	return matrix{m.c, m.d, c, d}, y, rest
}

// divisions goes on step by step until y is short enough: by leading words
// where the numbers are long (Lehmer), else by divisions.
func (r *reduction) divisions(m matrix, x, y *big.Int, stop int) (matrix, *big.Int, *big.Int) {
	began := y.BitLen()
	for y.BitLen() > stop && r.ctx.Err() == nil {
		if y.BitLen() < stop+40 || x.BitLen() < 128 {
			m, x, y = r.divide(m, x, y)
			continue
		}
		n, ok := leading(x, y)
		if !ok {
			m, x, y = r.divide(m, x, y)
			continue
		}
		m = n.after(m)
		nx, ny := n.of(x, y)
		n, x, y = one().positive(nx, ny)
		m = n.after(m)
	}
	r.report(began - y.BitLen())
	return m, x, y
}

func (r *reduction) report(bits int) {
	r.done += float64(bits)
	r.progress(min(r.done/r.all, 1))
}

// leading does Euclid's algorithm on the first 64 bits of two numbers as long as
// the quotients are certain (Collins' condition, Knuth 4.5.2 L). ok is false if
// not even one is.
func leading(x, y *big.Int) (matrix, bool) {
	shift := uint(x.BitLen() - 62)
	a, b := new(big.Int).Rsh(x, shift).Int64(), new(big.Int).Rsh(y, shift).Int64()
	m := [4]int64{1, 0, 0, 1}
	steps := 0
	for b != 0 {
		q := a / b
		c, d := m[0]-q*m[2], m[1]-q*m[3]
		rest := a - q*b
		if abs(c) >= 1<<30 || abs(d) >= 1<<30 || rest < 1<<31 {
			break
		}
		a, b, m = b, rest, [4]int64{m[2], m[3], c, d}
		steps++
	}
	return matrix{big.NewInt(m[0]), big.NewInt(m[1]), big.NewInt(m[2]), big.NewInt(m[3])}, steps > 0
}

func abs(v int64) int64 { return max(v, -v) }
