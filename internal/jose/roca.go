package jose

import "math/big"

// rocaPrimes are the odd primes up to 167. Infineon's RSALib made primes of the
// form k·M + (65537^a mod M), where M is the product of the first primes.
var rocaPrimes = []int64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
	97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167}

// looksLikeROCA tells whether a modulus has the fingerprint of CVE-2017-15361,
// whose keys can be factored: modulo every small prime it is a power of 65537.
// A sound key of any size has it with a chance below 2^-100.
func looksLikeROCA(n *big.Int) bool {
	var residue big.Int
	for _, p := range rocaPrimes {
		if !powerOf65537(residue.Mod(n, big.NewInt(p)).Int64(), p) {
			return false
		}
	}
	return true
}

func powerOf65537(residue, p int64) bool {
	generator := 65537 % p
	for power := int64(1); ; {
		if power == residue {
			return true
		}
		if power = power * generator % p; power == 1 {
			return false
		}
	}
}
