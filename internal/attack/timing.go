package attack

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A run of the clock sends each kind of token so often; two runs have to agree.
const (
	timingSamples = 500
	timingRuns    = 2
)

// timing compares how long it takes to refuse a signature that is wrong at its
// first byte and one that is wrong at its last (T81). A third kind, wrong at the
// first byte in another way, is the control: it must take as long as the first,
// or the clock says nothing. It never says more than SUSPECT: a network is no
// laboratory, and a difference of nanoseconds drowns in it.
func (r *run) timing(ctx context.Context, route *route) (Result, error) {
	if !r.config.AllowDoS {
		return untestable("It takes thousands of requests: allow it with --allow-dos."), nil
	}
	if !strings.HasPrefix(string(algorithmOf(route.valid)), "HS") {
		return untestable("The signature is not compared with another one: it is no HMAC."), nil
	}
	var runs []clock
	result := Result{}
	for range timingRuns {
		c, err := r.clocked(ctx, route)
		if err != nil {
			return Result{}, err
		}
		runs = append(runs, c)
		result.Sent += 3 * timingSamples
	}
	result.Verdict, result.Reason = judgeClocks(runs)
	return result, nil
}

// clocked is one run: the three kinds in turn, in a new order each time, one
// request after the other.
func (r *run) clocked(ctx context.Context, route *route) (clock, error) {
	at := strings.LastIndexByte(route.valid, '.') + 1
	end := len(route.valid) - 2 // the last letter has bits that nobody compares
	kinds := []string{otherwise(route.valid, at, 1), otherwise(route.valid, end, 1), otherwise(route.valid, at, 2)}
	took := make([][]float64, len(kinds))
	for range timingSamples {
		for _, kind := range rand.Perm(len(kinds)) {
			a, err := route.send(ctx, shot{token: kinds[kind]})
			if err != nil {
				return clock{}, err
			}
			took[kind] = append(took[kind], float64(a.took))
		}
	}
	return clock{first: took[0], last: took[1], control: took[2]}, nil
}

// otherwise is a token with another letter of base64url at a place.
func otherwise(raw string, at, by int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	c := letters[(strings.IndexByte(letters, raw[at])+by)%len(letters)]
	return raw[:at] + string(c) + raw[at+1:]
}

// clock is how long the answers of one run took, in nanoseconds.
type clock struct{ first, last, control []float64 }

// Limits of the standard score of the rank sum. A chance of one in 30,000, twice
// in a row, is none.
const (
	differs = 4.0
	steady  = 4.0
)

// judgeClocks says what the runs show together.
func judgeClocks(runs []clock) (Verdict, string) {
	suspect, least, shift, finest := true, math.Inf(1), 0.0, 0.0
	for _, c := range runs {
		if z := rankSum(c.first, c.control); math.Abs(z) > steady {
			return NotTestable, fmt.Sprintf("The clock is not steady enough: two kinds of requests that must take the same time differ (score %.1f).", z)
		}
		z := rankSum(c.first, c.last)
		suspect, least = suspect && z > differs, min(least, z)
		shift += (middle(c.last) - middle(c.first)) / float64(len(runs))
		finest = max(finest, visible(c))
	}
	if suspect {
		return Suspect, fmt.Sprintf("A signature whose last byte is wrong takes %s longer to refuse than one whose first byte is (score %.1f at least, in %d runs of %d requests each). The comparison seems to stop at the first difference.", short(shift), least, len(runs), len(runs[0].first))
	}
	return Resisted, fmt.Sprintf("No difference in %d runs of %d requests each. One below about %s would not have been seen.", len(runs), len(runs[0].first), short(finest))
}

func short(nanoseconds float64) string {
	return time.Duration(nanoseconds).Round(100 * time.Nanosecond).String()
}

// rankSum is the standard score of the Wilcoxon rank sum: how surely b is larger
// than a. Unlike a mean it is not moved by the few answers that took very long.
func rankSum(a, b []float64) float64 {
	type sample struct {
		value float64
		b     bool
	}
	var all []sample
	for _, v := range a {
		all = append(all, sample{v, false})
	}
	for _, v := range b {
		all = append(all, sample{v, true})
	}
	slices.SortFunc(all, func(x, y sample) int { return cmp.Compare(x.value, y.value) })
	sum := 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].value == all[i].value {
			j++
		}
		for k := i; k < j; k++ { // equal values share their ranks
			if all[k].b {
				sum += float64(i+j+1) / 2
			}
		}
		i = j
	}
	n, m := float64(len(a)), float64(len(b))
	return (sum - m*(n+m+1)/2) / math.Sqrt(n*m*(n+m+1)/12)
}

// middle is the median.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// visible is about the smallest difference that a run shows: the one whose score
// is just the limit, by how the middle half of the answers spreads.
func visible(c clock) float64 {
	sorted := slices.Sorted(slices.Values(c.first))
	spread := (sorted[len(sorted)*3/4] - sorted[len(sorted)/4]) / 1.35 // a normal one's deviation
	return differs * spread * math.Sqrt(2/float64(len(c.first)))
}
