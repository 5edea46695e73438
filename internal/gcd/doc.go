// Package gcd computes the greatest common divisor of very large integers.
//
// math/big's GCD takes time quadratic in the length: seconds for a million
// bits, hours for a hundred million. This one is subquadratic: a half-GCD over
// FFT multiplication. It owns that arithmetic and nothing else; the numbers it
// is made for are public ones, so it does not run in constant time.
package gcd
